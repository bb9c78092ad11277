//! Seeding: many messages from one process, with and without confirms, at several windows, sizes and counts.

use anyhow::Result;

use crate::bench::invocation::Invocation;
use crate::bench::lab::{Lab, QUEUE};
use crate::bench::results::{Race, Who};
use crate::bench::track::{Entry, Track};
use crate::bench::wire::{self, Confirms};

/// Bytes a line, its newline among them.
const LINE: usize = 10;

pub(crate) const REFERENCE: &str = "reference, unconfirmed";

const MANY: u64 = 100_000;

/// In-flight windows, and how many messages are enough to measure them: the smallest is some hundred times slower.
const WINDOWS: [(u64, u64); 5] = [
    (1, 3_000),
    (20, 40_000),
    (200, MANY),
    (1000, MANY),
    (5000, MANY),
];

pub(crate) fn run(lab: &Lab) -> Result<Vec<Race>> {
    Ok(vec![windows(lab)?, durable(lab)?, growth(lab)?])
}

/// A lane that publishes all lines of a file into a fresh queue, and is right only if they all arrive.
fn lane(
    lab: &Lab,
    name: impl Into<String>,
    who: Who,
    invocation: Invocation,
    messages: u64,
) -> Entry<'_> {
    Entry::command(lab, name, who, invocation)
        .work(messages)
        .before(|| lab.fresh_queue())
        .after(move || lab.await_depth(messages))
}

fn seeder(lab: &Lab, flags: &[&str], lines: u64, length: usize) -> Result<Invocation> {
    let publish = lab.ours("amqp-publish").with(["-r", QUEUE, "-l"]);
    Ok(publish
        .with(flags.iter().copied())
        .fed(&lab.lines(lines, length)?))
}

fn reference_seeder(lab: &Lab, flags: &[&str], lines: u64, length: usize) -> Result<Invocation> {
    let publish = lab.reference("amqp-publish").with(["-r", QUEUE, "-l"]);
    Ok(publish
        .with(flags.iter().copied())
        .fed(&lab.lines(lines, length)?))
}

fn raw<'a>(
    lab: &'a Lab,
    name: &str,
    messages: u64,
    length: usize,
    confirms: Confirms,
) -> Entry<'a> {
    let body = vec![b'x'; length];
    Entry::of(
        name,
        Who::Limit,
        format!("{messages} messages as pre-encoded frames, written to a bare TCP socket"),
        move |_| wire::publish(lab.address(), QUEUE, &body, messages, confirms),
    )
    .work(messages)
    .before(|| lab.fresh_queue())
    .after(move || lab.await_depth(messages))
}

fn raw_lanes(lab: &Lab, messages: u64, length: usize) -> [Entry<'_>; 2] {
    [
        ("raw frames, confirmed", Confirms::Awaited),
        ("raw frames, unconfirmed", Confirms::NotAsked),
    ]
    .map(|(name, confirms)| raw(lab, name, messages, length, confirms))
}

fn windows(lab: &Lab) -> Result<Race> {
    let many = lab.sized(MANY);
    let mut track = Track::new(
        "seeding",
        "Seed a queue with lines of 10 bytes, by the window of unconfirmed messages",
        "message",
    )
    .note(
        "The queue is transient, classic and empty. Small windows publish fewer messages (see the commands), and what \
         is compared is the time a message. Without confirms a tool ends when the broker has read everything, with \
         confirms when the broker has everything in the queue. A run is valid only if all messages arrive.",
    )
    .with_memory();
    for (window, messages) in WINDOWS {
        let (messages, flag) = (lab.sized(messages), format!("--max-in-flight={window}"));
        let invocation = seeder(lab, &[&flag], messages, LINE)?;
        track = track.enter(lane(
            lab,
            window_name(window),
            Who::Ours,
            invocation,
            messages,
        ));
    }
    let unconfirmed = seeder(lab, &["--no-confirm"], many, LINE)?;
    let reference = reference_seeder(lab, &[], many, LINE)?;
    track = track
        .enter(lane(lab, "unconfirmed", Who::Ours, unconfirmed, many))
        .enter(lane(lab, REFERENCE, Who::Reference, reference, many))
        .enter_all(raw_lanes(lab, many, LINE));
    for (name, flag, messages) in [
        ("pika, confirmed", Some("--confirm"), 2_000),
        ("pika, unconfirmed", None, 20_000),
    ] {
        let messages = lab.sized(messages);
        if let Some(script) = lab.script_at("seed.py", &lab.url()) {
            let invocation = script
                .with([QUEUE])
                .with(flag)
                .fed(&lab.lines(messages, LINE)?);
            track = track.enter(lane(lab, name, Who::Script, invocation, messages));
        }
    }
    Ok(track.run(lab.rounds(5)).finish())
}

pub(crate) fn window_name(window: u64) -> String {
    format!("confirmed, window {window}")
}

fn durable(lab: &Lab) -> Result<Race> {
    let messages = lab.sized(50_000);
    let on_disk = |name, who, invocation| {
        lane(lab, name, who, invocation, messages).before(|| lab.fresh_queue_with(&["-d"]))
    };
    let track = Track::new(
        "seeding-persistent",
        "Seed a durable queue with persistent messages",
        "message",
    )
    .with_memory()
    .enter(on_disk(
        "confirmed",
        Who::Ours,
        seeder(lab, &["-p"], messages, LINE)?,
    ))
    .enter(on_disk(
        "unconfirmed",
        Who::Ours,
        seeder(lab, &["-p", "--no-confirm"], messages, LINE)?,
    ))
    .enter(on_disk(
        REFERENCE,
        Who::Reference,
        reference_seeder(lab, &["-p"], messages, LINE)?,
    ));
    Ok(track.run(lab.rounds(5)).finish())
}

/// Time and memory at n, 10 n and 100 n.
fn growth(lab: &Lab) -> Result<Race> {
    let mut track = Track::new(
        "seeding-growth",
        "Growth: seed 10 000, 100 000 and 1 000 000 lines of 10 bytes",
        "message",
    )
    .note("The million by the default window of 1000.")
    .with_memory();
    for full in [10_000, 100_000, 1_000_000] {
        let messages = lab.sized(full);
        let ours = seeder(lab, &[], messages, LINE)?;
        let reference = reference_seeder(lab, &[], messages, LINE)?;
        track = track
            .enter(
                lane(
                    lab,
                    growth_name("confirmed", full),
                    Who::Ours,
                    ours,
                    messages,
                )
                .against(growth_name(REFERENCE, full)),
            )
            .enter(
                lane(
                    lab,
                    growth_name(REFERENCE, full),
                    Who::Reference,
                    reference,
                    messages,
                )
                .against(growth_name(REFERENCE, 10_000)),
            );
    }
    let million = lab.sized(1_000_000);
    let unconfirmed = seeder(lab, &["--no-confirm"], million, LINE)?;
    let name = growth_name("unconfirmed", 1_000_000);
    let entry = lane(lab, name, Who::Ours, unconfirmed, million);
    track = track.enter(entry.against(growth_name(REFERENCE, 1_000_000)));
    Ok(track.run(lab.rounds(3)).finish())
}

pub(crate) fn growth_name(what: &str, messages: u64) -> String {
    format!("{what}, {messages} messages")
}

/// Bodies larger than a line of 10 bytes.
pub(crate) fn bodies(lab: &Lab) -> Result<Vec<Race>> {
    Ok(vec![kibibyte(lab)?, files(lab)?, mebibyte(lab)?])
}

pub(crate) const FILES: &str = "bodies-files";
pub(crate) const AS_FILES: &str = "a file each, by --files-from";
pub(crate) const AS_LINES: &str = "a line each";

/// Many small messages, each in a file of its own or each in a line of one file.
fn files(lab: &Lab) -> Result<Race> {
    let messages = lab.sized(10_000);
    let lines = lab.lines(messages, 1024)?.display().to_string();
    let list = lab.folder_of_files(messages, 1024)?.display().to_string();
    let publish = |arguments: &[&str]| {
        let publish = lab.ours("amqp-publish").with(["-r", QUEUE]);
        publish.with(arguments.iter().copied())
    };
    let (as_files, as_lines) = (publish(&["--files-from", &list]), publish(&["-l", &lines]));
    let track = Track::new(
        FILES,
        "Messages of 1 KiB from files, and from lines",
        "message",
    )
    .note("With confirms. The files are in the page cache.")
    .with_memory()
    .enter(lane(lab, AS_FILES, Who::Ours, as_files, messages).against(AS_LINES))
    .enter(lane(lab, AS_LINES, Who::Ours, as_lines, messages));
    Ok(track.warm_up().run(lab.rounds(9)).finish())
}

fn kibibyte(lab: &Lab) -> Result<Race> {
    let messages = lab.sized(50_000);
    let track = Track::new("bodies-1k", "Seed a queue with lines of 1 KiB", "message")
        .with_memory()
        .enter(lane(
            lab,
            "confirmed",
            Who::Ours,
            seeder(lab, &[], messages, 1024)?,
            messages,
        ))
        .enter(lane(
            lab,
            "unconfirmed",
            Who::Ours,
            seeder(lab, &["--no-confirm"], messages, 1024)?,
            messages,
        ))
        .enter(lane(
            lab,
            REFERENCE,
            Who::Reference,
            reference_seeder(lab, &[], messages, 1024)?,
            messages,
        ))
        .enter_all(raw_lanes(lab, messages, 1024));
    Ok(track.run(lab.rounds(5)).finish())
}

/// The reference cuts lines at 32 767 bytes, so it publishes each file by a process of its own, as its users do.
fn mebibyte(lab: &Lab) -> Result<Race> {
    let messages = lab.sized(100);
    let file = lab.blob(1 << 20)?.display().to_string();
    let files = vec![file.clone(); usize::try_from(messages)?];
    let ours = lab.ours("amqp-publish").with(["-r", QUEUE]).with(files);
    let reference = lab.reference("amqp-publish").with(["-r", QUEUE]);
    let each = format!(
        "for i in $(seq {messages}); do {} < {file} || exit; done",
        reference.shown()
    );
    let reference = Invocation::of("sh").with(["-c", &each]);
    let entry = lane(lab, "confirmed, one process", Who::Ours, ours, messages);
    let shortened = format!("amqp-publish -u $URL -r {QUEUE} FILE... ({messages} files of 1 MiB)");
    let track = Track::new("bodies-1m", "Publish files of 1 MiB", "message")
        .note("The reference cuts lines at 32 767 bytes, so it publishes each file by a process of its own.")
        .with_memory()
        .enter(entry.described(shortened))
        .enter(lane(
            lab,
            "reference, unconfirmed, a process each",
            Who::Reference,
            reference,
            messages,
        ));
    Ok(track.run(lab.rounds(5)).finish())
}

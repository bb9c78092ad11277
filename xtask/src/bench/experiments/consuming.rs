//! Consuming: a command for each message, one after the other and several at once.

use anyhow::Result;

use crate::bench::invocation::Invocation;
use crate::bench::lab::{Lab, QUEUE};
use crate::bench::results::{Race, Who};
use crate::bench::spawn_loop;
use crate::bench::track::{Entry, Track};

const BODY: &[u8; 10] = b"012345678\n";
const MESSAGES: u64 = 1000;
pub(crate) const JOBS: [u64; 3] = [1, 2, 4];

/// The commands, and what they are called in the results.
pub(crate) const COMMANDS: [(&str, &[&str]); 3] = [
    ("true", &["true"]),
    ("cat", &["cat"]),
    ("sh", &["sh", "-c", "cat"]),
];

/// Some ten milliseconds of a processor, and nothing else.
const COMPUTE: &[&str] = &[
    "sh",
    "-c",
    "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done",
];

/// What the messages are.
#[derive(Clone, Copy, Debug)]
enum Bodies {
    /// Nothing: for a command that reads nothing. The reference dies of SIGPIPE if its command has ended before the
    /// body is written.
    Empty,
    /// Ten bytes.
    Lines,
}

impl Bodies {
    fn of(command: &[&str]) -> Self {
        match command {
            ["true"] => Self::Empty,
            _ => Self::Lines,
        }
    }

    fn each(self) -> &'static [u8] {
        match self {
            Self::Empty => b"",
            Self::Lines => BODY,
        }
    }

    fn fill(self, lab: &Lab, messages: u64) -> Result<()> {
        match self {
            Self::Empty => lab.queue_of_empty(messages),
            Self::Lines => lab.seeded_queue(&lab.lines(messages, BODY.len())?, messages),
        }
    }
}

pub(crate) fn run(lab: &Lab) -> Result<Vec<Race>> {
    let mut races = Vec::new();
    for (name, command) in COMMANDS {
        races.push(with_command(lab, name, command));
    }
    races.push(computing(lab));
    races.push(growth(lab));
    races.push(dispatchers(lab)?);
    Ok(races)
}

pub(crate) fn race_id(command: &str) -> String {
    format!("consuming-{command}")
}

pub(crate) fn ours_name(jobs: u64) -> String {
    format!("-j {jobs}")
}

pub(crate) fn reference_name(prefetch: u64) -> String {
    format!("reference, -p {prefetch}")
}

pub(crate) fn bare_name(jobs: u64) -> String {
    format!("bare spawn loop, {jobs} at once")
}

fn with_command(lab: &Lab, name: &str, command: &'static [&'static str]) -> Race {
    let messages = lab.sized(MESSAGES);
    let title = format!("Consume with `{}`", command.join(" "));
    let mut track = Track::new(&race_id(name), &title, "message")
        .note(
            "The queue holds all messages before the clock starts, and must be empty in the end. The reference runs \
             one command at a time whatever its prefetch is. Messages for `true` are empty, since the reference dies \
             of SIGPIPE if a command ends before it has written the body; the others have 10 bytes.",
        )
        .with_memory();
    for jobs in JOBS {
        track = track
            .enter(ours(lab, jobs, messages, command).against(reference_name(1)))
            .enter(reference(lab, jobs, messages, command).against(reference_name(1)))
            .enter(bare(jobs, messages, command).against(reference_name(1)));
    }
    if let Some(script) = lab.script_at("consume.py", &lab.url()) {
        let count = messages.to_string();
        let invocation = script.with([QUEUE, &count]).with(command.iter().copied());
        let bodies = Bodies::of(command);
        track = track.enter(consumer(
            lab,
            "pika",
            Who::Script,
            invocation,
            messages,
            bodies,
        ));
    }
    track.run(lab.rounds(5)).finish()
}

/// Commands that do nothing but compute: what more jobs than one are for.
fn computing(lab: &Lab) -> Race {
    let messages = lab.sized(60);
    let mut track = Track::new(
        &race_id("computing"),
        "Consume with a command that computes",
        "message",
    )
    .note(
        "A shell that counts to 30 000, for each of few messages. What two bare spawn loops gain over one is all that \
         two jobs can gain on this machine, which the broker shares.",
    );
    for jobs in [1, 2] {
        track = track
            .enter(ours(lab, jobs, messages, COMPUTE).against(reference_name(1)))
            .enter(bare(jobs, messages, COMPUTE).against(reference_name(1)));
    }
    let reference = reference(lab, 1, messages, COMPUTE);
    track.enter(reference).run(lab.rounds(5)).finish()
}

fn ours<'a>(lab: &'a Lab, jobs: u64, messages: u64, command: &[&str]) -> Entry<'a> {
    let (at_once, count) = (jobs.to_string(), messages.to_string());
    let consume = lab.ours("amqp-consume");
    let invocation = consume
        .with(["-q", QUEUE, "-c", &count, "-j", &at_once])
        .with(command.iter().copied());
    let bodies = Bodies::of(command);
    consumer(
        lab,
        ours_name(jobs),
        Who::Ours,
        invocation,
        messages,
        bodies,
    )
}

fn reference<'a>(lab: &'a Lab, prefetch: u64, messages: u64, command: &[&str]) -> Entry<'a> {
    let (ahead, count) = (prefetch.to_string(), messages.to_string());
    let consume = lab.reference("amqp-consume");
    let invocation = consume
        .with(["-q", QUEUE, "-c", &count, "-p", &ahead, "--"])
        .with(command.iter().copied());
    let bodies = Bodies::of(command);
    let name = reference_name(prefetch);
    consumer(lab, name, Who::Reference, invocation, messages, bodies)
}

fn consumer(
    lab: &Lab,
    name: impl Into<String>,
    who: Who,
    invocation: Invocation,
    messages: u64,
    bodies: Bodies,
) -> Entry<'_> {
    Entry::command(lab, name, who, invocation)
        .work(messages)
        .before(move || bodies.fill(lab, messages))
        .after(|| lab.await_depth(0))
}

fn bare(jobs: u64, messages: u64, command: &'static [&'static str]) -> Entry<'static> {
    let body = Bodies::of(command).each();
    let shown = format!(
        "{messages} times: start {}, write {} bytes to it, wait for it; {jobs} at once, no broker",
        command.join(" "),
        body.len()
    );
    Entry::of(bare_name(jobs), Who::Limit, shown, move |_| {
        spawn_loop::run(command, body, messages, jobs)
    })
    .work(messages)
}

/// Time and memory at n, 10 n and 100 n.
fn growth(lab: &Lab) -> Race {
    let mut track = Track::new(
        GROWTH,
        "Growth: consume 100, 1000 and 10 000 messages with `cat`",
        "message",
    )
    .with_memory();
    for full in [100, 1000, 10_000] {
        let messages = lab.sized(full);
        let theirs = growth_name("reference", full);
        let ours = ours(lab, 1, messages, &["cat"]).named(growth_name("ours", full));
        let reference = reference(lab, 1, messages, &["cat"]).named(theirs.clone());
        track = track
            .enter(ours.against(theirs))
            .enter(reference.against(growth_name("reference", 100)));
    }
    track.run(lab.rounds(3)).finish()
}

pub(crate) const GROWTH: &str = "consuming-growth";

pub(crate) fn growth_name(whose: &str, messages: u64) -> String {
    format!("{whose}, {messages} messages")
}

/// What people use where there is no broker.
fn dispatchers(lab: &Lab) -> Result<Race> {
    let messages = lab.sized(MESSAGES);
    let mut track = Track::new(
        "dispatchers",
        "Run `true` for each of many records, two at once",
        "record",
    )
    .note(
        "xargs and GNU parallel read the records from a file, and pass them as arguments: no broker, no \
         acknowledgement, nothing is given back if a command fails.",
    )
    .with_memory()
    .enter(ours(lab, 2, messages, &["true"]).named("amqp-consume -j 2".to_owned()));
    let xargs = Invocation::of("xargs")
        .with(["-P", "2", "-n", "1", "true"])
        .fed(&lab.lines(messages, BODY.len())?);
    track = track.enter(Entry::command(lab, "xargs -P 2", Who::Dispatcher, xargs).work(messages));
    if let Some(parallel) = lab.tools.parallel() {
        let messages = lab.sized(200);
        let parallel = Invocation::of(parallel)
            .with(["--will-cite", "-j2", "true"])
            .fed(&lab.lines(messages, BODY.len())?);
        let entry = Entry::command(lab, "parallel -j2", Who::Dispatcher, parallel);
        track = track.enter(entry.work(messages));
    }
    Ok(track.run(lab.rounds(5)).finish())
}

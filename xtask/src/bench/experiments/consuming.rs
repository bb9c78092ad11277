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

pub(crate) fn run(lab: &Lab) -> Result<Vec<Race>> {
    let mut races = Vec::new();
    for (name, command) in COMMANDS {
        races.push(with_command(lab, name, command)?);
    }
    races.push(growth(lab)?);
    races.push(dispatchers(lab)?);
    Ok(races)
}

pub(crate) fn race_id(command: &str) -> String {
    format!("consuming-{command}")
}

pub(crate) fn ours_name(jobs: u64) -> String {
    format!("-j {jobs}")
}

pub(crate) fn bare_name(jobs: u64) -> String {
    format!("bare spawn loop, {jobs} at once")
}

fn with_command(lab: &Lab, name: &str, command: &[&'static str]) -> Result<Race> {
    let messages = lab.sized(MESSAGES);
    let mut track = Track::new(
        &race_id(name),
        &format!("Consume with `{}`", command.join(" ")),
        "message",
    )
    .note(
        "The reference runs one command at a time whatever its prefetch is; it takes the command's options for its \
         own without `--`, and dies of SIGPIPE if a command ends before it has written the body.",
    )
    .with_memory();
    for jobs in JOBS {
        track = track
            .enter(consumer(
                lab,
                &ours_name(jobs),
                Who::Ours,
                ours(lab, jobs, messages, command),
                messages,
            )?)
            .enter(consumer(
                lab,
                &format!("reference, -p {jobs}"),
                Who::Reference,
                reference(lab, jobs, messages, command),
                messages,
            )?)
            .enter(bare(jobs, messages, command.to_vec()));
    }
    if let Some(script) = lab.script_at("consume.py", &lab.url()) {
        let count = messages.to_string();
        let invocation = script.with([QUEUE, &count]).with(command.iter().copied());
        track = track.enter(consumer(lab, "pika", Who::Script, invocation, messages)?);
    }
    Ok(track.run(lab.rounds(5)).finish())
}

fn ours(lab: &Lab, jobs: u64, messages: u64, command: &[&str]) -> Invocation {
    let (jobs, count) = (jobs.to_string(), messages.to_string());
    let consume = lab.ours("amqp-consume");
    consume
        .with(["-q", QUEUE, "-c", &count, "-j", &jobs])
        .with(command.iter().copied())
}

fn reference(lab: &Lab, prefetch: u64, messages: u64, command: &[&str]) -> Invocation {
    let (prefetch, count) = (prefetch.to_string(), messages.to_string());
    let consume = lab.reference("amqp-consume");
    consume
        .with(["-q", QUEUE, "-c", &count, "-p", &prefetch, "--"])
        .with(command.iter().copied())
}

fn consumer<'a>(
    lab: &'a Lab,
    name: &str,
    who: Who,
    invocation: Invocation,
    messages: u64,
) -> Result<Entry<'a>> {
    let lines = lab.lines(messages, BODY.len())?;
    Ok(Entry::command(lab, name, who, invocation)
        .work(messages)
        .before(move || lab.seeded_queue(&lines, messages))
        .after(|| lab.await_depth(0)))
}

fn bare(jobs: u64, messages: u64, command: Vec<&'static str>) -> Entry<'static> {
    let shown = format!(
        "{messages} times: start `{}`, write 10 bytes to it, wait for it; {jobs} at once, no broker",
        command.join(" ")
    );
    Entry::of(bare_name(jobs), Who::Limit, shown, move |_| {
        spawn_loop::run(&command, BODY, messages, jobs)
    })
    .work(messages)
}

/// Time and memory at n, 10 n and 100 n.
fn growth(lab: &Lab) -> Result<Race> {
    let mut track = Track::new(
        "consuming-growth",
        "Growth: consume 100, 1000 and 10 000 messages with `cat`",
        "message",
    )
    .with_memory();
    for full in [100, 1000, 10_000] {
        let messages = lab.sized(full);
        track = track
            .enter(
                consumer(
                    lab,
                    &format!("ours, {full} messages"),
                    Who::Ours,
                    ours(lab, 1, messages, &["cat"]),
                    messages,
                )?
                .against(format!("reference, {full} messages")),
            )
            .enter(
                consumer(
                    lab,
                    &format!("reference, {full} messages"),
                    Who::Reference,
                    reference(lab, 1, messages, &["cat"]),
                    messages,
                )?
                .against("reference, 100 messages"),
            );
    }
    Ok(track.run(lab.rounds(3)).finish())
}

/// What people use where there is no broker.
fn dispatchers(lab: &Lab) -> Result<Race> {
    let messages = lab.sized(MESSAGES);
    let lines = lab.lines(messages, BODY.len())?;
    let mut track = Track::new(
        "dispatchers",
        "Run a command for each of many records, two at once",
        "record",
    )
    .note(
        "xargs and GNU parallel read the records from a file: no broker, no acknowledgement, nothing is given back if \
         a command fails. xargs passes the record as an argument, the others on the command's standard input.",
    )
    .enter(consumer(lab, "amqp-consume -j 2", Who::Ours, ours(lab, 2, messages, &["cat"]), messages)?);
    let xargs = Invocation::of("xargs")
        .with(["-P", "2", "-n", "1", "true"])
        .fed(&lines);
    track = track.enter(Entry::command(lab, "xargs -P 2", Who::Dispatcher, xargs).work(messages));
    if let Some(parallel) = lab.tools.parallel() {
        let messages = lab.sized(200);
        let parallel = Invocation::of(parallel)
            .with(["--will-cite", "--pipe", "-N1", "-j2", "cat"])
            .fed(&lab.lines(messages, BODY.len())?);
        let entry = Entry::command(lab, "parallel --pipe -j2", Who::Dispatcher, parallel);
        track = track.enter(entry.work(messages));
    }
    Ok(track.run(lab.rounds(5)).finish())
}

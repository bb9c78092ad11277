//! One message or one queue, from the process's start to its end: what a shell script waits for.

use anyhow::Result;

use crate::bench::invocation::Invocation;
use crate::bench::lab::{Lab, QUEUE};
use crate::bench::results::{Race, Who};
use crate::bench::track::{Entry, Track};

const ROUNDS: usize = 100;
const WEIGHINGS: usize = 3;
const BODY: &str = "a message";

pub(crate) fn run(lab: &Lab) -> Result<Vec<Race>> {
    Ok(vec![declare(lab)?, publish(lab)?, get(lab)?, consume(lab)?])
}

/// The commands that are compared for a task: ours, the reference's, and the script's where there is one.
pub(crate) fn contenders(lab: &Lab, task: &str, url: &str) -> Vec<(String, Who, Invocation)> {
    let (tool, arguments): (&str, &[&str]) = match task {
        "declare" => ("amqp-declare-queue", &["-q", QUEUE]),
        "publish" => ("amqp-publish", &["-r", QUEUE, "-b", BODY]),
        "get" => ("amqp-get", &["-q", QUEUE]),
        _ => ("amqp-consume", &["-q", QUEUE, "-c", "1", "cat"]),
    };
    let for_script: &[&str] = match task {
        "publish" => &[QUEUE, BODY],
        "consume" => &[QUEUE, "1", "cat"],
        _ => &[QUEUE],
    };
    let ours = lab.ours_at(tool, url).with(arguments.iter().copied());
    let reference = Lab::reference_at(tool, url).with(arguments.iter().copied());
    let script = lab.script_at(&format!("{task}.py"), url);
    let mut all = vec![
        (tool.to_owned(), Who::Ours, ours),
        (format!("{tool} (reference)"), Who::Reference, reference),
    ];
    all.extend(script.map(|script| {
        let script = script.with(for_script.iter().copied());
        (format!("{task}.py (pika)"), Who::Script, script)
    }));
    all
}

fn track<'a>(lab: &'a Lab, task: &str, title: &str) -> Track<'a> {
    let entries = contenders(lab, task, &lab.url())
        .into_iter()
        .map(|(name, who, invocation)| Entry::command(lab, name, who, invocation));
    Track::new(&format!("one-shot-{task}"), title, "run").enter_all(entries)
}

fn measured(lab: &Lab, track: Track<'_>) -> Race {
    track
        .warm_up()
        .run(lab.rounds(ROUNDS))
        .weigh(WEIGHINGS)
        .finish()
}

fn declare(lab: &Lab) -> Result<Race> {
    lab.fresh_queue()?;
    let track = track(lab, "declare", "Declare a queue")
        .note("The queue exists already, so that all the time is the tool's and the protocol's.");
    Ok(measured(lab, track))
}

fn publish(lab: &Lab) -> Result<Race> {
    lab.fresh_queue()?;
    let unconfirmed = lab
        .ours("amqp-publish")
        .with(["-r", QUEUE, "-b", BODY, "--no-confirm"]);
    let track = track(lab, "publish", "Publish one message")
        .note("Ours and the script wait for the broker's confirm; the reference cannot.")
        .enter(Entry::command(
            lab,
            "amqp-publish --no-confirm",
            Who::Ours,
            unconfirmed,
        ));
    Ok(measured(lab, track))
}

fn get(lab: &Lab) -> Result<Race> {
    fill(lab)?;
    let track = track(lab, "get", "Get one message")
        .note("Ours acknowledges once the body is written, the reference before.");
    Ok(measured(lab, track))
}

fn consume(lab: &Lab) -> Result<Race> {
    fill(lab)?;
    let track = track(lab, "consume", "Consume one message with cat");
    Ok(measured(lab, track))
}

/// A queue with more messages than all rounds take.
fn fill(lab: &Lab) -> Result<()> {
    let messages = 1000;
    lab.seeded_queue(&lab.lines(messages, 10)?, messages)
}

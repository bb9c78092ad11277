//! The trials: what a reader of the tutorial, a cluster and a system's administrator do with what we ship.
//!
//! Each stands alone on one ground: a network with the broker of `k8s/rabbitmq.yaml` on it.

mod ground;
mod jobs;
mod names;
mod package;
mod sizes;
mod stopping;
mod tutorial;

use std::time::Instant;

use anyhow::{Result, ensure};

use super::build;
use super::docker::sweep;
use ground::Ground;

type Trial = fn(&Ground) -> Result<()>;

const TRIALS: [(&str, Trial); 14] = [
    ("the images keep within their sizes", sizes::within_bounds),
    (
        "the tools image holds the tools, certificates and nothing else",
        sizes::tools_hold_what_they_say,
    ),
    (
        "a tool in an empty image finds the broker by its short name",
        tutorial::from_scratch,
    ),
    (
        "every kind of name is found, whatever nsswitch.conf says",
        names::beside_modules,
    ),
    (
        "the worker image needs no root and no writable disk",
        sizes::worker_is_unprivileged,
    ),
    (
        "the tutorial's lines work as pasted into the debug pod",
        tutorial::as_pasted,
    ),
    (
        "the Job does eight tasks, one of them twice, with a pod killed",
        jobs::eight_tasks,
    ),
    ("the seeding Job fills the queue", jobs::seeding),
    (
        "the Job without completions ends when the queue is empty",
        jobs::until_empty,
    ),
    ("the Job with parking sets bad tasks aside", jobs::parking),
    ("KEDA's Job takes one task", jobs::scaled),
    ("an idle worker stops at once", stopping::idle),
    ("a busy worker finishes its task first", stopping::busy),
    (
        "the Debian package takes the place of amqp-tools",
        package::replaces_the_original,
    ),
];

/// Builds the images and runs every trial. The last line counts them.
pub(crate) fn run() -> Result<()> {
    sweep()?;
    timed("building the images", build::all)?;
    let ground = timed("starting the broker", Ground::prepare)?;
    let failed = TRIALS
        .iter()
        .filter(|(name, trial)| !succeeds(name, || trial(&ground)))
        .count();
    println!("{} passed, {failed} failed", TRIALS.len() - failed);
    ensure!(failed == 0, "trials have failed");
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work()?;
    println!("{what}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(result)
}

fn succeeds(name: &str, trial: impl FnOnce() -> Result<()>) -> bool {
    let start = Instant::now();
    let result = trial();
    let seconds = start.elapsed().as_secs_f64();
    match &result {
        Ok(()) => println!("ok      {name} ({seconds:.0} s)"),
        Err(error) => println!("FAILED  {name} ({seconds:.0} s)\n{error:?}"),
    }
    result.is_ok()
}

//! amqp-consume: what becomes of messages, of commands, and of the tool itself.

mod batch;
mod broker_trouble;
mod coprocess;
mod environment;
mod exit_status;
mod failure;
pub(crate) mod first_process;
mod joblog;
mod jobs;
mod json;
mod node_restart;
mod output;
mod own_queue;
mod pipeline;
mod policies;
mod random_walk;
mod reply;
mod retry_later;
mod signals;
mod stdin;
mod storm;
mod streams;
mod tag;
mod time;
mod told;

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Test, eventually};

/// A command that fails on the body `bad` with status 7, and writes every other into the file `done`.
const PICKY: &str =
    r#"read -r body; echo "$body" >>runs; [ "$body" != bad ] || exit 7; echo "$body" >>done"#;

/// The processes that run in the test's folder.
fn processes(test: &Test) -> Vec<Pid> {
    let folder = test.path("");
    let runs_there = |process: &Path| {
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder))
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let process = entry.unwrap().path();
            let number = process.file_name()?.to_str()?.parse().ok()?;
            runs_there(&process).then(|| Pid::from_raw(number).unwrap())
        })
        .collect()
}

/// Waits until nothing that the test has started runs any more.
#[track_caller]
fn nobody_is_left(test: &Test) {
    eventually("processes in the test's folder", || {
        processes(test).is_empty()
    });
}

/// Ends whatever the test has started and left behind on purpose.
fn end_all(test: &Test) {
    for process in processes(test) {
        let _ = kill_process(process, Signal::KILL);
    }
    nobody_is_left(test);
}

/// The lines of a file in the test's folder.
fn lines(test: &Test, name: &str) -> Vec<String> {
    test.read(name).lines().map(str::to_owned).collect()
}

/// The same in alphabetical order.
fn sorted_lines(test: &Test, name: &str) -> Vec<String> {
    let mut lines = lines(test, name);
    lines.sort();
    lines
}

/// Waits until a file in the test's folder has that many lines.
#[track_caller]
fn has_lines(test: &Test, name: &str, count: usize) {
    eventually(&format!("{count} lines in {name}"), || {
        lines(test, name).len() >= count
    });
}

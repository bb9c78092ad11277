//! amqp-consume as the first process of a container: no signal has a default there, and orphans are its own.

use std::fs;

use amiquip::AmqpProperties;
use rustix::process::{Pid, kill_process};

use super::{has_lines, lines, nobody_is_left};
use crate::support::{Command, Running, Signal, Test, eventually_some};

/// The tool as process 1 of a namespace of its own.
pub(crate) fn as_first_process<'t>(test: &'t Test, line: &str) -> Command<'t> {
    test.run(&format!(
        "unshare --user --map-root-user --pid --fork --mount-proc --kill-child {line}"
    ))
}

/// Signals the process that `unshare` waits for.
pub(crate) fn signal_first_process(running: &Running<'_>, signal: Signal) {
    let id = running.id();
    let children = format!("/proc/{id}/task/{id}/children");
    let child = eventually_some("the first process", || {
        fs::read_to_string(&children)
            .ok()?
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
    });
    kill_process(child, signal).unwrap();
}

#[test]
fn signals_work_without_defaults() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        let tool = as_first_process(&test, "amqp-consume -q {queue} cat").spawn();
        queue.has_consumers(1);
        signal_first_process(&tool, signal);
        tool.exits(status);
    }
}

#[test]
fn a_running_command_is_let_finish() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script(
        "patient",
        "touch ready; until [ -e go ]; do sleep 0.01; done",
    );
    let tool = as_first_process(&test, "amqp-consume -q {queue} -c 1 ./patient").spawn();
    test.wait_for_file("ready");
    signal_first_process(&tool, Signal::TERM);
    queue.has_consumers(0);
    test.file("go", "");
    tool.succeeds();
    queue.holds(0);
}

#[test]
fn orphans_are_reaped() {
    let test = Test::new();
    test.queue("queue").declare().publish(["leave", "wait"]);
    test.script(
        "adopt",
        r#"if [ "$(cat)" = leave ]; then
             sh -c 'echo $$ >orphan; exec sleep 0.05' &
             until [ -s orphan ]; do sleep 0.01; done
           else
             # A zombie would be there for ever.
             while [ -e /proc/$(cat orphan) ]; do sleep 0.01; done
           fi"#,
    );
    as_first_process(&test, "amqp-consume -q {queue} -c 2 ./adopt").succeeds();
    nobody_is_left(&test);
}

#[test]
fn orphans_statuses_are_not_mistaken_for_commands() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for number in 0..40 {
        let properties = AmqpProperties::default().with_message_id((number % 4).to_string());
        queue.publish_with("", &properties);
    }
    test.script(
        "litter",
        r"for status in 11 12 13; do (exit $status) & done
          (sleep 0.01; exit 14) &
          exit $AMQP_MESSAGE_ID",
    );
    as_first_process(
        &test,
        "amqp-consume -q {queue} -c 40 -j 4 --joblog log ./litter",
    )
    .ends();
    has_lines(&test, "log", 41);
    for line in &lines(&test, "log")[1..] {
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields[3], fields[6], "status and message id in {line}");
    }
    queue.holds(30);
}

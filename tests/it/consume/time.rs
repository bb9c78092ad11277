//! Time limits: of commands, of waiting for messages, of the end.

use std::time::{Duration, Instant};

use super::{end_all, has_lines, lines, nobody_is_left};
use crate::support::{Signal, Test};

#[test]
fn a_command_that_runs_too_long_is_ended_with_all_that_it_started() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script("linger", "sleep 1000 & sleep 1000");
    test.run("amqp-consume -q {queue} -c 1 --timeout 100ms ./linger")
        .any_stderr()
        .exits(124);
    nobody_is_left(&test);
    queue.holds(1);
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_5_seconds_later() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script("stubborn", "trap '' TERM; while :; do sleep 0.1; done");
    let began = Instant::now();
    test.run("amqp-consume -q {queue} -c 1 --timeout 100ms --joblog log ./stubborn")
        .any_stderr()
        .exits(124);
    assert!(began.elapsed() >= Duration::from_secs(5));
    assert!(
        lines(&test, "log")[1].contains("\t124\t9\t"),
        "{}",
        test.read("log")
    );
    nobody_is_left(&test);
    queue.holds(1);
}

#[test]
fn a_command_that_ran_too_long_has_failed_though_it_says_otherwise() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script(
        "apologize",
        "trap 'exit 0' TERM; while :; do sleep 0.01; done",
    );
    test.run("amqp-consume -q {queue} -c 1 --timeout 100ms ./apologize")
        .any_stderr() // the shell tells how its sleep ended
        .exits(124);
    queue.holds(1);
}

#[test]
fn a_stopped_command_is_ended_too() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --timeout 200ms sh -c 'kill -STOP $$'")
        .exits(124);
    queue.holds(1);
}

#[test]
fn a_queue_is_drained() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let bodies: Vec<String> = (0..50).map(|number| format!("{number}\n")).collect();
    queue.publish(&bodies);
    let all = bodies.concat();
    test.run("amqp-consume -q {queue} --idle-timeout 0s cat")
        .stdout(&all)
        .succeeds();
    queue.holds(0);
}

#[test]
fn nothing_at_all_has_a_status_of_its_own() {
    let test = Test::new();
    test.queue("queue").declare();
    for (flags, status) in [
        ("--idle-timeout 0s", 0),
        ("--idle-timeout 0s --idle-status 100", 100),
        ("--idle-timeout 100ms --idle-status 100", 100),
        ("--idle-timeout 100ms -c 3 --idle-status 100", 100),
    ] {
        test.run(&format!("amqp-consume -q {{queue}} {flags} cat"))
            .exits(status);
    }
    test.queue("queue").publish(["a"]);
    test.run("amqp-consume -q {queue} -c 3 --idle-timeout 100ms --idle-status 100 cat")
        .stdout("a")
        .succeeds();
}

#[test]
fn a_running_command_is_not_idleness() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    // Longer than the limit, and only then the next message is asked for.
    test.run("amqp-consume -q {queue} --idle-timeout 300ms sh -c 'sleep 0.6; cat'")
        .stdout("ab")
        .succeeds();
}

#[test]
fn a_message_starts_the_wait_anew() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let mut tool = test
        .run("amqp-consume -q {queue} --idle-timeout 2s cat")
        .stdout("abcd")
        .spawn();
    let began = Instant::now();
    for body in ["a", "b", "c", "d"] {
        queue.publish([body]);
        tool.has_printed(body);
        queue.has_consumers(1);
    }
    let published = began.elapsed();
    tool.succeeds();
    assert!(began.elapsed() >= published + Duration::from_secs(1));
}

#[test]
fn grace_is_how_long_commands_may_go_on() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let tool = test
        .run("amqp-consume -q {queue} --grace 100ms sh -c 'touch ready; exec sleep 1000'")
        .spawn();
    test.wait_for_file("ready");
    tool.signal(Signal::TERM);
    tool.exits(143);
    nobody_is_left(&test);
    queue.holds(1);
}

#[test]
fn a_command_that_ends_within_the_grace_is_done() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    let tool = test
        .run("amqp-consume -q {queue} -j 2 -c 2 --grace 1h sh -c 'echo >>ready; until [ -e go ]; do sleep 0.01; done'")
        .spawn();
    has_lines(&test, "ready", 2);
    tool.signal(Signal::TERM);
    queue.has_consumers(0);
    test.file("go", "");
    tool.succeeds();
    queue.holds(0);
    end_all(&test);
}

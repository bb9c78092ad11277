//! Several commands at once, what the broker hands over for them, and acknowledging early.

use super::{PICKY, end_all, has_lines, nobody_is_left};
use crate::support::{Running, Signal, Test};

/// Kills the tool, and then the commands, which hold its streams open.
#[track_caller]
fn kill(test: &Test, tool: Running<'_>) {
    tool.signal(Signal::KILL);
    end_all(test);
    tool.dies_of(Signal::KILL);
}

#[test]
fn commands_run_at_the_same_time() {
    let test = Test::new();
    test.queue("queue").declare().publish(["1", "2", "3"]);
    // Each ends only when all three have begun.
    test.run("amqp-consume -q {queue} -j 3 -c 3 sh -c 'echo >>begun; until [ $(wc -l <begun) = 3 ]; do sleep 0.01; done'")
        .succeeds();
}

#[test]
fn no_more_run_than_were_allowed() {
    let test = Test::new();
    test.queue("queue")
        .declare()
        .publish((0..20).map(|number| number.to_string()));
    test.script(
        "count",
        r"mkdir slot-a 2>/dev/null && slot=slot-a || { mkdir slot-b && slot=slot-b; } || exit 1; sleep 0.01; rmdir $slot",
    );
    test.run("amqp-consume -q {queue} -j 2 -p 10 -c 20 ./count")
        .succeeds();
}

#[test]
fn a_slow_command_holds_up_no_other() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["slow", "1", "2", "3", "4", "5"]);
    test.script(
        "work",
        r#"if [ "$(cat)" = slow ]; then until [ "$(wc -l <done)" = 5 ]; do sleep 0.01; done; else echo >>done; fi"#,
    );
    test.file("done", "");
    test.run("amqp-consume -q {queue} -j 2 -c 6 ./work")
        .succeeds();
    queue.holds(0);
}

#[test]
fn the_broker_hands_over_no_more_than_can_run() {
    for (flags, left) in [
        ("", 9),
        ("-j 3", 7),
        ("-j 3 -p 5", 5),
        ("-j 3 -c 2", 8),
        ("-p 0", 0),
        ("-p 5 -c 1", 9),
    ] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        queue.publish((0..10).map(|number| number.to_string()));
        let tool = test
            .run(&format!(
                "amqp-consume -q {{queue}} {flags} sh -c 'touch ready; exec sleep 1000'"
            ))
            .spawn();
        test.wait_for_file("ready");
        queue.holds(left);
        kill(&test, tool);
        queue.holds(10);
    }
}

#[test]
fn messages_are_acknowledged_one_by_one() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["slow", "quick"]);
    test.script(
        "work",
        r#"[ "$(cat)" = quick ] && exit; touch ready; exec sleep 1000"#,
    );
    let tool = test
        .run("amqp-consume -q {queue} -j 2 --joblog log ./work")
        .spawn();
    test.wait_for_file("ready");
    has_lines(&test, "log", 2);
    // A message that comes now shows that the tool has gone on behind the acknowledgement.
    queue.publish(["quick"]);
    has_lines(&test, "log", 3);
    kill(&test, tool);
    // The acknowledgement of the last one may have been on its way.
    queue.has_consumers(0);
    let left = queue.take_texts();
    assert!(
        ["slow", "quick"].starts_with(&left.iter().map(String::as_str).collect::<Vec<_>>()),
        "{left:?}"
    );
    assert_eq!(left.first().map(String::as_str), Some("slow"));
}

#[test]
fn no_ack_acknowledges_before_the_command_runs() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let tool = test
        .run("amqp-consume -q {queue} -A sh -c 'touch ready; exec sleep 1000'")
        .spawn();
    test.wait_for_file("ready");
    queue.publish(["b"]);
    queue.holds(0);
    kill(&test, tool);
    queue.holds(1);
    assert_eq!(queue.take_texts(), ["b"]);
}

#[test]
fn no_ack_takes_no_more_than_the_prefetch() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish((0..100).map(|number| number.to_string()));
    let tool = test
        .run("amqp-consume -q {queue} -A sh -c 'touch ready; exec sleep 1000'")
        .stderr_line(
            "a message was acknowledged before its command succeeded (--no-ack): it is lost",
        )
        .spawn();
    test.wait_for_file("ready");
    // One is acknowledged and runs, one is handed over.
    queue.holds(98);
    tool.signal(Signal::TERM);
    queue.has_consumers(0);
    tool.signal(Signal::TERM);
    tool.exits(143);
    queue.holds(99);
    nobody_is_left(&test);
}

#[test]
fn no_ack_failures_are_gone_but_told() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "bad", "b"]);
    test.script("picky", PICKY);
    test.run("amqp-consume -q {queue} -A -c 3 ./picky")
        .stderr_line("it was acknowledged before (--no-ack) and is lost")
        .exits(7);
    assert_eq!(super::lines(&test, "done"), ["a", "b"]);
    queue.holds(0);
}

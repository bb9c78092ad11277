//! The tests' vocabulary itself: it fails when it should, and cleans up after itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::support::{Proxy, Signal, Test, Tools};

/// What a test would have printed as it failed.
fn failure(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("it should have failed");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn what_is_not_named_must_be_empty() {
    let test = Test::new();
    let report = failure(|| drop(test.shell("echo out; echo err >&2; exit 3").succeeds()));
    for part in [
        "exit status 0, not with exit status 3",
        "stdout should be \"\"",
        "stderr should be \"\"",
        "out",
        "err",
    ] {
        assert!(report.contains(part), "{part:?} is not in: {report}");
    }
}

#[test]
fn a_failure_tells_the_depth_of_the_queues() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a", "b"]);
    let report = failure(|| drop(test.run("false").succeeds()));
    assert!(report.contains("2 messages ready, 0 consumers"), "{report}");
}

#[test]
fn a_command_that_does_not_end_is_killed_with_its_children() {
    let test = Test::new();
    let script = "sleep 1000 & echo $! > pid; wait";
    let report = failure(|| drop(test.shell(script).within(Duration::from_millis(300)).ends()));
    assert!(report.contains("still running"), "{report}");
    test.shell(
        "while kill -0 $(cat pid) && ! grep -q 'State:.Z' /proc/$(cat pid)/status; do :; done",
    )
    .any_stderr()
    .succeeds();
}

#[test]
fn a_running_command_is_fed_watched_and_signalled() {
    let test = Test::new();
    let mut cat = test
        .run("cat")
        .stdin_stays_open()
        .stdout("one\ntwo\n")
        .spawn();
    cat.write("one\n");
    cat.has_printed("one\n");
    cat.write("two\n");
    cat.close_stdin();
    cat.succeeds();
    let sleep = test.run("sleep 1000").spawn();
    sleep.signal(Signal::TERM);
    sleep.dies_of(Signal::TERM);
}

#[test]
fn queues_are_gone_after_the_test() {
    let witness = Test::new();
    let name = {
        let test = Test::of(Tools::Reference);
        test.run("amqp-declare-queue -d -u {url} -q {queue}")
            .stdout("{queue}\n")
            .succeeds();
        test.name("queue")
    };
    assert!(!witness.adopt(&name).exists());
}

#[test]
fn the_proxy_passes_stalls_and_cuts() {
    let test = Test::of(Tools::Reference);
    let proxy = Proxy::before(&test);
    let queue = test.queue("queue").declare();
    queue.publish(["one", "two", "three"]);
    test.run("amqp-get -q {queue}")
        .args(["-u", &proxy.url()])
        .stdout("one")
        .succeeds();
    assert_eq!(proxy.connections(), 1);
    assert!(proxy.bytes_from_broker() > 100 && proxy.bytes_to_broker() > 100);

    proxy.stall();
    let stalled = test
        .run("amqp-get -q {queue}")
        .args(["-u", &proxy.url()])
        .stdout("two")
        .spawn();
    crate::support::eventually("a second connection", || proxy.connections() == 2);
    proxy.resume();
    stalled.succeeds();

    let mut consumer = test
        .run("amqp-consume -q {queue} cat")
        .args(["-u", &proxy.url()]);
    consumer = consumer.stdout("three").stderr_contains("");
    let mut consumer = consumer.spawn();
    consumer.has_printed("three");
    proxy.cut();
    consumer.exits(1);

    proxy.refuse();
    test.run("amqp-get -q {queue}")
        .args(["-u", &proxy.url()])
        .stderr_contains("logging in to AMQP server: ")
        .exits(1);
}

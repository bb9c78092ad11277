//! Failures that end a run or are parked at once, and limits to its time and its rate.

use std::time::{Duration, Instant};

use super::{PICKY, lines};
use crate::support::{Proxy, Test, eventually};

#[test]
fn a_message_that_stops_the_run_goes_back_and_the_others_are_finished() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["slow", "bad", "untried"]);
    test.script(
        "work",
        "read -r body; case $body in \
         slow) while [ ! -e bad-ran ]; do sleep 0.05; done; sleep 0.3; >done;; \
         bad) >bad-ran; exit 70;; *) >tried; esac",
    );
    test.run("amqp-consume --quiet -q {queue} -j 2 --on-exit 70=stop ./work")
        .exits(70);
    assert!(test.path("done").exists() && !test.path("tried").exists());
    queue.holds(2);
}

#[test]
fn a_message_that_stops_the_run_uses_up_its_attempts() {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let queue = test.queue("queue").declare();
    queue.publish(["bad"]);
    let line = "amqp-consume --quiet -q {queue} --on-failure stop --max-attempts 2 --park {parking} \
                sh -c 'echo $AMQP_ATTEMPT >>runs; exit 7'";
    test.run(line).exits(7);
    queue.holds(1);
    test.run(line).exits(7);
    queue.holds(0);
    parking.holds(1);
    assert_eq!(lines(&test, "runs"), ["1", "2"]);
}

#[test]
fn failures_in_a_row_halt_the_run_and_a_success_between_them_does_not() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["bad", "good", "bad", "bad", "untried"]);
    test.script("picky", PICKY);
    test.run("amqp-consume --quiet -q {queue} --on-failure ack --halt 2 ./picky")
        .exits(7);
    assert_eq!(lines(&test, "runs"), ["bad", "good", "bad", "bad"]);
    queue.holds(1);
}

#[test]
fn an_exit_status_parks_at_once() {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let queue = test.queue("queue").declare();
    queue.publish(["bad", "good"]);
    test.script("picky", PICKY);
    test.run("amqp-consume --quiet -q {queue} --idle-timeout 0s --on-exit 7=park --park {parking} ./picky")
        .succeeds();
    queue.holds(0);
    parking.holds(1);
    let message = parking.take().unwrap();
    let headers = message.properties.headers().clone().unwrap();
    assert!(headers.contains_key("x-failed-at"), "{headers:?}");
}

#[test]
fn the_time_of_a_run_ends_it_and_lets_its_commands_finish() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "untried"]);
    let line = "amqp-consume -q {queue} --max-time 1s --idle-status 9";
    test.run(&format!("{line} sh -c 'sleep 2; >done'"))
        .succeeds();
    assert!(test.path("done").exists());
    queue.holds(1);
    queue.take().unwrap();
    test.run(&format!("{line} cat")).exits(9);
}

#[test]
fn a_command_whose_retries_the_end_cuts_short_has_failed() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let line = "amqp-consume --quiet -q {queue} --max-time 1s --retries 5 --retry-delay 1h sh -c";
    // It waits for its next try when the time is over, or it still runs then.
    for script in ["exit 7", "sleep 2; exit 7"] {
        test.run(&format!("{line} '{script}'")).exits(7);
        queue.holds(1);
    }
}

/// The work would have to be done again, and there is no time for it.
#[test]
fn no_connection_is_opened_after_the_time_of_the_run() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let proxy = Proxy::before(&test);
    let tool = test
        .run(
            "amqp-consume -q {queue} --max-time 2s --retry 1m --error-status 99 \
             sh -c '>ready; while [ ! -e go ]; do sleep 0.05; done'",
        )
        .env("AMQP_URL", &proxy.url())
        .stderr_contains("the broker closed the connection; --max-time is over")
        .spawn();
    eventually("a command", || test.path("ready").exists());
    eventually("no consumer", || queue.consumers() == 0);
    proxy.cut();
    test.file("go", "");
    tool.exits(99);
    queue.holds(1);
}

#[test]
fn no_more_commands_start_than_the_rate_allows() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b", "c", "d"]);
    let began = Instant::now();
    test.run("amqp-consume -q {queue} -j 4 -c 4 --rate 120/m true")
        .succeeds();
    assert!(
        began.elapsed() >= Duration::from_millis(1400),
        "three pauses of half a second"
    );
    queue.holds(0);
}

#[test]
fn a_tool_that_fails_itself_has_the_status_for_that() {
    let test = Test::new();
    test.run("amqp-consume -q {missing} --error-status 99 cat")
        .stderr_contains("404")
        .exits(99);
    test.run("amqp-consume -s 127.0.0.1 --port 1 -q q --error-status 99 cat")
        .stderr_contains("opening socket")
        .exits(99);
    test.run("amqp-consume -s 127.0.0.1 -q q --authfile missing --error-status 99 cat")
        .stderr_contains("reading the auth file missing")
        .exits(99);
    // A wrong command line is none of these.
    test.run("amqp-consume -q q --error-status 99 --timeout soon cat")
        .any_stderr()
        .exits(1);
}

#[test]
fn a_queue_that_is_deleted_has_the_status_of_a_tool_that_fails_itself() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let tool = test
        .run("amqp-consume -q {queue} --error-status 99 cat")
        .stderr_contains("basic.cancel")
        .spawn();
    eventually("a consumer", || queue.consumers() == 1);
    queue.delete();
    tool.exits(99);
}

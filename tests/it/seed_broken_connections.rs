//! amqp-publish when the connection breaks, or the broker goes away: nothing is lost, and the status says so.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Proxy, Queue, Test, eventually};

/// What must be in the queue, whatever else is there twice.
#[track_caller]
fn has_all(queue: &Queue<'_>, count: u32) {
    let texts: BTreeSet<String> = queue.take_texts().into_iter().collect();
    let expected: BTreeSet<String> = (1..=count).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
}

#[test]
fn a_broken_connection_is_an_error_that_says_how_far_it_came() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let proxy = Proxy::before(&test);
    let mut publish = test
        .run("amqp-publish -r {queue} -l")
        .args(["--url", &proxy.url()])
        .stdin_stays_open()
        .stderr_contains("basic.publish: connection lost: ")
        .stderr_contains("\n1 message confirmed\n")
        .spawn();
    publish.write("1\n");
    queue.holds(1);
    // The confirmation is on its way back, or has come.
    test.run("amqp-publish -r {queue} -b 2")
        .args(["--url", &proxy.url()])
        .succeeds();
    proxy.cut();
    publish.has_complained("confirmed");
    publish.exits(1);
}

#[test]
fn with_retry_it_is_opened_again_and_what_was_not_confirmed_is_sent_again() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let proxy = Proxy::before(&test);
    let mut publish = test
        .run("amqp-publish -r {queue} -l --chomp --retry 1m --json")
        .args(["--url", &proxy.url()])
        .stdin_stays_open()
        .stdout_contains("{\"published\":900,\"confirmed\":900,\"returned\":0,\"rejected\":0,")
        .stderr_contains("basic.publish: connection lost: ")
        .stderr_contains("; connecting again\n")
        .spawn();
    for cut in 1..=3 {
        for number in cut * 300 - 299..=cut * 300 {
            publish.write(format!("{number}\n"));
        }
        eventually("some have arrived", || queue.depth() >= cut * 300 - 200);
        // Cut while nothing can pass: some are confirmed and some are not, and the tool does not know which.
        proxy.stall();
        proxy.cut();
        proxy.resume();
        eventually("it connects again", || proxy.connections() > cut as usize);
    }
    publish.close_stdin();
    publish.succeeds();
    has_all(&queue, 900);
}

#[test]
fn with_retry_a_connection_may_break_while_nothing_is_on_its_way() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let proxy = Proxy::before(&test);
    let mut publish = test
        .run("amqp-publish -r {queue} -l --chomp --retry 1m")
        .args(["--url", &proxy.url()])
        .stdin_stays_open()
        .stderr_contains("; connecting again\n")
        .spawn();
    publish.write("1\n");
    queue.holds(1);
    proxy.cut();
    eventually("it connects again", || proxy.connections() == 2);
    publish.write("2\n");
    publish.close_stdin();
    publish.succeeds();
    has_all(&queue, 2);
}

#[test]
fn with_retry_a_connection_may_break_in_the_middle_of_a_large_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let proxy = Proxy::before(&test);
    // RabbitMQ 4 takes at most 16 MiB.
    let body = vec![b'x'; 12 << 20];
    test.file("body", &body);
    proxy.delay(Duration::from_millis(10));
    let publish = test
        .run("amqp-publish -r {queue} --retry 1m body")
        .args(["--url", &proxy.url()])
        .stderr_contains("; connecting again\n")
        .spawn();
    eventually("some has passed", || proxy.bytes_to_broker() > 1 << 20);
    proxy.delay(Duration::ZERO);
    proxy.cut();
    publish.succeeds();
    let messages = queue.take_all();
    assert!(messages.len() == 1 && messages[0].body == body);
}

#[test]
fn retrying_ends_when_its_time_is_over() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let proxy = Proxy::before(&test);
    let mut publish = test
        .run("amqp-publish -r {queue} -l --retry 1s")
        .args(["--url", &proxy.url()])
        .stdin_stays_open()
        .stderr_contains("; connecting again\n")
        .stderr_contains("\n1 message confirmed\n")
        .spawn();
    publish.write("1\n");
    queue.holds(1);
    proxy.refuse();
    publish.has_complained("confirmed");
    publish.exits(1);
}

#[test]
fn with_retry_a_returned_message_is_an_error_all_the_same() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let proxy = Proxy::before(&test);
    let mut publish = test
        .run("amqp-publish -r {queue} -l --retry 1m")
        .args(["--url", &proxy.url()])
        .stdin_stays_open()
        .stderr_contains("; connecting again\n")
        .stderr_contains("basic.publish: no queue '{queue}'\n")
        .stderr_contains("1 message confirmed; the first unconfirmed is -:2\n")
        .spawn();
    publish.write("1\n");
    queue.holds(1);
    queue.delete();
    proxy.cut();
    eventually("it connects again", || proxy.connections() == 2);
    publish.write("2\n");
    publish.has_complained("no queue");
    publish.exits(1);
}

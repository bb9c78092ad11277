//! What the world can have wrong: the reference's words for it, status 1, and the work is not called done.

use crate::support::{Test, rabbitmqs};

/// The tools' shortest command lines for the queue, or for an exchange.
const LINES: [&str; 9] = [
    "amqp-declare-exchange {exchange}",
    "amqp-delete-exchange {exchange}",
    "amqp-declare-queue -q {queue} -d",
    "amqp-delete-queue -q {queue}",
    "amqp-publish -r {queue} -b a",
    "amqp-get -q {queue}",
    "amqp-consume -q {queue} -c 1 cat",
    "amqp-call -r {queue} -b a",
    "amqp-move -q {queue} -e amq.fanout",
];

#[test]
fn a_refused_port_is_told() {
    let test = Test::new();
    for line in LINES {
        test.run(line)
            .env("AMQP_URL", "amqp://127.0.0.1:1")
            .stderr("opening socket to 127.0.0.1:1: Connection refused\n")
            .exits(1);
    }
}

/// Whether the machine has IPv6 or only has the name of it.
#[test]
fn of_the_addresses_of_a_name_the_one_that_could_be_tried_is_told() {
    Test::new()
        .run("amqp-get -q queue -u amqp://localhost:1")
        .stderr("opening socket to localhost:1: Connection refused\n")
        .exits(1);
}

#[test]
fn an_unknown_host_is_told() {
    let test = Test::new();
    for line in LINES {
        test.run(line)
            .env("AMQP_URL", "amqp://no-such-host.invalid")
            .stderr_line("opening socket to no-such-host.invalid:5672: ")
            .exits(1);
    }
}

#[test]
fn a_refused_login_is_told_without_the_password() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    for line in LINES {
        let refused = test
            .run(line)
            .env("AMQP_URL", "amqp://guest:s3cret@{host}:{port}")
            .stderr_refusal(
                "logging in to AMQP server: server connection error ",
                "403, message: ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
            )
            .exits(1);
        assert!(!refused.stderr_text().contains("s3cret"));
    }
    test.queue("queue").holds(1);
}

#[test]
fn an_unknown_vhost_is_told() {
    let test = Test::new();
    for line in LINES {
        test.run(line)
            .env("AMQP_URL", "{url}/nowhere")
            .stderr_refusal(
                "logging in to AMQP server: server connection error ",
                "530, message: NOT_ALLOWED - vhost nowhere not found\n",
            )
            .exits(1);
    }
}

#[test]
fn a_missing_queue_is_told_with_the_method() {
    let test = Test::new();
    let not_found = "channel error 404, message: NOT_FOUND - no queue '{queue}' in vhost '/'\n";
    for (line, method) in [
        ("amqp-get -q {queue}", "basic.get"),
        ("amqp-consume -q {queue} -c 1 cat", "basic.consume"),
        ("amqp-declare-queue -q {queue} --passive", "queue.declare"),
    ] {
        test.run(line)
            .stderr_refusal(&format!("{method}: server "), not_found)
            .exits(1);
    }
    assert!(!test.queue("queue").exists());
}

#[test]
fn an_inequivalent_declaration_is_told() {
    let test = Test::new();
    test.queue("queue").declare();
    test.run("amqp-declare-queue -q {queue}")
        .stderr(
            "queue.declare: server channel error 406, message: PRECONDITION_FAILED - inequivalent arg 'durable' \
             for queue '{queue}' in vhost '/': received 'false' but current is 'true'\n",
        )
        .exits(1);
}

#[test]
fn a_body_over_the_brokers_limit_is_told_and_nothing_is_left() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.shell("head -c 140000000 /dev/zero | amqp-publish -r {queue}")
        .stderr_contains("basic.publish: server channel error ")
        .stderr_contains(rabbitmqs("PRECONDITION_FAILED - message size 140000000"))
        .exits(1);
    queue.holds(0);
}

#[test]
fn properties_that_fill_more_than_a_frame_are_refused_before_the_broker_closes() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let (one, two) = ("x".repeat(70_000), "y".repeat(70_000));
    test.run(&format!(
        "amqp-publish -r {{queue}} -b a -H 'one: {one}' -H 'two: {two}' --retry 1h"
    ))
    .stderr_contains("basic.publish: the headers and other properties take 140")
    .stderr_contains(", and a frame holds 131072: they are better in the body")
    .exits(1);
    let header = &two[..8192]; // RabbitMQ 4.1 and later take no smaller frames
    test.run(&format!(
        "amqp-publish -r {{queue}} -b a -u '{{url}}?frame_max=8192' -H 'two: {header}'"
    ))
    .stderr_contains("a frame holds 8192")
    .exits(1);
    queue.holds(0);
}

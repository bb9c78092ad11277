//! Queues that amqp-consume declares itself, and how it subscribes.

use std::env;

use crate::support::{Test, eventually};

/// Whether the run's broker refuses queues that are neither durable nor exclusive, as RabbitMQ does from 4.3 on.
fn refuses_transient_queues() -> bool {
    env::var("AMQP_TOOLS_BROKER").is_ok_and(|broker| broker == "rabbitmq-4.3-refusing")
}

#[test]
fn a_named_queue_is_declared_in_a_way_that_the_broker_takes() {
    let test = Test::new();
    let tool = test.run("amqp-consume -q {queue} -d -c 1 cat").stdout("a");
    let tool = if refuses_transient_queues() {
        tool.stderr_line("the queue is declared durable and auto-delete: this release of the broker has no queues that are neither durable nor exclusive")
    } else {
        tool
    };
    let tool = tool.spawn();
    let queue = test.queue("queue");
    eventually("the queue", || queue.exists());
    queue.publish(["a"]);
    tool.succeeds();
    eventually("it ends with its consumer", || !queue.exists());
}

#[test]
fn two_workers_declare_the_same_queue() {
    let test = Test::new();
    let line = "amqp-consume -q {queue} -d -c 1 cat";
    let first = test.run(line).any_stdout().any_stderr().spawn();
    let queue = test.queue("queue");
    eventually("the queue", || queue.exists());
    let second = test.run(line).any_stdout().any_stderr().spawn();
    queue.has_consumers(2);
    queue.publish(["a", "b"]);
    first.succeeds();
    second.succeeds();
}

#[test]
fn a_queue_that_the_broker_names_is_declared_in_a_way_that_it_takes() {
    let test = Test::new();
    test.run("amqp-declare-exchange -t fanout {exchange}")
        .any_stdout()
        .succeeds();
    let tool = test
        .run("amqp-consume -e {exchange} -c 1 cat")
        .stdout("a")
        .stderr_contains("Server provided queue name");
    let tool = if refuses_transient_queues() {
        tool.stderr_contains("the queue is declared exclusive")
    } else {
        tool
    };
    let tool = tool.spawn();
    // It may not be bound yet.
    test.shell(
        "until amqp-publish --url=$BROKER_URL -e {exchange} --mandatory -b a; do sleep 0.1; done",
    )
    .any_stderr()
    .succeeds();
    tool.succeeds();
    test.run("amqp-delete-exchange {exchange}").succeeds();
}

#[test]
fn a_consumer_has_arguments() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 --consumer-argument x-priority=high cat")
        .stderr_contains("x-priority")
        .exits(1);
    test.run("amqp-consume -q {queue} -c 1 --consumer-argument x-priority=5 cat")
        .stdout("a")
        .succeeds();
}

#[test]
fn a_consumer_can_be_the_only_one() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let first = test
        .run("amqp-consume -q {queue} -c 1 --exclusive-consumer cat")
        .stdout("a")
        .spawn();
    queue.has_consumers(1);
    test.run("amqp-consume -q {queue} -c 1 cat")
        .stderr_contains("server channel error 403")
        .exits(1);
    queue.publish(["a"]);
    first.succeeds();
}

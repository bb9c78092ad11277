//! What the broker or the network does to a running tool: an error or a new connection, and never a hang.

use std::time::Duration;

use amiquip::{AmqpValue, FieldTable};
use testbroker::{Broker, Options};

use super::{has_lines, lines, nobody_is_left};
use crate::support::{Proxy, Running, Signal, Test, eventually};
use crate::wire::{Server, serve_login};

const PATIENT: &str =
    r"cat >>taken; echo >>ready; until [ -e go ] || [ ! -e ready ]; do sleep 0.01; done";

/// A tool behind a proxy, whose command runs until it is told to go.
fn busy_behind<'t>(proxy: &Proxy, test: &'t Test, flags: &str, complaint: &str) -> Running<'t> {
    test.script("patient", PATIENT);
    test.queue("queue").declare().publish(["a"]);
    let url = proxy.url();
    let tool = test
        .run(&format!(
            "amqp-consume --url {url} -q {{queue}} {flags} ./patient"
        ))
        .stderr_contains(complaint)
        .spawn();
    has_lines(test, "ready", 1);
    tool
}

#[test]
fn a_deleted_queue_is_an_error() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let tool = test
        .run("amqp-consume -q {queue} cat")
        .stderr_line("basic.cancel: the broker cancelled the consumer: the queue is gone")
        .spawn();
    queue.has_consumers(1);
    queue.delete();
    tool.exits(1);
}

#[test]
fn a_command_whose_queue_is_deleted_is_let_finish() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script("patient", &format!("{PATIENT}; touch finished"));
    let mut tool = test
        .run("amqp-consume -q {queue} ./patient")
        .stderr_line("is gone")
        .spawn();
    has_lines(&test, "ready", 1);
    queue.delete();
    assert!(!tool.has_ended());
    test.file("go", "");
    tool.exits(1);
    test.wait_for_file("finished");
}

#[test]
fn a_deleted_queue_is_declared_anew_by_a_tool_that_retries() {
    let test = Test::new();
    let mut tool = test
        .run("amqp-consume -q {queue} -d --retry 1m cat")
        .stdout("ab")
        .stderr_contains("connecting anew")
        .spawn();
    let queue = test.queue("queue");
    eventually("a consumer", || queue.exists());
    queue.publish(["a"]);
    tool.has_printed("a");
    queue.delete();
    tool.has_complained("connecting anew");
    queue.has_consumers(1);
    queue.publish(["b"]);
    tool.has_printed("b");
    tool.signal(Signal::TERM);
    tool.exits(143);
}

#[test]
fn a_deleted_queue_that_should_exist_is_an_error_for_a_tool_that_retries() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let tool = test
        .run("amqp-consume -q {queue} --retry 1m cat")
        .stderr_contains("basic.consume: server channel error 404")
        .spawn();
    queue.has_consumers(1);
    queue.delete();
    tool.exits(1);
}

#[test]
fn a_cut_connection_is_an_error() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let queue = test.queue("queue").declare();
    let tool = test
        .run(&format!(
            "amqp-consume --url {} -q {{queue}} cat",
            proxy.url()
        ))
        .stderr_line("basic.consume: connection lost")
        .spawn();
    queue.has_consumers(1);
    proxy.cut();
    tool.exits(1);
}

#[test]
fn a_command_whose_connection_is_cut_is_ended() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let tool = busy_behind(&proxy, &test, "-c 1", "connection lost");
    proxy.cut();
    tool.exits(1);
    nobody_is_left(&test);
    test.queue("queue").holds(1);
}

#[test]
fn a_silent_broker_is_an_error_after_two_heartbeats() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let tool = busy_behind(&proxy, &test, "--heartbeat 1 -c 1", "no sign of life");
    proxy.stall();
    tool.exits(1);
    nobody_is_left(&test);
    proxy.cut();
    test.queue("queue").holds(1);
}

#[test]
fn the_connection_lives_while_a_command_runs_for_longer_than_heartbeats_allow() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} --heartbeat 1 -c 1 sleep 4")
        .succeeds();
    queue.holds(0);
}

#[test]
fn an_acknowledgement_that_the_broker_does_not_hear_is_no_success() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let tool = busy_behind(&proxy, &test, "-c 1 --heartbeat 1", "connection lost");
    proxy.stall();
    test.file("go", "");
    tool.exits(1);
    proxy.cut();
    test.queue("queue").holds(1);
}

#[test]
fn a_lost_connection_is_opened_again_and_the_message_comes_again() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let mut tool = busy_behind(&proxy, &test, "-c 1 --retry 1m", "the result is dropped");
    proxy.cut();
    tool.has_complained("connecting anew");
    // The first run goes on; its result does not count.
    test.file("go", "");
    tool.has_complained("ended with status 0 after its message was lost");
    tool.succeeds();
    assert_eq!(test.read("taken"), "aa");
    test.queue("queue").holds(0);
}

#[test]
fn commands_go_on_while_the_broker_is_away() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let mut tool = busy_behind(
        &proxy,
        &test,
        "-j 2 -c 2 --retry 1m --joblog log",
        "retrying",
    );
    proxy.refuse();
    tool.has_complained("retrying");
    test.file("go", "");
    has_lines(&test, "log", 2);
    test.queue("queue").publish(["b"]);
    proxy.resume();
    tool.succeeds();
    assert_eq!(lines(&test, "log").len(), 4, "{}", test.read("log"));
    test.queue("queue").holds(0);
}

#[test]
fn held_messages_come_back_by_a_lost_connection_too() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b", "c"]);
    let url = proxy.url();
    test.script("fail", "cat >>taken; echo >>ready; [ -e go ]");
    let tool = test
        .run(&format!(
            "amqp-consume --url {url} -q {{queue}} -p 10 --retry 1m --idle-timeout 1s ./fail"
        ))
        .stderr_contains("connecting anew")
        .spawn();
    has_lines(&test, "ready", 3);
    test.file("go", "");
    proxy.cut();
    tool.succeeds();
    queue.holds(0);
}

#[test]
fn what_the_broker_refuses_is_not_retried() {
    let test = Test::new();
    test.run("amqp-consume -q {missing} --retry 1h cat")
        .stderr_line("basic.consume: server channel error 404")
        .exits(1);
}

#[test]
fn a_tool_gives_up_on_a_broker_that_stays_away() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let tool = busy_behind(&proxy, &test, "--retry 1s", "gave up after 1s");
    proxy.refuse();
    tool.exits(1);
    nobody_is_left(&test);
    test.queue("queue").holds(1);
}

#[test]
fn connections_that_break_one_after_the_other_are_opened_for_as_long_as_retry_says() {
    let test = Test::new();
    let server = Server::start(|client| serve_login(client).map(drop));
    test.run("amqp-consume -q {queue} --retry 2s cat")
        .env("AMQP_URL", &format!("amqp://{}", server.address()))
        .stderr_contains("; connecting anew\n")
        .stderr_contains(" (gave up after 2s)\n")
        .exits(1);
}

#[test]
fn a_machine_without_room_for_commands_fails_no_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let tool = test
        .run("amqp-consume -q {queue} --on-failure ack cat")
        .stderr_line("starting a command: Too many open files")
        .spawn();
    queue.has_consumers(1);
    // The files that are open stay open, and there will be no other.
    test.run(&format!("prlimit --nofile=3 --pid {}", tool.id()))
        .succeeds();
    queue.publish(["a"]);
    tool.exits(1);
    queue.holds(1);
}

/// A broker that takes a message back which is not acknowledged for half a second.
fn impatient_broker() -> Broker {
    let broker = Broker::start(&Options::new()).unwrap();
    // How often it looks has no line in its configuration file.
    let settings = [("consumer_timeout", 500), ("channel_tick_interval", 500)]
        .map(|(name, milliseconds)| format!("application:set_env(rabbit, {name}, {milliseconds})"));
    broker
        .rabbitmqctl(&["eval", &format!("{}.", settings.join(", "))])
        .unwrap();
    broker
}

#[test]
fn a_command_that_outlasts_the_brokers_patience_is_explained() {
    let broker = impatient_broker();
    let test = Test::on(&broker.url());
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 sleep 1000")
        .stderr_contains("delivery acknowledgement on channel 1 timed out")
        .stderr_contains("consumer_timeout")
        .within(Duration::from_secs(60))
        .exits(1);
    nobody_is_left(&test);
    queue.holds(1);
}

#[test]
fn a_failed_message_that_is_held_for_longer_than_the_brokers_patience_is_explained() {
    let broker = impatient_broker();
    let test = Test::on(&broker.url());
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    // It waits for the second message, and holds the first.
    test.run("amqp-consume -q {queue} -c 2 --retry 1m false")
        .stderr_contains("delivery acknowledgement on channel 1 timed out")
        .stderr_contains("With -c, a failed message is held until the tool ends")
        .within(Duration::from_secs(60))
        .exits(1);
    queue.holds(1);
}

#[test]
fn with_retry_a_message_that_the_broker_took_back_is_worked_on_again() {
    let broker = impatient_broker();
    let test = Test::on(&broker.url());
    let arguments = [
        ("x-queue-type", AmqpValue::LongString("quorum".to_owned())),
        ("x-consumer-timeout", AmqpValue::LongInt(500)), // RabbitMQ 4.3 heeds only this
    ];
    let named = arguments.map(|(name, value)| (name.to_owned(), value));
    let queue = test.queue("queue").declare_with(FieldTable::from(named));
    queue.publish(["a"]);
    test.script(
        "work",
        "mkdir tried && while ! [ -e late ]; do sleep 0.01; done; echo done >>done",
    );
    let mut tool = test
        .run("amqp-consume -q {queue} -c 1 --retry 1m ./work")
        .any_stderr()
        .within(Duration::from_secs(60))
        .spawn();
    tool.has_complained("delivery acknowledgement on channel 1 timed out");
    test.file("late", "");
    let finished = tool.succeeds();
    assert!(finished.stderr_text().contains("the result is dropped"));
    assert_eq!(lines(&test, "done").len(), 2);
    queue.holds(0);
}

#[test]
fn a_copy_that_is_not_confirmed_is_told() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let failed = test.queue("failed").declare();
    test.queue("queue").declare().publish(["1", "2"]);
    test.script(
        "fail",
        "read -r body; echo >>ready; [ \"$body\" = 1 ] || until [ -e go ]; do sleep 0.01; done; exit 1",
    );
    let mut tool = test
        .run(&format!(
            "amqp-consume --url {} -q {{queue}} -c 2 --max-attempts 1 --park {{failed}} ./fail",
            proxy.url()
        ))
        .stderr_contains("basic.publish: the broker has confirmed nothing for 30s")
        .within(Duration::from_secs(90))
        .spawn();
    // The connection for copies is open.
    failed.holds(1);
    has_lines(&test, "ready", 2);
    proxy.stall();
    test.file("go", "");
    tool.has_complained("confirmed nothing");
    proxy.resume();
    tool.exits(1);
    failed.holds(2);
}

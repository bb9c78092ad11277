//! What the tool says of failed commands.

use amiquip::AmqpProperties;

use super::lines;
use crate::support::{Signal, Test};

fn with_id(id: &str) -> AmqpProperties {
    AmqpProperties::default().with_message_id(id.to_owned())
}

#[test]
fn it_is_told_how_the_command_ended_and_what_becomes_of_the_message() {
    for (options, command, told, status) in [
        (
            "-c 1",
            "exit 7",
            "failed with exit status 7; it goes back to the queue when the run ends",
            7,
        ),
        (
            "-c 1 --on-failure reject",
            "kill -9 $$",
            "was killed by signal 9; it is rejected",
            137,
        ),
        (
            "-c 1 --timeout 100ms --on-failure ack",
            "exec sleep 60",
            "timed out after 100ms; it is acknowledged all the same",
            124,
        ),
        (
            "-c 1 --on-failure park --park {parking}",
            "exit 7",
            "failed with exit status 7; it goes to the parking queue '{parking}'",
            7,
        ),
        (
            "--on-exit 70=stop",
            "exit 70",
            "failed with exit status 70; it goes back to the queue when the run ends",
            70,
        ),
        (
            "--halt 1",
            "exit 7",
            "failed with exit status 7; it goes back to the queue when the run ends",
            7,
        ),
        (
            "-c 1 -A",
            "exit 7",
            "failed with exit status 7; it was acknowledged before (--no-ack) and is lost",
            7,
        ),
    ] {
        let test = Test::new();
        test.queue("parking").declare();
        let queue = test.queue("queue").declare();
        queue.publish_with("a", &with_id("order\t17"));
        test.script("work", command);
        test.run(&format!("amqp-consume -q {{queue}} {options} ./work"))
            .stderr(&format!(
                "message 'order\\t17' of queue '{{queue}}': the command {told}\n"
            ))
            .exits(status);
    }
}

#[test]
fn a_message_that_waits_in_the_broker_is_told() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish_with("a", &with_id("a"));
    test.run("amqp-consume -q {queue} -c 1 --on-failure retry:90s false")
        .stderr(
            "message 'a' of queue '{queue}': the command failed with exit status 1; \
             it waits 90s in the broker before the next attempt\n",
        )
        .exits(1);
    test.queue("queue.retry.90s").holds(1);
}

#[test]
fn each_retry_is_told_and_a_message_without_id_has_its_delivery_tag() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let name = "the message with delivery tag 1 of queue '{queue}'";
    test.run("amqp-consume -q {queue} -c 1 --retries 2 --retry-delay 20ms sh -c 'exit 3'")
        .stderr(&format!(
            "{name}: the command failed with exit status 3; it runs again in 20ms\n\
             {name}: the command failed with exit status 3; it runs again in 40ms\n\
             {name}: the command failed with exit status 3; it goes back to the queue when the run ends\n"
        ))
        .exits(3);
}

#[test]
fn a_batch_that_failed_is_told_once() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for id in ["a", "b", "c"] {
        queue.publish_with(id, &with_id(id));
    }
    test.run("amqp-consume -q {queue} --batch 3 -c 3 --on-failure ack sh -c 'exit 5'")
        .stderr(
            "message 'a' and 2 more of queue '{queue}': the command failed with exit status 5; \
             they are acknowledged all the same\n",
        )
        .exits(5);
}

#[test]
fn what_a_child_answers_and_what_it_leaves_unanswered_is_told() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for id in ["a", "b"] {
        queue.publish_with(id, &with_id(id));
    }
    test.script("child", "read -r x; echo 7 >&3; read -r x");
    test.run("amqp-consume -q {queue} -c 2 --coprocess --on-failure ack ./child")
        .stderr(
            "message 'a' of queue '{queue}': the command failed with exit status 7; it is acknowledged all the same\n\
             message 'b' of queue '{queue}': the command ended and had not answered; it is acknowledged all the same\n",
        )
        .exits(7);
}

#[test]
fn quiet_is_quiet_about_commands_and_not_about_the_tool() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    test.run("amqp-consume -q {queue} -c 1 --quiet sh -c 'exit 7'")
        .exits(7);
    test.run("amqp-consume -q {queue} -c 1 --quiet ./missing")
        .stderr_contains("./missing: No such file or directory")
        .exits(127);
}

#[test]
fn many_failures_are_counted() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish((0..300).map(|number| number.to_string()));
    let told = test
        .run("amqp-consume -q {queue} -j 4 -c 300 --on-failure ack --joblog log false")
        .any_stderr()
        .exits(1)
        .stderr_text();
    let mut in_all = 0;
    for line in told.lines() {
        let more = line.split_once(" more command").map(|(count, _)| count);
        in_all += more.map_or(1, |count| count.parse().unwrap());
    }
    assert_eq!(in_all, 300, "{told}");
    assert!(told.contains(" more command"), "{told}");
    assert_eq!(lines(&test, "log").len(), 301);
}

#[test]
fn who_does_not_listen_holds_up_nothing() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for redirection in ["2>&-", "2>/dev/full"] {
        queue.publish((0..50).map(|number| number.to_string()));
        test.shell(&format!(
            "exec amqp-consume -q {{queue}} -j 4 -c 50 --on-failure ack sh -c 'exit 7' {redirection}"
        ))
        .any_stderr()
        .exits(7);
        queue.holds(0);
    }
    queue.publish((0..50).map(|number| number.to_string()));
    test.run("amqp-consume -q {queue} -j 4 -c 50 --on-failure ack sh -c 'exit 7'")
        .stderr_full()
        .exits(7);
    queue.holds(0);
    queue.publish(["a"]);
    let tool = test
        .run("amqp-consume -q {queue} -j 4 --on-failure ack sh -c 'touch begun; exit 7'")
        .stderr_full()
        .spawn();
    test.wait_for_file("begun");
    tool.signal(Signal::TERM);
    tool.exits(143);
    queue.holds(0);
}

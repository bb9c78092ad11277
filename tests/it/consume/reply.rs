//! A command's output and exit status as a reply to whoever sent the message.

use std::time::Duration;

use amiquip::{AmqpProperties, AmqpValue, Consumer, ConsumerMessage, ConsumerOptions, Publish};

use super::lines;
use crate::support::{Message, Queue, Signal, Test};

fn request(reply_to: &str) -> AmqpProperties {
    AmqpProperties::default()
        .with_reply_to(reply_to.to_owned())
        .with_correlation_id("call".to_owned())
}

fn exit_status(message: &Message) -> Option<AmqpValue> {
    message
        .properties
        .headers()
        .as_ref()?
        .get("x-exit-status")
        .cloned()
}

#[track_caller]
fn the_message_of(queue: &Queue<'_>) -> Message {
    queue.holds(1);
    queue.take().unwrap()
}

#[test]
fn a_reply_has_the_output_and_the_exit_status() {
    for (command, status, output) in [
        ("tr a-z A-Z", 0, "WORD"),
        ("true", 0, ""),
        ("sh -c 'cat; exit 7'", 7, "word"),
        ("sh -c 'cat; kill -9 $$'", 137, "word"),
        ("--timeout 200ms sh -c 'cat; exec sleep 1000'", 124, "word"),
    ] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        let caller = test.queue("caller").declare();
        queue.publish_with("word", &request(caller.name()));
        test.run(&format!(
            "amqp-consume --quiet -q {{queue}} -c 1 --reply --on-failure ack {command}"
        ))
        .exits(status);
        queue.holds(0);
        let reply = the_message_of(&caller);
        assert_eq!(reply.text(), output, "{command}");
        assert_eq!(
            exit_status(&reply),
            Some(AmqpValue::LongInt(status)),
            "{command}"
        );
        assert_eq!(reply.properties.correlation_id().as_deref(), Some("call"));
    }
}

#[test]
fn only_a_final_failure_is_replied_to() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let caller = test.queue("caller").declare();
    let parking = test.queue("parking").declare();
    queue.publish_with("word", &request(caller.name()));
    test.run(
        "amqp-consume --quiet -q {queue} -c 1 --reply --retries 1 --retry-delay 1ms sh -c 'exit 7'",
    )
    .exits(7);
    queue.holds(1);
    caller.holds(0);
    test.run("amqp-consume --quiet -q {queue} --idle-timeout 0s --reply --max-attempts 3 --park {parking} sh -c 'echo >>runs; exit 7'")
        .succeeds();
    assert_eq!(lines(&test, "runs").len(), 3);
    parking.holds(1);
    assert_eq!(
        exit_status(&the_message_of(&caller)),
        Some(AmqpValue::LongInt(7))
    );
}

#[test]
fn a_message_without_a_caller_gets_no_reply() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["word"]);
    test.run("amqp-consume -q {queue} -c 1 --reply cat")
        .succeeds();
    queue.holds(0);
}

#[test]
fn a_caller_that_is_gone_is_no_failure() {
    for caller in ["{nobody}", "amq.rabbitmq.reply-to.g2dkAAhub2JvZHk.AAAA"] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        queue.publish_with("word", &request(&test.fill(caller)));
        test.run("amqp-consume -q {queue} -c 1 --reply cat")
            .stderr(&format!(
                "the reply has nobody to go to: no queue '{caller}'\n"
            ))
            .succeeds();
        queue.holds(0);
    }
}

#[test]
fn a_caller_whose_channel_is_closed_is_no_failure() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.inspector()
        .on_channel(|channel| {
            let options = ConsumerOptions {
                no_ack: true,
                ..ConsumerOptions::default()
            };
            let _consumer = channel.basic_consume("amq.rabbitmq.reply-to", options)?;
            let properties = request("amq.rabbitmq.reply-to");
            channel.basic_publish(
                "",
                Publish::with_properties(b"word", queue.name(), properties),
            )
        })
        .unwrap();
    test.run("amqp-consume -q {queue} -c 1 --reply cat")
        .stderr_contains("the reply has nobody to go to: no queue 'amq.rabbitmq.reply-to.")
        .succeeds();
    queue.holds(0);
}

#[test]
fn an_output_and_a_reply_go_together() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let caller = test.queue("caller").declare();
    let next = test.queue("next").declare();
    queue.publish_with("word", &request(caller.name()));
    test.run("amqp-consume -q {queue} -c 1 --reply --output-queue {next} cat")
        .succeeds();
    assert_eq!(the_message_of(&next).text(), "word");
    assert_eq!(the_message_of(&caller).text(), "word");
}

#[test]
fn who_waits_on_his_own_channel_gets_the_reply() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let worker = test
        .run("amqp-consume --quiet -q {queue} --reply --on-failure reject sh -c 'read -r status; echo $status; exit $status'")
        .spawn();
    let replies: Vec<(String, AmqpValue)> = test
        .inspector()
        .on_channel(|channel| {
            let options = ConsumerOptions {
                no_ack: true,
                ..ConsumerOptions::default()
            };
            let consumer: Consumer<'_> = channel.basic_consume("amq.rabbitmq.reply-to", options)?;
            let mut replies = Vec::new();
            for status in ["0", "7", "0"] {
                let body = format!("{status}\n");
                let properties = request("amq.rabbitmq.reply-to");
                channel.basic_publish(
                    "",
                    Publish::with_properties(body.as_bytes(), queue.name(), properties),
                )?;
                let Ok(ConsumerMessage::Delivery(delivery)) =
                    consumer.receiver().recv_timeout(Duration::from_secs(60))
                else {
                    panic!("a reply");
                };
                let headers = delivery.properties.headers().clone().unwrap();
                replies.push((
                    String::from_utf8(delivery.body).unwrap(),
                    headers["x-exit-status"].clone(),
                ));
            }
            Ok(replies)
        })
        .unwrap();
    let reply = |status: i32| (format!("{status}\n"), AmqpValue::LongInt(status));
    assert_eq!(replies, [reply(0), reply(7), reply(0)]);
    worker.signal(Signal::TERM);
    worker.exits(143);
    queue.holds(0);
}

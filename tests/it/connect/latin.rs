//! Names that are not UTF-8: RabbitMQ takes any bytes, so a queue may hold them, and its messages must not be stuck.

use std::io::Write as _;

use amiquip::ExchangeType;
use amq_protocol::protocol::basic::{self, AMQPProperties};
use amq_protocol::protocol::{AMQPClass, confirm};
use amq_protocol::types::AMQPValue;

use crate::support::Test;
use crate::wire::{body, header, log_in, method, read_frame};

/// Stands in what is sent for a byte that is 'é' in Latin-1 and nothing in UTF-8.
const STAND_IN: u8 = b'@';

/// Puts a message into the queue `{queue}` by its routing key `caf\xE9`, with a header of that name and value.
fn publish_latin(test: &Test) {
    let queue = test.queue("queue").declare();
    let depth = queue.depth();
    let exchange = test.name("exchange");
    queue.bind_to(&ExchangeType::Topic, &exchange, "#");
    let publish = basic::AMQPMethod::Publish(basic::Publish {
        ticket: 0,
        exchange,
        routing_key: "caf@".to_owned(),
        mandatory: false,
        immediate: false,
    });
    let value = AMQPValue::LongString("caf@".to_owned());
    let headers = std::iter::once(("caf@".to_owned(), value)).collect();
    let properties = AMQPProperties::default()
        .with_headers(headers)
        .with_type_("caf@".to_owned());
    let mut message = [
        method(1, &AMQPClass::Basic(publish)),
        header(5, &properties),
        body(b"hello"),
    ]
    .concat();
    for byte in message.iter_mut().filter(|byte| **byte == STAND_IN) {
        *byte = 0xE9;
    }
    let mut socket = log_in(&test.fill("{host}:{port}"));
    let select = confirm::AMQPMethod::Select(confirm::Select { nowait: true });
    let select = method(1, &AMQPClass::Confirm(select));
    socket.write_all(&[select, message].concat()).unwrap();
    read_frame(&mut socket).unwrap(); // basic.ack
    queue.holds(depth + 1);
}

#[test]
fn such_a_message_can_be_got() {
    let test = Test::new();
    publish_latin(&test);
    test.run("amqp-get -q {queue}").stdout("hello").succeeds();
    assert_eq!(test.queue("queue").depth(), 0);
}

#[test]
fn its_names_are_mended_and_its_values_are_kept() {
    let test = Test::new();
    publish_latin(&test);
    test.run("amqp-get -q {queue} --json --lossy")
        .stdout_contains(r#""routing_key":"caf?""#)
        .stdout_contains(r#""type":"caf?""#)
        .stdout_contains(r#""headers":{"caf?":{"!bytes":"Y2Fm6Q=="}}"#)
        .succeeds();
}

#[test]
fn json_ends_at_such_a_message_and_leaves_it() {
    let test = Test::new();
    let queue = test.queue("queue");
    for (tool, words) in [
        (
            "amqp-get -q {queue} -c 9 --json",
            "message 2 (it stays in the queue): it cannot be written as it is, ",
        ),
        (
            "amqp-consume -q {queue} -c 9 --json",
            "message 2: it cannot be written as it is, ",
        ),
    ] {
        test.queue("queue").declare().publish(["before"]);
        publish_latin(&test);
        queue.publish(["after"]);
        test.run(tool)
            .stdout_contains(r#"{"body":"before","#)
            .stderr_contains(words)
            .exits(1);
        queue.holds(2);
        let line = format!("{tool} --lossy").replace("-c 9", "-c 2");
        test.run(&line)
            .stdout_contains(r#"{"body":"hello","#)
            .stdout_contains(r#"{"body":"after","#)
            .succeeds();
        queue.holds(0);
        test.inspector().delete(queue.name());
    }
    test.run("amqp-get -q {queue} --lossy")
        .stderr_contains("--json")
        .exits(1);
}

#[test]
fn such_a_message_is_not_copied() {
    let test = Test::new();
    publish_latin(&test);
    let (queue, park) = (test.queue("queue"), test.queue("park").declare());
    test.run("amqp-move -q {queue} -r {park}")
        .stderr_contains("cannot be copied as it is")
        .exits(1);
    test.run("amqp-consume -q {queue} -c 1 --max-attempts 1 --park {park} false")
        .stderr_contains("cannot be copied as it is")
        .exits(1);
    queue.holds(1);
    park.holds(0);
}

#[test]
fn such_a_message_can_be_consumed() {
    let test = Test::new();
    publish_latin(&test);
    test.run("amqp-consume -q {queue} -c 1 sh -c 'cat && printf %s \"$AMQP_ROUTING_KEY\"'")
        .stdout("hellocaf?")
        .succeeds();
    assert_eq!(test.queue("queue").depth(), 0);
}

//! What a command is told about its message.

use std::collections::BTreeMap;

use amiquip::{AmqpProperties, AmqpValue, FieldTable};

use crate::support::{Test, rabbitmqs};

/// The variables of ours that a command saw.
fn seen(test: &Test) -> BTreeMap<String, String> {
    test.read("environment")
        .split('\0')
        .filter_map(|variable| variable.split_once('='))
        .filter(|(name, _)| name.starts_with("AMQP_") && *name != "AMQP_URL")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

const NOTE: &str = "cat >/dev/null; cat /proc/self/environ >environment";

#[test]
fn every_property_has_a_variable() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.bind_to_fanout(&test.name("exchange"));
    let headers = FieldTable::from([
        ("number".to_owned(), AmqpValue::LongInt(5)),
        (
            "text".to_owned(),
            AmqpValue::LongString("\"quoted\" \u{e9}".to_owned()),
        ),
    ]);
    let properties = AmqpProperties::default()
        .with_content_type("text/plain".to_owned())
        .with_content_encoding("gzip".to_owned())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(7)
        .with_correlation_id("correlation".to_owned())
        .with_reply_to("reply".to_owned())
        .with_expiration("600000".to_owned())
        .with_message_id("id".to_owned())
        .with_timestamp(1_700_000_000)
        .with_type_("kind".to_owned())
        .with_user_id("guest".to_owned())
        .with_app_id("app".to_owned());
    let exchange = test.name("exchange");
    test.inspector()
        .publish((&exchange, "a.key"), ["a"], &properties)
        .unwrap();
    test.script("note", NOTE);
    test.run("amqp-consume -q {queue} -c 1 ./note").succeeds();
    let expected = [
        ("AMQP_QUEUE", queue.name()),
        ("AMQP_EXCHANGE", &exchange),
        ("AMQP_ROUTING_KEY", "a.key"),
        ("AMQP_REDELIVERED", "0"),
        ("AMQP_DELIVERY_TAG", "1"),
        ("AMQP_ATTEMPT", "1"),
        ("AMQP_CONTENT_TYPE", "text/plain"),
        ("AMQP_CONTENT_ENCODING", "gzip"),
        ("AMQP_PRIORITY", "7"),
        ("AMQP_CORRELATION_ID", "correlation"),
        ("AMQP_REPLY_TO", "reply"),
        ("AMQP_EXPIRATION", "600000"),
        ("AMQP_MESSAGE_ID", "id"),
        ("AMQP_TIMESTAMP", "1700000000"),
        ("AMQP_TYPE", "kind"),
        ("AMQP_USER_ID", "guest"),
        ("AMQP_APP_ID", "app"),
        (
            "AMQP_HEADERS",
            "{\"number\":5,\"text\":\"\\\"quoted\\\" \u{e9}\"}",
        ),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(seen(&test), BTreeMap::from(expected));
}

#[test]
fn what_the_message_does_not_have_is_absent_though_the_tool_has_it() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script("note", NOTE);
    test.run("amqp-consume -q {queue} -c 1 ./note")
        .env("AMQP_MESSAGE_ID", "another's")
        .env("AMQP_HEADERS", "another's")
        .env("AMQP_DELIVERY_COUNT", "9")
        .succeeds();
    let names: Vec<String> = seen(&test).into_keys().collect();
    assert_eq!(
        names,
        [
            "AMQP_ATTEMPT",
            "AMQP_DELIVERY_TAG",
            "AMQP_EXCHANGE",
            "AMQP_QUEUE",
            "AMQP_REDELIVERED",
            "AMQP_ROUTING_KEY"
        ]
    );
}

#[test]
fn a_redelivery_is_told() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 false")
        .exits(1);
    test.run("amqp-consume --quiet -q {queue} -c 1 sh -c 'echo $AMQP_REDELIVERED $AMQP_ATTEMPT'")
        .stdout("1 2\n")
        .succeeds();
}

#[test]
fn what_the_kernel_does_not_take_keeps_no_command_from_starting() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let properties = AmqpProperties::default()
        .with_correlation_id("a\0b".to_owned())
        .with_headers(FieldTable::from([(
            "long".to_owned(),
            AmqpValue::LongString("\"".repeat(100_000)),
        )]));
    queue.publish_with("a", &properties);
    test.run("amqp-consume -q {queue} -c 1 sh -c 'cat; echo ${AMQP_CORRELATION_ID-none} ${AMQP_HEADERS-none}'")
        .stdout("anone none\n")
        .stderr_line("headers are too large for the environment")
        .succeeds();
}

#[test]
fn the_queue_that_the_broker_named_is_told() {
    let test = Test::new();
    let exchange = test.name("exchange");
    test.queue("other").declare().bind_to_fanout(&exchange);
    let mut tool = test
        .run("amqp-consume -e {exchange} -x -c 1 sh -c 'echo $AMQP_QUEUE'")
        .stdout_contains(rabbitmqs("amq.gen-"))
        .stderr_refusal("Server provided queue name: ", "amq.gen-")
        .spawn();
    tool.has_complained("Server provided queue name");
    test.inspector()
        .publish((&exchange, ""), ["a"], &AmqpProperties::default())
        .unwrap();
    let ended = tool.succeeds();
    assert_eq!(
        ended.stderr_text(),
        format!("Server provided queue name: {}", ended.stdout_text())
    );
}

#[test]
fn a_program_that_moves_within_the_path_is_found_again() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a", "b"]);
    test.script("work", "cat; [ -e two/work ] || mv one/work two/work");
    test.shell(
        "mkdir one two; mv work one; PATH=$PWD/one:$PWD/two:$PATH exec amqp-consume -q {queue} -c 2 work",
    )
    .stdout("ab")
    .succeeds();
}

#[test]
fn headers_that_no_variable_can_hold_are_in_a_file() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let large = AmqpValue::ByteArray(vec![b'x'; 100_000]); // a third more in base64
    let headers = FieldTable::from([("large".to_owned(), large)]);
    queue.publish_with("", &AmqpProperties::default().with_headers(headers));
    test.script(
        "note",
        "echo \"${AMQP_HEADERS-none}\"; cp \"$AMQP_HEADERS_FILE\" copy; printf %s \"$AMQP_HEADERS_FILE\" >name",
    );
    test.run("amqp-consume -q {queue} -c 1 ./note")
        .env("TMPDIR", "{folder}")
        .env("AMQP_HEADERS_FILE", "another's")
        .stdout("none\n")
        .stderr_line("headers are too large for the environment: its command has AMQP_HEADERS_FILE")
        .succeeds();
    let written = test.read("copy");
    assert!(
        written.starts_with(r#"{"large":{"!bytes":"eHh4"#),
        "{}",
        &written[..40]
    );
    assert!(!std::path::Path::new(&test.read("name")).exists());
}

#[test]
fn the_url_may_be_kept_from_the_command() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["", ""]);
    test.run("amqp-consume -q {queue} -c 1 sh -c 'echo ${AMQP_URL-none}'")
        .stdout("{url}\n")
        .succeeds();
    test.run("amqp-consume -q {queue} -c 1 --hide-url sh -c 'echo ${AMQP_URL-none}'")
        .stdout("none\n")
        .succeeds();
}

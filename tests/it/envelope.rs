//! The envelope: what amqp-get writes, amqp-publish reads, and the message is the same.

use std::io::Write as _;

use amiquip::{AmqpProperties, AmqpValue, ExchangeType, FieldTable};
use amqp_tools::broker::frame::{self, MethodId};

use crate::support::{Message, Test};
use crate::wire::{log_in, read_bytes};

/// Headers with a value of every type that there is, some of them in tables and arrays.
fn every_type() -> FieldTable {
    let leaves = [
        ("boolean", AmqpValue::Boolean(true)),
        ("int8", AmqpValue::ShortShortInt(-8)),
        ("uint8", AmqpValue::ShortShortUInt(200)),
        ("int16", AmqpValue::ShortInt(-1600)),
        ("uint16", AmqpValue::ShortUInt(60_000)),
        ("int32", AmqpValue::LongInt(-320_000)),
        ("uint32", AmqpValue::LongUInt(4_000_000_000)),
        ("int64", AmqpValue::LongLongInt(7)),
        ("largest", AmqpValue::LongLongInt(i64::MAX)),
        ("float", AmqpValue::Float(0.1)),
        ("double", AmqpValue::Double(0.1)),
        ("whole", AmqpValue::Double(3.0)),
        ("string", AmqpValue::LongString("gr\u{fc}n\0".to_owned())),
        ("bytes", AmqpValue::ByteArray(vec![0, 255])),
        ("timestamp", AmqpValue::Timestamp(u64::MAX)),
        ("void", AmqpValue::Void),
        ("!bytes", AmqpValue::LongString("not base64".to_owned())),
    ];
    let leaves: FieldTable = leaves
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let escape =
        FieldTable::from_iter([("!int8".to_owned(), AmqpValue::LongString("x".to_owned()))]);
    let mut all = leaves.clone();
    let values = leaves.values().cloned().collect();
    all.insert("array".to_owned(), AmqpValue::FieldArray(values));
    all.insert("table".to_owned(), AmqpValue::FieldTable(leaves));
    all.insert("escape".to_owned(), AmqpValue::FieldTable(escape));
    all
}

fn all_properties() -> AmqpProperties {
    AmqpProperties::default()
        .with_content_type("text/plain".to_owned())
        .with_content_encoding("identity".to_owned())
        .with_headers(every_type())
        .with_delivery_mode(2)
        .with_priority(0)
        .with_correlation_id("c\u{e9}".to_owned())
        .with_reply_to("r".to_owned())
        .with_expiration("60000000".to_owned())
        .with_message_id("m".to_owned())
        .with_timestamp(u64::MAX)
        .with_type_("t".to_owned())
        .with_user_id("guest".to_owned())
        .with_app_id("a".to_owned())
}

/// What of a message a dump must keep.
fn contents(messages: Vec<Message>) -> Vec<(Vec<u8>, AmqpProperties)> {
    let contents = |message: Message| (message.body, message.properties);
    messages.into_iter().map(contents).collect()
}

#[test]
fn a_dump_is_a_seed() {
    let test = Test::new();
    let (from, to) = (test.queue("from").declare(), test.queue("to").declare());
    let with_headers = AmqpProperties::default().with_headers(FieldTable::new());
    from.publish_with("text\nof \"lines\"\0\u{1f600}", &all_properties());
    from.publish_with(b"\xff\0binary", &AmqpProperties::default());
    from.publish_with("", &with_headers);
    test.shell("amqp-get -q {from} -c 9 --json --requeue >dump; amqp-publish -r {to} --jsonl dump")
        .succeeds();
    assert_eq!(contents(from.take_all()), contents(to.take_all()));
}

#[test]
fn a_dump_goes_back_where_it_came_from() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.bind_to(&ExchangeType::Topic, &test.name("exchange"), "a.*");
    test.run("amqp-publish -e {exchange} -r a.b -b 1")
        .succeeds();
    test.run("amqp-publish -r {queue} -b 2").succeeds();
    test.shell("amqp-get -q {queue} -c 9 --json >dump; amqp-publish --jsonl dump")
        .succeeds();
    let addresses = queue.take_all().into_iter();
    let addresses: Vec<_> = addresses
        .map(|message| (message.exchange, message.routing_key))
        .collect();
    let expected = [
        (test.name("exchange"), "a.b".to_owned()),
        (String::new(), test.name("queue")),
    ];
    assert_eq!(addresses, expected);
}

#[test]
fn flags_win_over_the_envelope() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.bind_to_fanout(&test.name("exchange"));
    let line = r#"{"body":"x","exchange":"{exchange}","routing_key":"key","delivery_mode":1,"priority":3,"app_id":"a","headers":{"kept":1,"changed":2}}"#;
    test.file("line", test.fill(line));
    test.run("amqp-publish --jsonl line -p --app-id b -H 'changed: 7'")
        .succeeds();
    let message = queue.take().unwrap();
    let properties = message.properties;
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(*properties.priority(), Some(3));
    assert_eq!(properties.app_id().as_deref(), Some("b"));
    let headers = FieldTable::from_iter([
        ("changed".to_owned(), AmqpValue::LongString("7".to_owned())),
        ("kept".to_owned(), AmqpValue::LongInt(1)),
    ]);
    assert_eq!(*properties.headers(), Some(headers));

    for (flags, exchange, routing_key) in [
        ("", "{exchange}", "key"),
        ("-e {exchange}", "{exchange}", "key"),
        ("-e {exchange} -r other", "{exchange}", "other"),
        // As everywhere, a routing key alone is a queue's name.
        ("-r {queue}", "", "{queue}"),
    ] {
        test.run(&format!("amqp-publish --jsonl line {flags}"))
            .succeeds();
        let message = queue.take().unwrap();
        assert_eq!(message.exchange, test.fill(exchange), "{flags}");
        assert_eq!(message.routing_key, test.fill(routing_key), "{flags}");
    }
}

#[test]
fn a_bad_line_is_named_and_nothing_after_it_is_sent() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for (bad, reason) in [
        ("", "an empty line, which is no JSON\n"),
        (
            "[]",
            "expected an object a line (jq -c '.[]' makes that of an array), found []\n",
        ),
        (
            "{",
            "EOF while parsing an object: the object is not on one line (jq -c . puts it there)\n",
        ),
        (
            r#"{"body":"x","delivery_mode":0}"#,
            "'delivery_mode': expected 1 (transient) or 2 (persistent), found 0\n",
        ),
        (r#"{"body":"x""#, "EOF while parsing an object"),
        (
            r#"{"body":"x","priority":"high"}"#,
            "'priority': expected a whole number",
        ),
        (
            r#"{"body":"x","key":"k"}"#,
            "'key': is no key of an envelope\n",
        ),
        (
            r#"{"routing_key":"k"}"#,
            "'body' (or 'body_base64') is missing\n",
        ),
        (
            &format!(r#"{{"body":"x","app_id":"{}"}}"#, "x".repeat(256)),
            "app id is 256 bytes long; AMQP allows 255\n",
        ),
    ] {
        test.file("good", "{\"body\":\"1\"}\n{\"body\":\"2\"}\n");
        test.file(
            "bad",
            format!("{{\"body\":\"3\"}}\n{bad}\n{{\"body\":\"4\"}}\n"),
        );
        test.run("amqp-publish -r {queue} --jsonl good bad good")
            .stderr_contains(&format!("bad:2: {reason}"))
            .stderr_contains("\n3 messages confirmed; the first unconfirmed is bad:2\n")
            .exits(1);
        assert_eq!(queue.take_texts(), ["1", "2", "3"]);
    }
    test.run("amqp-publish --jsonl")
        .stdin(test.fill("{\"body\":\"1\",\"routing_key\":\"{queue}\"}\n{\"body\":\"2\"}\n"))
        .stderr("-:2: neither exchange nor routing key specified\n1 message confirmed; the first unconfirmed is -:2\n")
        .exits(1);
    assert_eq!(queue.take_texts(), ["1"]);
}

/// The properties of a message as Python's pika 1.4 encodes them, with headers of every type that it knows. They
/// name guest as the user.
const PIKA_PROPERTIES: &str = "\
    fff80a746578742f706c61696e057574662d38000000f704626f6f6c7401026e6f7400047465787453000000056772c3bc6e056279746573\
    780000000200ff03696e7449fffffff9046c6f6e676c0000010000000000036d696e6c800000000000000007646563696d616c4402000000\
    7d086e656761746976654402ffffff830474656e734400000003e80474696d65540000000065937d25046e6f6e6556046c69737441000000\
    1349000000015300000001615641000000027401057461626c654600000015017849000000010621627974657353000000026e6f06657363\
    617065460000000e0621627974657353000000026e6f05656d7074795300000000076e6f7468696e67460000000002090163017208363030\
    3030303030016d000000006553f10001740567756573740161";

#[test]
fn what_another_client_published_survives_the_round_trip() {
    let test = Test::new();
    let (from, to) = (test.queue("from").declare(), test.queue("to").declare());
    publish_as_pika(&test, from.name());
    let dump = test
        .run("amqp-get -q {from} --json --requeue")
        .any_stdout()
        .succeeds()
        .stdout_text();
    let headers = r#""headers":{"bool":true,"bytes":{"!bytes":"AP8="},"decimal":{"!decimal":"1.25"},"empty":"","escape":{"!table":{"!bytes":"no"}},"int":-7,"list":[1,"a",null,[true]],"long":1099511627776,"min":{"!int64":"-9223372036854775808"},"negative":{"!decimal":"42949671.71"},"no":false,"none":null,"nothing":{},"table":{"!bytes":"no","x":1},"tens":{"!decimal":"1000"},"text":"grün","time":{"!timestamp":1704164645}},"#;
    assert!(dump.contains(headers), "{dump}");
    let others = r#""content_type":"text/plain","content_encoding":"utf-8","delivery_mode":2,"priority":9,"correlation_id":"c","reply_to":"r","expiration":"60000000","message_id":"m","timestamp":1700000000,"type":"t","user_id":"guest","app_id":"a","#;
    assert!(dump.contains(others), "{dump}");
    test.run("amqp-publish -r {to} --jsonl")
        .stdin(dump)
        .succeeds();
    assert_eq!(contents(from.take_all()), contents(to.take_all()));
}

/// Publishes a message to a queue with these very bytes for its properties, over a connection spoken by hand.
fn publish_as_pika(test: &Test, queue: &str) {
    let mut broker = log_in(&test.fill("{host}:{port}"));
    let properties: Vec<u8> = (0..PIKA_PROPERTIES.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&PIKA_PROPERTIES[at..at + 2], 16).unwrap())
        .collect();
    let name = [&[u8::try_from(queue.len()).unwrap()], queue.as_bytes()].concat();
    let arguments = [&[0, 0, 0][..], &name, &[0]].concat();
    let header = [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4][..], &properties].concat();
    let frames = [
        frame::encode_method(1, MethodId::BASIC_PUBLISH, &arguments),
        frame::encode(frame::HEADER, 1, &header),
        frame::encode(frame::BODY, 1, b"body"),
        frame::encode_method(1, MethodId::CHANNEL_CLOSE, &[0; 7]),
    ];
    broker.write_all(&frames.concat()).unwrap();
    // The answer to closing the channel says that the message has arrived.
    let answer = read_bytes(&mut broker).unwrap();
    assert_eq!(
        MethodId::of_frame(&answer),
        Some(MethodId::CHANNEL_CLOSE_OK)
    );
}

#[test]
fn what_editors_put_into_files_is_no_error() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.file("a", "\u{feff}{\"body\":\"1\"}\r\n{\"body\":\"2\"}\r\n\r\n");
    test.file("b", "\u{feff}\n");
    test.file("c", "{\"body\":\"\u{feff}3\"}\n\n\n");
    let seed = "amqp-publish -r {queue} --jsonl a b c --checkpoint checkpoint";
    for _ in 0..2 {
        test.run(seed).succeeds();
    }
    assert_eq!(queue.take_texts(), ["1", "2", "\u{feff}3"]);
}

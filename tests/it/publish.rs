//! amqp-publish: status 0 means that the broker has every message.

use std::time::Duration;

use amiquip::{AmqpValue, ExchangeType};

use crate::support::{Proxy, Test, eventually};

#[test]
fn a_message_for_no_queue_is_not_called_published() {
    let test = Test::new();
    test.run("amqp-publish -r {queue} -b Hello")
        .stderr_line("basic.publish: no queue '{queue}'")
        .exits(1);
    test.run("amqp-publish -r {queue} -b Hello --no-mandatory")
        .succeeds();
    test.run("amqp-publish -e amq.direct -r {queue} -b Hello")
        .succeeds();
    test.run("amqp-publish -e amq.direct -r {queue} -b Hello --mandatory")
        .stderr_line("{queue}")
        .exits(1);
}

#[test]
fn a_missing_exchange_is_told() {
    let test = Test::new();
    test.run("amqp-publish -e {exchange} -r key -b Hello")
        .stderr_refusal(
            "basic.publish: server channel error 404, message: ",
            "NOT_FOUND - no exchange '{exchange}' in vhost '/'",
        )
        .exits(1);
}

#[test]
fn without_confirms_the_message_arrives_too() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.run("amqp-publish -r {queue} -b Hello --no-confirm")
        .succeeds();
    queue.holds(1);
}

#[test]
fn a_message_the_queue_refuses_is_not_called_published() {
    let test = Test::new();
    let limits = [
        ("x-max-length".to_owned(), AmqpValue::LongInt(1)),
        (
            "x-overflow".to_owned(),
            AmqpValue::LongString("reject-publish".to_owned()),
        ),
    ];
    let queue = test.queue("queue").declare_with(limits.into());
    test.run("amqp-publish -r {queue} -b one").succeeds();
    test.run("amqp-publish -r {queue} -b two")
        .stderr_contains("basic.publish: ")
        .exits(1);
    assert_eq!(queue.take_texts(), ["one"]);
}

#[test]
fn a_line_is_sent_when_it_is_read() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let mut publisher = test
        .run("amqp-publish -r {queue} -l")
        .stdin_stays_open()
        .spawn();
    for count in 1..=3 {
        publisher.write(format!("line {count}\n"));
        queue.holds(count);
    }
    publisher.write("the last, without an end");
    publisher.succeeds();
    let lines = [
        "line 1\n",
        "line 2\n",
        "line 3\n",
        "the last, without an end",
    ];
    assert_eq!(queue.take_texts(), lines);
}

#[test]
fn lines_may_be_of_any_length_and_hold_any_bytes() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let long = [vec![b'x'; 1_000_000], b"\n".to_vec()].concat();
    let lines: [&[u8]; 4] = [b"a\0b\n", &long, b"\xff\xfe\r\n", b"\n"];
    test.run("amqp-publish -r {queue} -l")
        .stdin(lines.concat())
        .succeeds();
    let bodies: Vec<Vec<u8>> = queue
        .take_all()
        .into_iter()
        .map(|message| message.body)
        .collect();
    assert!(
        bodies == lines,
        "lengths {:?}",
        bodies.iter().map(Vec::len).collect::<Vec<_>>()
    );
}

#[test]
fn ten_thousand_lines_arrive_in_order() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.shell("seq 10000 | amqp-publish -r {queue} -l -p")
        .succeeds();
    queue.holds(10_000);
    test.run("amqp-get -q {queue} -c 10000")
        .stdout_bytes(numbers(10_000))
        .within(Duration::from_secs(120))
        .succeeds();
}

fn numbers(last: u32) -> String {
    (1..=last)
        .map(|number| number.to_string() + "\n")
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn a_connection_that_is_cut_is_an_error_with_what_is_confirmed() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let proxy = Proxy::before(&test);
    let mut publisher = test
        .run("amqp-publish -r {queue} -l")
        .env("AMQP_URL", &proxy.url())
        .stdin_stays_open()
        .any_stderr()
        .spawn();
    publisher.write("one\n");
    queue.holds(1);
    proxy.cut();
    eventually("an end, though its input is still open", || {
        publisher.has_ended()
    });
    publisher.exits(1);
}

#[test]
fn a_fanout_exchange_needs_no_key_and_a_topic_takes_one() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.bind_to(&ExchangeType::Topic, &test.name("topic"), "a.*");
    queue.bind_to_fanout(&test.name("fanout"));
    test.run("amqp-publish -e {topic} -r a.b -b 1").succeeds();
    test.run("amqp-publish -e {topic} -r c -b 2").succeeds();
    test.run("amqp-publish -e {fanout} -b 3").succeeds();
    assert_eq!(queue.take_texts(), ["1", "3"]);
}

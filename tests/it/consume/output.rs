//! Where the output of commands goes: to another queue, confirmed before the message is acknowledged.

use amiquip::{AmqpProperties, AmqpValue, ExchangeType, FieldTable};

use super::{end_all, lines};
use crate::support::{Message, Queue, Signal, Test, eventually};

/// Arguments of a queue that takes one message and refuses others.
fn room_for_one() -> FieldTable {
    [
        ("x-max-length".to_owned(), AmqpValue::LongInt(1)),
        (
            "x-overflow".to_owned(),
            AmqpValue::LongString("reject-publish".to_owned()),
        ),
    ]
    .into()
}

/// The one message of a queue, once it is there.
#[track_caller]
fn the_message_of(queue: &Queue<'_>) -> Message {
    queue.holds(1);
    queue.take().unwrap()
}

#[test]
fn an_output_goes_to_the_next_queue() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let next = test.queue("next").declare();
    let properties = AmqpProperties::default()
        .with_correlation_id("correlation".to_owned())
        .with_message_id("id".to_owned())
        .with_expiration("1000000".to_owned())
        .with_priority(7);
    queue.publish_with("word", &properties);
    test.run(
        "amqp-consume -q {queue} -c 1 --output-queue {next} --output-content-type text/plain tr a-z A-Z",
    )
    .succeeds();
    queue.holds(0);
    let output = the_message_of(&next);
    assert_eq!(output.text(), "WORD");
    let properties = &output.properties;
    assert_eq!(properties.correlation_id().as_deref(), Some("correlation"));
    assert_eq!(properties.content_type().as_deref(), Some("text/plain"));
    assert_eq!(*properties.priority(), Some(7));
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(
        (properties.expiration(), properties.message_id()),
        (&None, &None)
    );
}

#[test]
fn the_message_id_is_the_correlation_id_where_there_is_none() {
    let test = Test::new();
    let next = test.queue("next").declare();
    let properties = AmqpProperties::default().with_message_id("id".to_owned());
    let queue = test.queue("queue").declare();
    queue.publish_with("word", &properties);
    test.run("amqp-consume -q {queue} -c 1 --output-key {next} cat")
        .succeeds();
    let output = the_message_of(&next);
    assert_eq!(output.properties.correlation_id().as_deref(), Some("id"));
}

#[test]
fn an_output_goes_to_an_exchange() {
    let test = Test::new();
    test.queue("queue").declare().publish(["word"]);
    let next = test.queue("next").declare();
    next.bind_to(&ExchangeType::Direct, &test.name("exchange"), "key");
    test.run("amqp-consume -q {queue} -c 1 --output-exchange {exchange} --output-key key cat")
        .succeeds();
    let output = the_message_of(&next);
    assert_eq!((&*output.text(), &*output.routing_key), ("word", "key"));
}

#[test]
fn what_failed_and_what_is_empty_is_not_published() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let next = test.queue("next").declare();
    queue.publish(["empty"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --output-queue {next} true")
        .succeeds();
    queue.holds(0);
    queue.publish(["bad"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --output-queue {next} sh -c 'cat; exit 7'")
        .exits(7);
    queue.holds(1);
    next.holds(0);
}

#[test]
fn a_target_that_is_not_there_is_an_error_before_any_command_runs() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    for (flags, named) in [
        ("--output-queue {nowhere}", "no queue '{nowhere}'"),
        ("--output-key {nowhere}", "no queue '{nowhere}'"),
        ("--output-exchange {nowhere}", "no exchange '{nowhere}'"),
        (
            "--output-exchange {nowhere} --output-key key",
            "no exchange '{nowhere}'",
        ),
    ] {
        test.run(&format!("amqp-consume -q {{queue}} -c 1 {flags} touch ran"))
            .stderr_contains(named)
            .exits(1);
    }
    queue.holds(1);
    assert!(!test.path("ran").exists());
}

#[test]
fn a_refused_output_holds_its_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let next = test.queue("next").declare_with(room_for_one());
    next.publish(["first"]);
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 --output-queue {next} cat")
        .stderr_line("basic.publish: queue '{next}' does not take it; an output for a message of queue '{queue}' is held")
        .exits(1);
    queue.holds(1);
    next.holds(1);

    let mut worker = test
        .run("amqp-consume -q {queue} --output-queue {next} sh -c 'cat; echo >>runs'")
        .any_stderr()
        .spawn();
    worker.has_complained("does not take it");
    assert_eq!(next.take_texts(), ["first"]);
    next.holds(1);
    assert_eq!(next.take_texts(), ["a"]);
    queue.publish(["b"]);
    next.holds(1);
    worker.signal(Signal::TERM);
    worker.exits(143);
    queue.holds(0);
    assert_eq!(
        lines(&test, "runs").len(),
        2,
        "a refused output is published again, not made again"
    );
}

#[test]
fn an_output_that_reaches_no_queue_holds_its_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let next = test.queue("next").declare();
    next.bind_to(&ExchangeType::Direct, &test.name("exchange"), "other");
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} --idle-timeout 0s --output-exchange {exchange} --output-key key cat")
        .stderr_contains("exchange '{exchange}' has no queue for key 'key'")
        .exits(1);
    queue.holds(1);
}

#[test]
fn an_output_queue_that_is_deleted_holds_the_messages() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let next = test.queue("next").declare();
    queue.publish(["a"]);
    let mut worker = test
        .run("amqp-consume -q {queue} --output-queue {next} cat")
        .any_stderr()
        .spawn();
    next.holds(1);
    next.delete();
    queue.publish(["b"]);
    worker.has_complained("no queue '{next}'");
    let next = next.declare();
    next.holds(1);
    worker.signal(Signal::TERM);
    worker.exits(143);
    assert_eq!(next.take_texts(), ["b"]);
    queue.holds(0);
}

#[test]
fn an_output_over_the_limit_is_a_failure() {
    for (count, status, outputs) in [(1000, 0, 1), (1001, 1, 0)] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        let next = test.queue("next").declare();
        queue.publish(["a"]);
        test.run(&format!(
            "amqp-consume -q {{queue}} -c 1 --output-queue {{next}} --output-limit 1000 head -c {count} /dev/zero"
        ))
        .any_stderr()
        .exits(status);
        next.holds(outputs);
    }
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    test.queue("next").declare();
    test.run(
        "amqp-consume -q {queue} -c 1 --output-queue {next} --output-limit 1000 cat /dev/zero",
    )
    .stderr_contains("--output-limit")
    .exits(141);
}

#[test]
fn large_outputs_are_whole() {
    const SIZE: usize = 5_000_000;
    let test = Test::new();
    let next = test.queue("next").declare();
    test.queue("queue").declare().publish(["1", "2", "3"]);
    test.run(&format!(
        "amqp-consume -q {{queue}} -j 3 -c 3 --output-queue {{next}} head -c {SIZE} /dev/zero"
    ))
    .succeeds();
    next.holds(3);
    for output in next.take_all() {
        assert_eq!(output.text().len(), SIZE);
    }
}

#[test]
fn an_output_ends_with_its_command() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let next = test.queue("next").declare();
    queue.publish(["a"]);
    test.run(
        "amqp-consume -q {queue} -c 1 --output-queue {next} sh -c 'sleep 1000 2>&- & echo done'",
    )
    .succeeds();
    assert_eq!(the_message_of(&next).text(), "done\n");
    end_all(&test);
}

#[test]
fn standard_output_can_be_opened_anew() {
    let test = Test::new();
    let next = test.queue("next").declare();
    test.queue("queue").declare().publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 --output-queue {next} sh -c 'echo one; echo two >/dev/stdout'")
        .succeeds();
    assert_eq!(the_message_of(&next).text(), "one\ntwo\n");
}

#[test]
fn a_worker_that_is_asked_to_end_publishes_what_its_commands_finish() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let next = test.queue("next").declare();
    queue.publish(["a"]);
    test.script(
        "work",
        "touch begun; until [ -e go ]; do sleep 0.01; done; cat",
    );
    let worker = test
        .run("amqp-consume -q {queue} --output-queue {next} ./work")
        .spawn();
    test.wait_for_file("begun");
    worker.signal(Signal::TERM);
    test.file("go", "");
    worker.exits(143);
    assert_eq!(the_message_of(&next).text(), "a");
    queue.holds(0);
}

#[test]
fn a_parked_message_says_what_the_command_complained_of() {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let queue = test.queue("queue").declare();
    let complaint = "x".to_owned() + &"ä".repeat(1000);
    test.file("complaint", &complaint);
    queue.publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 1 --park {parking} sh -c 'cat complaint >&2; exit 7'")
        .stderr(&complaint)
        .exits(7);
    let parked = the_message_of(&parking);
    let headers = parked.properties.headers().clone().unwrap();
    let Some(AmqpValue::LongString(error)) = headers.get("x-error") else {
        panic!("{headers:?}");
    };
    assert_eq!(*error, "ä".repeat(512));

    queue.publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 1 --park {parking} sh -c 'printf \"a\\\\303\" >&2; exit 7'")
        .any_stderr()
        .exits(7);
    let parked = the_message_of(&parking);
    let headers = parked.properties.headers().clone().unwrap();
    assert_eq!(
        headers.get("x-error"),
        Some(&AmqpValue::LongString("a\u{fffd}".to_owned()))
    );

    queue.publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 1 --park {parking} false")
        .exits(1);
    let parked = the_message_of(&parking);
    let headers = parked.properties.headers().clone().unwrap();
    assert_eq!(headers.get("x-error"), None);
    eventually("the queue is empty", || queue.depth() == 0);
}

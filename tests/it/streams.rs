//! What the tools do with streams.

use std::sync::atomic::{AtomicUsize, Ordering};

use amiquip::{AmqpValue, FieldTable};

use crate::support::{Queue, Test, eventually};
use crate::wire::{Server, pass_on};

/// The broker, but for the second connection, which it closes.
fn broker_that_closes_the_second_connection(test: &Test) -> Server {
    let broker = test.fill("{host}:{port}");
    let connections = AtomicUsize::new(0);
    Server::start(
        move |client| match connections.fetch_add(1, Ordering::SeqCst) {
            1 => Ok(()),
            _ => pass_on(client, &broker),
        },
    )
}

/// A stream that holds these messages, and may not count them yet.
fn new_stream<'test>(test: &'test Test, bodies: &[&str]) -> Queue<'test> {
    let kind = AmqpValue::LongString("stream".to_owned());
    let arguments = FieldTable::from([("x-queue-type".to_owned(), kind)]);
    let stream = test.queue("stream").declare_with(arguments);
    stream.publish(bodies);
    stream
}

/// A stream that holds these messages, and counts them: its count comes some seconds late.
fn stream<'test>(test: &'test Test, bodies: &[&str]) -> Queue<'test> {
    let stream = new_stream(test, bodies);
    let count = u32::try_from(bodies.len()).unwrap();
    eventually("the stream's count", || stream.depth() == count);
    stream
}

#[test]
fn what_a_stream_does_not_do_is_told_with_what_does() {
    let test = Test::new();
    let stream = stream(&test, &["a", "b"]);
    for options in ["", " --requeue"] {
        test.run(&format!("amqp-get -q {{stream}}{options}"))
            .stderr_contains("basic.get: ")
            .stderr_contains("a stream is read by amqp-consume")
            .exits(1);
    }
    test.run("amqp-delete-queue --purge {stream}")
        .stderr_contains("x-max-age")
        .exits(1);
    assert!(stream.exists());
    test.run("amqp-delete-queue {stream}")
        .any_stdout()
        .succeeds();
}

#[test]
fn nothing_is_moved_from_a_stream_that_counts_no_messages_yet() {
    let test = Test::new();
    new_stream(&test, &["a", "b"]);
    let target = test.queue("target").declare();
    test.run("amqp-move -q {stream} -r {target}")
        .stderr_contains("a stream")
        .exits(1);
    assert_eq!(target.depth(), 0);
}

#[test]
fn what_comes_into_a_stream_while_it_counts_messages_is_not_moved() {
    let test = Test::new();
    let stream = stream(&test, &["a", "b"]);
    let target = test.queue("target").declare();
    let mut moving = test
        .run("amqp-move -q {stream} -r {target} --follow")
        .stderr_contains("'{stream}' is a stream, which nothing can be moved from")
        .spawn();
    eventually("the end of moving", || {
        stream.publish(["new"]); // a stream does not tell whether it has a consumer
        moving.has_ended()
    });
    moving.exits(1);
    assert_eq!(target.depth(), 0);
}

#[test]
fn a_queue_that_was_filled_from_a_streams_dump_is_moved() {
    let test = Test::new();
    let source = test.queue("source").declare();
    let target = test.queue("target").declare();
    test.run("amqp-publish -r {source} --typed-header x-stream-offset=7 -l")
        .stdin("a\nb\n")
        .succeeds();
    test.run("amqp-move -q {source} -r {target}")
        .stderr_contains("x-stream-offset taken off")
        .succeeds();
    assert_eq!(
        (source.depth(), target.take_texts()),
        (0, vec!["a\n".to_owned(), "b\n".to_owned()])
    );
}

#[test]
fn nothing_is_moved_while_it_is_not_known_whether_the_source_is_a_stream() {
    let test = Test::new();
    let source = test.queue("source").declare();
    let target = test.queue("target").declare();
    test.run("amqp-publish -r {source} -p --typed-header x-stream-offset=7 -b a")
        .succeeds();
    let broker = broker_that_closes_the_second_connection(&test);
    let url = format!("amqp://{}", broker.address());
    test.run("amqp-move -q {source} -r {target}")
        .env("AMQP_URL", &url)
        .stderr_contains("opening socket to")
        .exits(1);
    source.holds(1);
    assert_eq!(target.depth(), 0);
    let broker = broker_that_closes_the_second_connection(&test);
    let url = format!("amqp://{}", broker.address());
    test.run("amqp-move -q {source} -r {target} --retry 1m")
        .env("AMQP_URL", &url)
        .stderr_contains("connecting again")
        .succeeds();
    target.holds(1);
}

//! What the tools do with streams.

use amiquip::{AmqpValue, FieldTable};

use crate::support::{Queue, Test, eventually};

/// A stream that holds these messages, and counts them: its count comes some seconds late.
fn stream<'test>(test: &'test Test, bodies: &[&str]) -> Queue<'test> {
    let kind = AmqpValue::LongString("stream".to_owned());
    let arguments = FieldTable::from([("x-queue-type".to_owned(), kind)]);
    let stream = test.queue("stream").declare_with(arguments);
    stream.publish(bodies);
    let count = u32::try_from(bodies.len()).unwrap();
    eventually("the stream's count", || stream.depth() == count);
    stream
}

#[test]
fn what_a_stream_does_not_do_is_told_with_what_does() {
    let test = Test::new();
    let stream = stream(&test, &["a", "b"]);
    test.run("amqp-get -q {stream}")
        .stderr_contains("a stream is read by amqp-consume")
        .exits(1);
    test.run("amqp-delete-queue --purge {stream}")
        .stderr_contains("x-max-age")
        .exits(1);
    assert!(stream.exists());
    test.run("amqp-delete-queue {stream}")
        .any_stdout()
        .succeeds();
}

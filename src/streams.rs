//! What streams do not do, and what to use instead (<https://www.rabbitmq.com/docs/streams#limitations>).

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use crate::broker::{self, ConnectOptions, Session, SubscribeOptions};
use crate::consume::offset::{STREAM_OFFSET, StreamOffset};
use crate::reason::chain;

/// How long the broker may take to say whether a queue is a stream.
const PATIENCE: Duration = Duration::from_secs(10);

/// The error. Where a stream does not implement the method, the error says what does the work there.
pub(crate) fn explain(error: anyhow::Error, way_out: &str) -> anyhow::Error {
    if error.downcast_ref().is_some_and(is_refusal) {
        anyhow::anyhow!("{}; {way_out}", chain(&error))
    } else {
        error
    }
}

/// Whether the broker says that a stream does not implement the method.
fn is_refusal(error: &broker::Error) -> bool {
    const NOT_IMPLEMENTED: u16 = 540;
    matches!(
        error,
        broker::Error::Refused { code, text, .. } if *code == NOT_IMPLEMENTED && text.contains("stream")
    )
}

/// Asks whether the queue is a stream: of RabbitMQ's queues only a stream takes an offset. Its count of messages does not tell: for some
/// seconds it is 0. A refusal ends the channel, so there is a connection for this alone. Other brokers may not look at the argument.
pub(crate) fn is_stream(connect: &ConnectOptions, queue: &str) -> broker::Result<bool> {
    let mut connect = connect.clone();
    connect.retry = Duration::ZERO;
    connect.announce = |_| {};
    let session = Session::open_with_prefetch(&connect, NonZeroU16::MIN)?;
    session.cutter().cut_at(Instant::now() + PATIENCE);
    if !session.server().is_rabbitmq {
        return session.close().map(|()| false);
    }
    let offset = (STREAM_OFFSET.to_owned(), StreamOffset::Next.argument());
    let options = SubscribeOptions {
        exclusive: false,
        arguments: [offset].into(),
    };
    let is_stream = match session.subscribe(queue, &options) {
        Ok(subscription) => subscription.cancel().map(|()| true),
        Err(error) if error.says_otherwise() => return Ok(false),
        Err(error) => Err(error),
    };
    is_stream.and_then(|is_stream| session.close().map(|()| is_stream))
}

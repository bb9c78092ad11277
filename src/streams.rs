//! What streams do not do, and what to use instead (<https://www.rabbitmq.com/docs/streams#limitations>).

use std::time::{Duration, Instant};

use crate::broker::{self, ConnectOptions, Session};
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
pub(crate) fn is_refusal(error: &broker::Error) -> bool {
    const NOT_IMPLEMENTED: u16 = 540;
    matches!(
        error,
        broker::Error::Refused { code, text, .. } if *code == NOT_IMPLEMENTED && text.contains("stream")
    )
}

/// Whether the queue is a stream, as far as the broker says so. Only basic.get tells it where a stream was filled lately: it counts
/// 0 messages for some seconds. A stream's refusal ends the connection, so there is one for this alone. A message that comes goes
/// back at once.
pub(crate) fn is_stream(connect: &ConnectOptions, queue: &str) -> bool {
    let mut connect = connect.clone();
    connect.retry = Duration::ZERO;
    connect.announce = |_| {};
    let got = Session::open(&connect).and_then(|session| {
        session.cutter().cut_at(Instant::now() + PATIENCE);
        if !session.server().is_rabbitmq {
            return session.close();
        }
        if let Some(delivery) = session.get(queue)? {
            delivery.unsettled.requeue(&session)?;
        }
        session.close()
    });
    got.is_err_and(|error| is_refusal(&error))
}

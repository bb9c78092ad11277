//! What streams do not do, and what to use instead (<https://www.rabbitmq.com/docs/streams#limitations>).

use crate::broker;
use crate::reason::chain;

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

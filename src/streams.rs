//! What streams do not do, and what to use instead (<https://www.rabbitmq.com/docs/streams#limitations>).

use crate::broker;
use crate::reason::chain;

/// The error. Where a stream does not implement the method, the error says what does the work there.
pub(crate) fn explain(error: anyhow::Error, way_out: &str) -> anyhow::Error {
    const NOT_IMPLEMENTED: u16 = 540;
    match error.downcast_ref() {
        Some(broker::Error::Refused { code, text, .. })
            if *code == NOT_IMPLEMENTED && text.contains("stream") =>
        {
            anyhow::anyhow!("{}; {way_out}", chain(&error))
        }
        _ => error,
    }
}

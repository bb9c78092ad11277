//! Where the reading of a stream begins (<https://www.rabbitmq.com/docs/streams#consuming>).

use crate::message::{HeaderValue, Message};

/// The consumer's argument, and the header of each delivery from a stream.
pub(crate) const STREAM_OFFSET: &str = "x-stream-offset";

/// Where the reading of a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOffset {
    /// At its first message.
    First,
    /// At the last chunk of messages that was written together.
    Last,
    /// At the next message that is published.
    Next,
    /// At the message of this number. The broker has no numbers above `i64::MAX`.
    Number(u64),
    /// At the chunk of messages that was written at this time or else after it, in seconds since 1970.
    Since(u64),
}

impl StreamOffset {
    /// The value of the consumer's argument.
    pub(crate) fn argument(self) -> HeaderValue {
        let word = |word: &str| HeaderValue::String(word.to_owned());
        match self {
            StreamOffset::First => word("first"),
            StreamOffset::Last => word("last"),
            StreamOffset::Next => word("next"),
            StreamOffset::Number(number) => {
                HeaderValue::Int64(i64::try_from(number).unwrap_or(i64::MAX))
            }
            StreamOffset::Since(seconds) => HeaderValue::Timestamp(seconds),
        }
    }
}

/// The number of a message in the stream that it was delivered from.
pub(crate) fn of_message(message: &Message) -> Option<u64> {
    message.header_number(STREAM_OFFSET)
}

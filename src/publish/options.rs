//! The options of amqp-publish, validated.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::input::Inputs;
use crate::broker::Unroutable;
use crate::message::Properties;

/// The options of amqp-publish.
#[derive(Clone, Debug)]
pub struct PublishOptions {
    /// Where the bodies come from.
    pub source: BodySource,
    /// Where the messages go.
    pub address: Address,
    /// The properties of all messages. They override those of an envelope.
    pub properties: Properties,
    /// What is different for each message.
    pub own: OwnProperties,
    /// The time from one message to the next, if they are not published as fast as can be.
    pub pace: Option<Duration>,
    /// When it is an error that a message reaches no queue.
    pub routing: Routing,
    /// How many messages may be unconfirmed at a time, besides the limit of their bodies' size; `None`: the broker is not asked to
    /// confirm.
    pub max_in_flight: Option<NonZeroUsize>,
    /// The file that records how far the input is confirmed.
    pub checkpoint: Option<PathBuf>,
    /// Whether the progress is shown on standard error.
    pub shows_progress: bool,
    /// HOST:PORT of the status server.
    pub status_address: Option<String>,
}

/// The properties that are made for each message. They win over all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnProperties {
    /// The header that holds the name of the message's file.
    pub file_header: Option<String>,
    /// Whether the message gets an id: a digest of the file's name, the record's number and the body.
    pub has_message_id: bool,
}

impl OwnProperties {
    pub(super) fn are_none(&self) -> bool {
        *self == OwnProperties::default()
    }
}

/// Where the bodies come from.
#[derive(Clone, Debug)]
pub enum BodySource {
    /// The command line: one message.
    Argument(Vec<u8>),
    /// Inputs, one after the other.
    Inputs(Inputs, Records),
}

impl BodySource {
    /// Whether standard input is read.
    #[must_use]
    pub fn comes_from_stdin(&self) -> bool {
        matches!(self, BodySource::Inputs(inputs, _) if inputs.come_from_stdin())
    }

    /// Whether it is known to be one message.
    #[must_use]
    pub fn is_single_message(&self) -> bool {
        match self {
            BodySource::Argument(_) => true,
            BodySource::Inputs(Inputs::Named(names), Records::Whole) => names.len() == 1,
            BodySource::Inputs(..) => false,
        }
    }
}

/// What one message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// A whole file.
    Whole,
    /// A line with its newline, as in amqp-tools.
    Lines,
    /// A line without its newline.
    ChompedLines,
    /// A NUL-terminated record, without the NUL.
    NulTerminated,
    /// A line that is an envelope.
    Envelopes,
}

impl Records {
    /// The byte that ends a record, if it is not the end of the input.
    pub(super) fn delimiter(self) -> Option<u8> {
        match self {
            Records::Whole => None,
            Records::Lines | Records::ChompedLines | Records::Envelopes => Some(b'\n'),
            Records::NulTerminated => Some(b'\0'),
        }
    }

    /// Its name in a checkpoint, which counts in records.
    pub(super) fn name(self) -> &'static str {
        match self {
            Records::Whole => "files",
            Records::Lines => "lines",
            Records::ChompedLines => "chomped lines",
            Records::NulTerminated => "null",
            Records::Envelopes => "jsonl",
        }
    }
}

/// Where the messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// All messages to the same exchange with the same routing key.
    Given {
        /// The exchange; empty: the default exchange.
        exchange: String,
        /// The routing key; to the default exchange, the queue's name.
        routing_key: String,
    },
    /// Each message to the address in its envelope.
    OfEnvelope {
        /// The exchange for all messages, which overrides that of an envelope.
        exchange: Option<String>,
    },
}

impl Address {
    /// Exchange and routing key, as far as they are the same for all messages.
    pub(super) fn texts(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Address::Given {
                exchange,
                routing_key,
            } => (Some(exchange), Some(routing_key)),
            Address::OfEnvelope { exchange } => (exchange.as_deref(), None),
        }
    }
}

/// When it is an error that a message reaches no queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// For the default exchange, where the routing key is a queue's name.
    #[default]
    MustReachNamedQueue,
    /// For every exchange.
    MustReachQueue,
    /// Never.
    MayBeDropped,
}

impl Routing {
    /// What the broker is to do with a message to `exchange` that reaches no queue.
    #[must_use]
    pub fn unroutable(self, exchange: &str) -> Unroutable {
        match self {
            Routing::MustReachQueue => Unroutable::Return,
            Routing::MustReachNamedQueue if exchange.is_empty() => Unroutable::Return,
            Routing::MustReachNamedQueue | Routing::MayBeDropped => Unroutable::Drop,
        }
    }
}

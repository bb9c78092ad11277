//! What amqp-publish can be asked for. Options that exist can be carried out, as far as that is known beforehand.

use std::num::NonZeroUsize;

use super::input::Input;
use crate::broker::Unroutable;
use crate::message::Properties;

/// What amqp-publish was asked for.
#[derive(Clone, Debug)]
pub struct PublishOptions {
    /// Where the bodies come from.
    pub source: Source,
    /// Where the messages go.
    pub address: Address,
    /// The properties that all messages get.
    pub properties: Properties,
    /// When it is an error that a message reaches no queue.
    pub routing: Routing,
    /// Whether the broker confirms what it has taken.
    pub confirms: Confirms,
}

/// Where the bodies come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The command line: one message.
    Argument(Vec<u8>),
    /// Inputs, one after the other.
    Inputs(Vec<Input>, Records),
}

impl Source {
    /// Whether it is known to be one message.
    #[must_use]
    pub fn is_single_message(&self) -> bool {
        match self {
            Source::Argument(_) => true,
            Source::Inputs(inputs, records) => inputs.len() == 1 && *records == Records::Whole,
        }
    }
}

/// What one message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// A whole input.
    Whole,
    /// A line.
    Lines(LineEnd),
}

impl Records {
    /// What ends a record, if it is not the end of the input.
    pub(super) fn delimiter(self) -> Option<u8> {
        match self {
            Records::Whole => None,
            Records::Lines(_) => Some(b'\n'),
        }
    }
}

/// What becomes of the newline at the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// It belongs to the message, as in amqp-tools.
    Kept,
    /// It does not.
    Chomped,
}

/// Where the messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// All to the same exchange with the same routing key.
    Given {
        /// The exchange; empty: the default exchange.
        exchange: String,
        /// The routing key; to the default exchange, the queue's name.
        routing_key: String,
    },
}

/// When it is an error that a message reaches no queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// For the default exchange, where the routing key is meant to be a queue's name.
    #[default]
    MustReachNamedQueue,
    /// For every exchange.
    MustReachQueue,
    /// Never.
    MayBeDropped,
}

impl Routing {
    /// What the broker is to do with a message to `exchange` that no queue gets.
    #[must_use]
    pub fn unroutable(self, exchange: &str) -> Unroutable {
        match self {
            Routing::MustReachQueue => Unroutable::Return,
            Routing::MustReachNamedQueue if exchange.is_empty() => Unroutable::Return,
            Routing::MustReachNamedQueue | Routing::MayBeDropped => Unroutable::Drop,
        }
    }
}

/// Whether the broker confirms what it has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirms {
    /// It does, and at most so many messages are on the way unconfirmed.
    Awaited {
        /// How many, besides the limit of their bodies' size.
        max_in_flight: NonZeroUsize,
    },
    /// It does not.
    Off,
}

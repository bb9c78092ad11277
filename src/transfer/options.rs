//! What amqp-move can be asked for.

use std::num::NonZeroU64;
use std::time::Duration;

use super::run::Extent;

/// What amqp-move was asked for.
#[derive(Clone, Debug)]
pub struct MoveOptions {
    /// The queue that messages are taken from.
    pub source: String,
    /// Where their copies go.
    pub destination: Destination,
    /// How many are moved at most.
    pub count: Option<NonZeroU64>,
    /// When the run ends by itself.
    pub extent: Extent,
    /// The time from one copy to the next, at least.
    pub interval: Option<Duration>,
    /// Whether the progress is shown.
    pub shows_progress: bool,
    /// HOST:PORT of the status server.
    pub status_address: Option<String>,
    /// What is written to standard output.
    pub form: Form,
}

/// Where copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// All to the same exchange.
    Exchange {
        /// Its name; empty: the default exchange.
        name: String,
        /// The routing key; nothing: that of the message.
        routing_key: Option<String>,
    },
    /// Each to where it was first published, which its headers tell since amqp-consume has parked it.
    Back,
}

impl Destination {
    /// The queue that all copies go to, if they go to the default exchange.
    #[must_use]
    pub fn queue(&self) -> Option<&str> {
        match self {
            Destination::Exchange { name, routing_key } if name.is_empty() => {
                routing_key.as_deref()
            }
            Destination::Exchange { .. } | Destination::Back => None,
        }
    }
}

/// What is written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Silent,
    /// A line of JSON for each moved message.
    Json,
}

//! The envelope: a message as one line of JSON, written by amqp-get and amqp-consume, read by amqp-publish, so that a
//! dump is a seed. Header values keep their types; what JSON cannot say is an object with one key that begins with `!`.

mod escape;
mod read;
mod write;

use crate::message::Properties;

pub use read::from_json_line;
pub use write::{headers_to_json, to_json_line};

/// What an envelope says about a message. Everything but the body may be left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope {
    /// The body: `body` if it is text, else `body_base64`.
    pub body: Vec<u8>,
    /// `exchange`; empty: the default exchange.
    pub exchange: Option<String>,
    /// `routing_key`
    pub routing_key: Option<String>,
    /// The properties, by AMQP's names, with `_` for `-`.
    pub properties: Properties,
}

/// Why a line is no envelope, in words that name the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EnvelopeError(String);

#[cfg(test)]
mod tests;

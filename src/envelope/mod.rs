//! The envelope: a message as one line of JSON. amqp-get and amqp-consume write it, and amqp-publish reads it, so a dump can be
//! published again. Header values keep their types: a value that JSON has no form for is an object with one key that begins with `!`.
//!
//! * `write`: messages to JSON.
//! * `read`: JSON to messages.
//! * `escape`: the keys with `!`.

mod escape;
mod read;
mod write;

use crate::message::Properties;

pub use read::from_json_line;
pub use write::{headers_to_json, to_json_line};

/// Why a message whose [`Fidelity`](crate::message::Fidelity) is `Lossy` has no envelope.
pub const NOT_WHOLE: &str = "it cannot be written as it is, since it has names or properties that are not UTF-8, two headers of one \
     name, or tables nested deeper than 32; --lossy writes what can be written";

/// An envelope that was read. Everything except the body is optional.
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

/// Why a line is not an envelope, with the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EnvelopeError(String);

#[cfg(test)]
mod tests;

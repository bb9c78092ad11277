//! A message: its address, its properties, its body. `broker` converts it for the connection, and `envelope` for a line of JSON.

use std::collections::BTreeMap;

/// A message and its address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The exchange it is (or was) published to; empty for the default exchange.
    pub exchange: String,
    /// The routing key it is (or was) published with; to the default exchange, the queue's name.
    pub routing_key: String,
    /// The properties of its content header.
    pub properties: Properties,
    /// The body, any bytes.
    pub body: Vec<u8>,
}

impl Message {
    /// The value of a header, if it is a whole number from 0.
    #[must_use]
    pub fn header_number(&self, name: &str) -> Option<u64> {
        match *self.properties.headers.as_ref()?.get(name)? {
            HeaderValue::Int8(value) => u64::try_from(value).ok(),
            HeaderValue::UInt8(value) => Some(value.into()),
            HeaderValue::Int16(value) => u64::try_from(value).ok(),
            HeaderValue::UInt16(value) => Some(value.into()),
            HeaderValue::Int32(value) => u64::try_from(value).ok(),
            HeaderValue::UInt32(value) => Some(value.into()),
            HeaderValue::Int64(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }
}

/// The properties of a message, each absent unless set (AMQP 0-9-1, section 1.8.1: class basic). `cluster-id` is left out; the
/// specification deprecates it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// The MIME type of the body.
    pub content_type: Option<String>,
    /// The MIME content encoding of the body.
    pub content_encoding: Option<String>,
    /// Application headers.
    pub headers: Option<Headers>,
    /// 1 is transient, 2 is persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 255; a queue made with `x-max-priority` delivers higher ones first.
    pub priority: Option<u8>,
    /// Says which request a reply belongs to.
    pub correlation_id: Option<String>,
    /// The queue for replies.
    pub reply_to: Option<String>,
    /// Milliseconds until the broker drops or dead-letters the message, in decimal digits.
    pub expiration: Option<String>,
    /// The application's name for the message.
    pub message_id: Option<String>,
    /// Seconds since 1970 (AMQP 0-9-1, section 4.2.5.4).
    pub timestamp: Option<u64>,
    /// The application's name for the kind of message.
    pub kind: Option<String>,
    /// The publishing user; the broker refuses a name that is not the connection's.
    pub user_id: Option<String>,
    /// The publishing application.
    pub app_id: Option<String>,
}

impl Properties {
    /// These properties, and those of `others` that are absent here.
    #[must_use]
    pub fn or(self, others: Properties) -> Properties {
        let headers = match (self.headers, others.headers) {
            (Some(headers), Some(mut all)) => {
                all.extend(headers);
                Some(all)
            }
            (headers, others) => headers.or(others),
        };
        Properties {
            content_type: self.content_type.or(others.content_type),
            content_encoding: self.content_encoding.or(others.content_encoding),
            headers,
            delivery_mode: self.delivery_mode.or(others.delivery_mode),
            priority: self.priority.or(others.priority),
            correlation_id: self.correlation_id.or(others.correlation_id),
            reply_to: self.reply_to.or(others.reply_to),
            expiration: self.expiration.or(others.expiration),
            message_id: self.message_id.or(others.message_id),
            timestamp: self.timestamp.or(others.timestamp),
            kind: self.kind.or(others.kind),
            user_id: self.user_id.or(others.user_id),
            app_id: self.app_id.or(others.app_id),
        }
    }
}

/// The delivery mode of a message that the broker writes to disk.
pub const PERSISTENT: u8 = 2;

/// The delivery mode of a message that a restart of the broker loses.
pub const TRANSIENT: u8 = 1;

/// A field table: application headers, or arguments of a declaration.
pub type Headers = BTreeMap<String, HeaderValue>;

/// How much of a message that was read is what its publisher sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fidelity {
    /// All of it.
    #[default]
    Exact,
    /// Text in a header is not UTF-8, and was read as bytes. A copy would have bytes there.
    TextAsBytes,
    /// Something was changed or left out: a name or a property that is not UTF-8, one of two headers of the same name, or a
    /// table that is nested deeper than 32.
    Lossy,
}

/// A value in a field table, with the types that `RabbitMQ` knows
/// (<https://www.rabbitmq.com/amqp-0-9-1-errata>, section 3).
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderValue {
    /// `t`
    Boolean(bool),
    /// `b`
    Int8(i8),
    /// `B`
    UInt8(u8),
    /// `s`
    Int16(i16),
    /// `u`
    UInt16(u16),
    /// `I`
    Int32(i32),
    /// `i`
    UInt32(u32),
    /// `l`
    Int64(i64),
    /// `f`
    Float(f32),
    /// `d`
    Double(f64),
    /// `D`: `value` divided by ten to the power of `scale`
    Decimal {
        /// How many digits are behind the decimal point.
        scale: u8,
        /// All the digits.
        value: u32,
    },
    /// `S`
    String(String),
    /// `x`
    Bytes(Vec<u8>),
    /// `T`: seconds since 1970
    Timestamp(u64),
    /// `A`
    Array(Vec<HeaderValue>),
    /// `F`
    Table(Headers),
    /// `V`
    Void,
}

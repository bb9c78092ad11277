//! Messages, properties and field tables: ours to amiquip's and back.

use amiquip::{AmqpProperties, AmqpValue, FieldTable};
use amq_protocol_types::DecimalValue;

use super::error::{Error, Result};
use crate::message::{HeaderValue, Headers, Properties};

/// The longest short string of AMQP 0-9-1 (section 4.2.5.3): its length is one byte.
const SHORT_STRING_MAX: usize = 255;

/// `text`, if it fits a short string; amiquip would cut its length byte and send a broken frame.
///
/// `what` names it in the error.
pub(super) fn short_string(what: &'static str, text: &str) -> Result<String> {
    if text.len() > SHORT_STRING_MAX {
        return Err(Error::TooLong {
            what,
            length: text.len(),
        });
    }
    Ok(text.to_owned())
}

/// What amiquip sends for `properties`.
pub(super) fn to_wire(properties: &Properties) -> Result<AmqpProperties> {
    let mut wire = AmqpProperties::default();
    macro_rules! set_short_strings {
        ($($field:ident, $name:literal, $with:ident;)*) => {
            $(if let Some(text) = &properties.$field {
                wire = wire.$with(short_string($name, text)?);
            })*
        };
    }
    set_short_strings! {
        content_type, "content type", with_content_type;
        content_encoding, "content encoding", with_content_encoding;
        correlation_id, "correlation id", with_correlation_id;
        reply_to, "reply-to", with_reply_to;
        expiration, "expiration", with_expiration;
        message_id, "message id", with_message_id;
        kind, "type", with_type_;
        user_id, "user id", with_user_id;
        app_id, "app id", with_app_id;
    }
    if let Some(mode) = properties.delivery_mode {
        wire = wire.with_delivery_mode(mode);
    }
    if let Some(priority) = properties.priority {
        wire = wire.with_priority(priority);
    }
    if let Some(timestamp) = properties.timestamp {
        wire = wire.with_timestamp(timestamp);
    }
    if let Some(headers) = &properties.headers {
        wire = wire.with_headers(table_to_wire(headers)?);
    }
    Ok(wire)
}

/// The properties of a message that the broker sent.
pub(super) fn from_wire(wire: &AmqpProperties) -> Properties {
    Properties {
        content_type: wire.content_type().clone(),
        content_encoding: wire.content_encoding().clone(),
        headers: wire.headers().clone().map(table_from_wire),
        delivery_mode: *wire.delivery_mode(),
        priority: *wire.priority(),
        correlation_id: wire.correlation_id().clone(),
        reply_to: wire.reply_to().clone(),
        expiration: wire.expiration().clone(),
        message_id: wire.message_id().clone(),
        timestamp: *wire.timestamp(),
        kind: wire.type_().clone(),
        user_id: wire.user_id().clone(),
        app_id: wire.app_id().clone(),
    }
}

/// A field table for amiquip.
pub(super) fn table_to_wire(table: &Headers) -> Result<FieldTable> {
    table
        .iter()
        .map(|(name, value)| Ok((short_string("header name", name)?, value_to_wire(value)?)))
        .collect()
}

fn table_from_wire(table: FieldTable) -> Headers {
    table
        .into_iter()
        .map(|(name, value)| (name, value_from_wire(value)))
        .collect()
}

fn value_to_wire(value: &HeaderValue) -> Result<AmqpValue> {
    Ok(match value {
        HeaderValue::Boolean(value) => AmqpValue::Boolean(*value),
        HeaderValue::Int8(value) => AmqpValue::ShortShortInt(*value),
        HeaderValue::UInt8(value) => AmqpValue::ShortShortUInt(*value),
        HeaderValue::Int16(value) => AmqpValue::ShortInt(*value),
        HeaderValue::UInt16(value) => AmqpValue::ShortUInt(*value),
        HeaderValue::Int32(value) => AmqpValue::LongInt(*value),
        HeaderValue::UInt32(value) => AmqpValue::LongUInt(*value),
        HeaderValue::Int64(value) => AmqpValue::LongLongInt(*value),
        HeaderValue::Float(value) => AmqpValue::Float(*value),
        HeaderValue::Double(value) => AmqpValue::Double(*value),
        HeaderValue::Decimal { scale, value } => AmqpValue::DecimalValue(DecimalValue {
            scale: *scale,
            value: *value,
        }),
        HeaderValue::String(value) => AmqpValue::LongString(value.clone()),
        HeaderValue::Bytes(value) => AmqpValue::ByteArray(value.clone()),
        HeaderValue::Timestamp(value) => AmqpValue::Timestamp(*value),
        HeaderValue::Array(values) => {
            let values: Result<Vec<_>> = values.iter().map(value_to_wire).collect();
            AmqpValue::FieldArray(values?)
        }
        HeaderValue::Table(table) => AmqpValue::FieldTable(table_to_wire(table)?),
        HeaderValue::Void => AmqpValue::Void,
    })
}

fn value_from_wire(value: AmqpValue) -> HeaderValue {
    match value {
        AmqpValue::Boolean(value) => HeaderValue::Boolean(value),
        AmqpValue::ShortShortInt(value) => HeaderValue::Int8(value),
        AmqpValue::ShortShortUInt(value) => HeaderValue::UInt8(value),
        AmqpValue::ShortInt(value) => HeaderValue::Int16(value),
        AmqpValue::ShortUInt(value) => HeaderValue::UInt16(value),
        AmqpValue::LongInt(value) => HeaderValue::Int32(value),
        AmqpValue::LongUInt(value) => HeaderValue::UInt32(value),
        AmqpValue::LongLongInt(value) => HeaderValue::Int64(value),
        AmqpValue::Float(value) => HeaderValue::Float(value),
        AmqpValue::Double(value) => HeaderValue::Double(value),
        AmqpValue::DecimalValue(decimal) => HeaderValue::Decimal {
            scale: decimal.scale,
            value: decimal.value,
        },
        AmqpValue::LongString(value) => HeaderValue::String(value),
        AmqpValue::ByteArray(value) => HeaderValue::Bytes(value),
        AmqpValue::Timestamp(value) => HeaderValue::Timestamp(value),
        AmqpValue::FieldArray(values) => {
            HeaderValue::Array(values.into_iter().map(value_from_wire).collect())
        }
        AmqpValue::FieldTable(table) => HeaderValue::Table(table_from_wire(table)),
        AmqpValue::Void => HeaderValue::Void,
    }
}

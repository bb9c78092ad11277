//! Messages to JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::escape::{
    BYTES, DECIMAL, DOUBLE, EXACT, FLOAT, INT8, INT16, INT64, TABLE, TIMESTAMP, UINT8, UINT16,
    UINT32, looks_like_escape,
};
use crate::message::{HeaderValue, Headers, Message};

/// The message as a line, without a newline. `redelivered` is the broker's flag, if the message was delivered.
#[must_use]
pub fn to_json_line(message: &Message, redelivered: Option<bool>) -> String {
    let properties = &message.properties;
    let mut line = Map::new();
    match str::from_utf8(&message.body) {
        Ok(text) => line.insert("body".to_owned(), text.into()),
        Err(_) => line.insert("body_base64".to_owned(), base64(&message.body)),
    };
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            line.insert(key.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::from);
    put("exchange", Some(message.exchange.as_str().into()));
    put("routing_key", Some(message.routing_key.as_str().into()));
    put("headers", properties.headers.as_ref().map(headers_to_json));
    put("content_type", text(&properties.content_type));
    put("content_encoding", text(&properties.content_encoding));
    put("delivery_mode", properties.delivery_mode.map(Value::from));
    put("priority", properties.priority.map(Value::from));
    put("correlation_id", text(&properties.correlation_id));
    put("reply_to", text(&properties.reply_to));
    put("expiration", text(&properties.expiration));
    put("message_id", text(&properties.message_id));
    put("timestamp", properties.timestamp.map(exact_unsigned));
    put("type", text(&properties.kind));
    put("user_id", text(&properties.user_id));
    put("app_id", text(&properties.app_id));
    put("redelivered", redelivered.map(Value::from));
    Value::Object(line).to_string()
}

/// Headers as in the envelope.
#[must_use]
pub fn headers_to_json(headers: &Headers) -> Value {
    let members = headers
        .iter()
        .map(|(key, value)| (key.clone(), to_json(value)));
    Value::Object(members.collect())
}

fn to_json(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Void => Value::Null,
        HeaderValue::Boolean(value) => (*value).into(),
        HeaderValue::String(text) => text.as_str().into(),
        HeaderValue::Int32(number) => (*number).into(),
        HeaderValue::Int64(number) => int64(*number),
        HeaderValue::Double(number) => double(*number),
        HeaderValue::Array(values) => values.iter().map(to_json).collect(),
        HeaderValue::Table(table) if looks_like_escape(table.keys()) => {
            escape(TABLE, headers_to_json(table))
        }
        HeaderValue::Table(table) => headers_to_json(table),
        HeaderValue::Int8(number) => escape(INT8, *number),
        HeaderValue::UInt8(number) => escape(UINT8, *number),
        HeaderValue::Int16(number) => escape(INT16, *number),
        HeaderValue::UInt16(number) => escape(UINT16, *number),
        HeaderValue::UInt32(number) => escape(UINT32, *number),
        HeaderValue::Float(number) => escape(FLOAT, finite_or_name(f64::from(*number))),
        HeaderValue::Timestamp(seconds) => escape(TIMESTAMP, exact_unsigned(*seconds)),
        HeaderValue::Decimal { scale, value } => escape(DECIMAL, decimal(*scale, *value)),
        HeaderValue::Bytes(bytes) => escape(BYTES, base64(bytes)),
    }
}

fn escape(name: &str, value: impl Into<Value>) -> Value {
    json!({ name: value.into() })
}

fn base64(bytes: &[u8]) -> Value {
    BASE64.encode(bytes).into()
}

/// A plain integer is read as the smallest type that it fits. So a 64-bit integer that fits 32 bits gets the name of its type.
fn int64(number: i64) -> Value {
    if number.unsigned_abs() > EXACT {
        escape(INT64, number.to_string())
    } else if i32::try_from(number).is_ok() {
        escape(INT64, number)
    } else {
        number.into()
    }
}

/// A double without a fraction gets the name of its type: jq writes 1.0 as 1, which would be read as an integer.
fn double(number: f64) -> Value {
    if number.is_finite() && number.fract() != 0.0 {
        number.into()
    } else {
        escape(DOUBLE, finite_or_name(number))
    }
}

/// JSON has no form for these.
fn finite_or_name(number: f64) -> Value {
    if number.is_nan() {
        "NaN".into()
    } else if number == f64::INFINITY {
        "Infinity".into()
    } else if number == f64::NEG_INFINITY {
        "-Infinity".into()
    } else {
        number.into()
    }
}

fn exact_unsigned(number: u64) -> Value {
    if number > EXACT {
        number.to_string().into()
    } else {
        number.into()
    }
}

/// The digits with a decimal point before the last `scale` of them.
fn decimal(scale: u8, value: u32) -> String {
    let scale = usize::from(scale);
    let digits = format!("{value:0width$}", width = scale + 1);
    match digits.split_at(digits.len() - scale) {
        (whole, "") => whole.to_owned(),
        (whole, fraction) => format!("{whole}.{fraction}"),
    }
}

//! JSON to messages, strictly: a misspelt key, a key that is given twice, or a value of the wrong type is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::escape::{
    BYTES, DECIMAL, DOUBLE, FLOAT, INT8, INT16, INT64, TABLE, TIMESTAMP, UINT8, UINT16, UINT32,
    looks_like_escape,
};
use super::{Envelope, EnvelopeError};
use crate::message::{HeaderValue, Headers, PERSISTENT, TRANSIENT};

/// How deep arrays and tables may be nested in headers.
const DEPTH: usize = 64;

type Result<T> = std::result::Result<T, EnvelopeError>;

/// Reads an envelope from a line of JSON, with or without its newline.
///
/// # Errors
/// Says what is wrong, and with which key.
pub fn from_json_line(line: &[u8]) -> Result<Envelope> {
    let line = str::from_utf8(line).map_err(|_| wrong("not UTF-8"))?;
    let mut envelope = Envelope::default();
    let mut body = None;
    for (key, value) in members_of_line(line)? {
        if key == "body" || key == "body_base64" {
            if body.is_some() {
                return Err(wrong("'body' and 'body_base64' exclude each other"));
            }
            body = Some(read_body(&key, value).map_err(|error| error.at(&key))?);
        } else {
            read_member(&mut envelope, &key, value).map_err(|error| error.at(&key))?;
        }
    }
    envelope.body = body.ok_or_else(|| wrong("'body' (or 'body_base64') is missing"))?;
    Ok(envelope)
}

fn read_body(key: &str, value: &RawValue) -> Result<Vec<u8>> {
    match key {
        "body" => text(value).map(String::into_bytes),
        _ => bytes(value),
    }
}

fn read_member(envelope: &mut Envelope, key: &str, value: &RawValue) -> Result<()> {
    let properties = &mut envelope.properties;
    match key {
        "exchange" => envelope.exchange = Some(text(value)?),
        "routing_key" => envelope.routing_key = Some(text(value)?),
        "headers" => properties.headers = Some(table(members(value.get())?, DEPTH)?),
        "content_type" => properties.content_type = Some(text(value)?),
        "content_encoding" => properties.content_encoding = Some(text(value)?),
        "delivery_mode" => properties.delivery_mode = Some(delivery_mode(value)?),
        "priority" => properties.priority = Some(whole_number(value)?),
        "correlation_id" => properties.correlation_id = Some(text(value)?),
        "reply_to" => properties.reply_to = Some(text(value)?),
        "expiration" => properties.expiration = Some(text(value)?),
        "message_id" => properties.message_id = Some(text(value)?),
        "timestamp" => properties.timestamp = Some(whole_number(value)?),
        "type" => properties.kind = Some(text(value)?),
        "user_id" => properties.user_id = Some(text(value)?),
        "app_id" => properties.app_id = Some(text(value)?),
        // It describes the old delivery, not the message that is published.
        "redelivered" => {
            boolean(value)?;
        }
        _ => return Err(wrong("is no key of an envelope")),
    }
    Ok(())
}

fn delivery_mode(value: &RawValue) -> Result<u8> {
    match whole_number(value) {
        Ok(mode @ (TRANSIENT | PERSISTENT)) => Ok(mode),
        _ => Err(expected("1 (transient) or 2 (persistent)", value.get())),
    }
}

fn table(members: Members<'_>, depth: usize) -> Result<Headers> {
    members
        .into_iter()
        .map(|(key, value)| match header(value, depth) {
            Ok(header) => Ok((key, header)),
            Err(error) => Err(error.at(&key)),
        })
        .collect()
}

fn header(value: &RawValue, depth: usize) -> Result<HeaderValue> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| wrong("nested too deeply"))?;
    match value.get().as_bytes().first() {
        Some(b'n') => Ok(HeaderValue::Void),
        Some(b't' | b'f') => boolean(value).map(HeaderValue::Boolean),
        Some(b'"') => text(value).map(HeaderValue::String),
        Some(b'[') => array(value, depth),
        Some(b'{') => escape_or_table(value, depth),
        _ => number(value.get()),
    }
}

fn array(value: &RawValue, depth: usize) -> Result<HeaderValue> {
    let items: Vec<&RawValue> = json(value.get())?;
    let values: Result<Vec<HeaderValue>> =
        items.into_iter().map(|item| header(item, depth)).collect();
    values.map(HeaderValue::Array)
}

fn escape_or_table(value: &RawValue, depth: usize) -> Result<HeaderValue> {
    let members = members(value.get())?;
    match members.first_key_value() {
        Some((name, value)) if looks_like_escape(members.keys()) => {
            unescape(name, value, depth).map_err(|error| error.at(name))
        }
        _ => table(members, depth).map(HeaderValue::Table),
    }
}

fn unescape(name: &str, value: &RawValue, depth: usize) -> Result<HeaderValue> {
    Ok(match name {
        BYTES => HeaderValue::Bytes(bytes(value)?),
        TIMESTAMP => HeaderValue::Timestamp(whole_number(value)?),
        DECIMAL => decimal(&text(value)?)?,
        INT8 => HeaderValue::Int8(whole_number(value)?),
        UINT8 => HeaderValue::UInt8(whole_number(value)?),
        INT16 => HeaderValue::Int16(whole_number(value)?),
        UINT16 => HeaderValue::UInt16(whole_number(value)?),
        UINT32 => HeaderValue::UInt32(whole_number(value)?),
        INT64 => HeaderValue::Int64(whole_number(value)?),
        FLOAT => HeaderValue::Float(floating(value)?),
        DOUBLE => HeaderValue::Double(floating(value)?),
        TABLE => HeaderValue::Table(table(members(value.get())?, depth)?),
        _ => return Err(wrong("is no type of a header value")),
    })
}

/// A plain number: a double if it has a fraction or an exponent, else the smaller of two integer types that it fits.
fn number(digits: &str) -> Result<HeaderValue> {
    if digits.contains(['.', 'e', 'E']) {
        let number: f64 = digits.parse().map_err(|_| expected("a number", digits))?;
        return if number.is_finite() {
            Ok(HeaderValue::Double(number))
        } else {
            Err(wrong(&format!("{digits} does not fit a double")))
        };
    }
    let number: i64 = digits
        .parse()
        .map_err(|_| wrong(&format!("{digits} does not fit 64 bits")))?;
    Ok(i32::try_from(number).map_or(HeaderValue::Int64(number), HeaderValue::Int32))
}

/// An integer, or its digits in quotes, which stay exact where JSON numbers are read as doubles.
fn whole_number<T: FromStr>(value: &RawValue) -> Result<T> {
    let digits = digits(value)?;
    digits
        .parse()
        .map_err(|_| expected(&format!("a whole number ({})", range::<T>()), &digits))
}

/// A number, or the name of one that JSON has no digits for, such as NaN.
fn floating<T: FromStr + Into<f64> + Copy>(value: &RawValue) -> Result<T> {
    let digits = digits(value)?;
    match digits.parse::<T>() {
        Ok(number) if number.into().is_infinite() && !digits.contains(['n', 'N']) => {
            Err(wrong(&format!("{digits} is too large")))
        }
        Ok(number) => Ok(number),
        Err(_) => Err(expected("a number", &digits)),
    }
}

fn digits(value: &RawValue) -> Result<String> {
    if value.get().starts_with('"') {
        text(value)
    } else {
        Ok(value.get().to_owned())
    }
}

/// The range of an integer type, in words.
fn range<T>() -> &'static str {
    match std::any::type_name::<T>() {
        "u8" => "0 to 255",
        "i8" => "-128 to 127",
        "u16" => "0 to 65535",
        "i16" => "-32768 to 32767",
        "u32" => "32 bits, not negative",
        "u64" => "64 bits, not negative",
        _ => "64 bits",
    }
}

fn decimal(digits: &str) -> Result<HeaderValue> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let only_digits = [whole, fraction].concat();
    let well_formed = !whole.is_empty()
        && only_digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.ends_with('.');
    match (u8::try_from(fraction.len()), only_digits.parse()) {
        (Ok(scale), Ok(value)) if well_formed => Ok(HeaderValue::Decimal { scale, value }),
        _ => Err(expected(
            "digits such as \"1.25\", at most 4294967295 without the point",
            digits,
        )),
    }
}

fn text(value: &RawValue) -> Result<String> {
    if !value.get().starts_with('"') {
        return Err(expected("a string", value.get()));
    }
    json(value.get())
}

fn boolean(value: &RawValue) -> Result<bool> {
    json(value.get()).map_err(|_| expected("true or false", value.get()))
}

fn bytes(value: &RawValue) -> Result<Vec<u8>> {
    BASE64
        .decode(text(value)?)
        .map_err(|error| wrong(&format!("not base64: {error}")))
}

/// The members of an object, without duplicate keys.
type Members<'a> = BTreeMap<String, &'a RawValue>;

fn members(object: &str) -> Result<Members<'_>> {
    if !object.trim_start().starts_with('{') {
        return Err(expected("an object", object));
    }
    json(object).map(|DistinctMembers(members)| members)
}

/// The same of a whole line, with a word about JSON of other shapes.
fn members_of_line(line: &str) -> Result<Members<'_>> {
    let text = line.trim();
    if text.starts_with('[') {
        return Err(expected(
            "an object a line (jq -c '.[]' makes that of an array)",
            text,
        ));
    }
    match members(text) {
        Err(EnvelopeError(reason)) if is_cut_short(text) => Err(wrong(&format!(
            "{reason}: the object is not on one line (jq -c . puts it there)"
        ))),
        members => members,
    }
}

/// Whether more of the object would have to come.
fn is_cut_short(text: &str) -> bool {
    let error = serde_json::from_str::<&RawValue>(text).err();
    text.starts_with('{') && error.is_some_and(|error| error.is_eof())
}

/// Refuses an object that has a key twice, where serde's own maps would take the last one.
struct DistinctMembers<'a>(Members<'a>);

impl<'de> Deserialize<'de> for DistinctMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(DistinctMembersVisitor)
    }
}

struct DistinctMembersVisitor;

impl<'de> Visitor<'de> for DistinctMembersVisitor {
    type Value = DistinctMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut members = Members::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            if members.contains_key(&key) {
                return Err(A::Error::custom(format_args!("'{key}' is given twice")));
            }
            members.insert(key, value);
        }
        Ok(DistinctMembers(members))
    }
}

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The line number is always 1; the caller knows which line it is.
        let reason = message.split(" at line 1 ").next().unwrap_or(&message);
        if !error.is_syntax() {
            return wrong(reason);
        }
        let at = error.column().saturating_sub(1);
        match text.get(at..).filter(|found| !found.is_empty()) {
            Some(found) => wrong(&format!("{reason}, found {}", quoted(found))),
            None => wrong(reason),
        }
    })
}

/// How much of a value an error quotes.
const QUOTED: usize = 40;

fn expected(what: &str, found: &str) -> EnvelopeError {
    wrong(&format!("expected {what}, found {}", quoted(found)))
}

fn quoted(found: &str) -> String {
    let found = found.trim();
    let mut quoted: String = found.chars().take(QUOTED).collect();
    if quoted.len() < found.len() {
        quoted.push('…');
    }
    quoted
}

fn wrong(reason: &str) -> EnvelopeError {
    EnvelopeError(reason.to_owned())
}

impl EnvelopeError {
    /// The same error, inside `key`.
    fn at(self, key: &str) -> EnvelopeError {
        EnvelopeError(format!("'{key}': {}", self.0))
    }
}

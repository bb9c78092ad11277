//! `KEY=VALUE` with a value that has a type: an argument of a queue, an exchange or a binding, or a header.

use crate::message::HeaderValue;

/// A value that reads as an integer, `true` or `false` is one; any other is a text.
pub(super) fn parse_typed(text: &str) -> Result<(String, HeaderValue), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected KEY=VALUE".to_owned())?;
    let value = match value {
        "true" => HeaderValue::Boolean(true),
        "false" => HeaderValue::Boolean(false),
        _ => match value.parse() {
            Ok(number) => HeaderValue::Int64(number),
            Err(_) => HeaderValue::String(value.to_owned()),
        },
    };
    Ok((key.to_owned(), value))
}

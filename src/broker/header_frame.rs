//! The size of a content header's frame: a header is not divided, and a frame may be no larger than the broker takes.

use super::transport::frame::FRAME_OVERHEAD;
use crate::message::{HeaderValue, Headers, Properties};

/// Class, weight, body size and property flags of a content header (AMQP 0-9-1, section 4.2.6.1).
const CONTENT_HEADER: usize = 2 + 2 + 8 + 2;

/// How many bytes the frame of a content header with these properties has.
#[must_use]
pub fn header_frame_size(properties: &Properties) -> usize {
    let texts = [
        &properties.content_type,
        &properties.content_encoding,
        &properties.correlation_id,
        &properties.reply_to,
        &properties.expiration,
        &properties.message_id,
        &properties.kind,
        &properties.user_id,
        &properties.app_id,
    ];
    let octets = [properties.delivery_mode, properties.priority];
    FRAME_OVERHEAD
        + CONTENT_HEADER
        + texts
            .into_iter()
            .flatten()
            .map(|text| short_string(text))
            .sum::<usize>()
        + octets.iter().flatten().count()
        + properties.timestamp.map_or(0, |_| 8)
        + properties.headers.as_ref().map_or(0, table)
}

fn short_string(text: &str) -> usize {
    1 + text.len()
}

fn table(table: &Headers) -> usize {
    let entry = |(name, its): (&String, &HeaderValue)| short_string(name) + value(its);
    4 + table.iter().map(entry).sum::<usize>()
}

/// With the byte that tells the type.
fn value(value: &HeaderValue) -> usize {
    1 + match value {
        HeaderValue::Void => 0,
        HeaderValue::Boolean(_) | HeaderValue::Int8(_) | HeaderValue::UInt8(_) => 1,
        HeaderValue::Int16(_) | HeaderValue::UInt16(_) => 2,
        HeaderValue::Int32(_) | HeaderValue::UInt32(_) | HeaderValue::Float(_) => 4,
        HeaderValue::Decimal { .. } => 5,
        HeaderValue::Int64(_) | HeaderValue::Double(_) | HeaderValue::Timestamp(_) => 8,
        HeaderValue::String(text) => 4 + text.len(),
        HeaderValue::Bytes(bytes) => 4 + bytes.len(),
        HeaderValue::Array(values) => 4 + values.iter().map(self::value).sum::<usize>(),
        HeaderValue::Table(entries) => table(entries),
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::frame::generation::gen_content_header_frame;

    use super::*;
    use crate::broker::convert::to_wire;

    /// The frame that is sent.
    fn frame_size_of(properties: &Properties) -> usize {
        let mut buffer = vec![0; 4096];
        let wire = to_wire(properties).unwrap();
        gen_content_header_frame((&mut buffer, 0), 1, 60, 5, &wire)
            .unwrap()
            .1
    }

    fn all_values() -> Vec<HeaderValue> {
        vec![
            HeaderValue::Boolean(true),
            HeaderValue::Int8(-1),
            HeaderValue::UInt8(1),
            HeaderValue::Int16(-1),
            HeaderValue::UInt16(1),
            HeaderValue::Int32(-1),
            HeaderValue::UInt32(1),
            HeaderValue::Int64(-1),
            HeaderValue::Float(0.5),
            HeaderValue::Double(0.5),
            HeaderValue::Decimal { scale: 2, value: 1 },
            HeaderValue::String("text".to_owned()),
            HeaderValue::Bytes(b"bytes".to_vec()),
            HeaderValue::Timestamp(1),
            HeaderValue::Void,
        ]
    }

    #[test]
    fn it_is_the_size_of_what_is_sent() {
        let text = |text: &str| Some(text.to_owned());
        let mut properties = Properties::default();
        assert_eq!(header_frame_size(&properties), frame_size_of(&properties));
        properties = Properties {
            content_type: text("a"),
            content_encoding: text("ab"),
            headers: None,
            delivery_mode: Some(2),
            priority: Some(1),
            correlation_id: text("abc"),
            reply_to: text("abcd"),
            expiration: text("1000"),
            message_id: text(""),
            timestamp: Some(1),
            kind: text("kind"),
            user_id: text("guest"),
            app_id: text("app"),
        };
        assert_eq!(header_frame_size(&properties), frame_size_of(&properties));
        let inner: Headers = (0_u8..)
            .zip(all_values())
            .map(|(number, value)| (format!("{number} inside"), value))
            .collect();
        for value in [
            all_values(),
            vec![HeaderValue::Array(all_values()), HeaderValue::Table(inner)],
        ]
        .concat()
        {
            properties.headers = Some([("header".to_owned(), value)].into());
            assert_eq!(
                header_frame_size(&properties),
                frame_size_of(&properties),
                "{properties:?}"
            );
        }
    }
}

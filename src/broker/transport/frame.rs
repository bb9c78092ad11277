//! AMQP 0-9-1 on the wire: frame heads, frame types and method ids. Everything else asks this file.
//!
//! A frame is a head of seven bytes (type, channel, size of the payload), the payload, and one byte at the end (AMQP 0-9-1,
//! section 4.2.3).

use amq_protocol::frame::generation::{gen_content_header_frame, gen_method_frame};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::AMQPProperties;

/// What a client sends before the first frame (section 4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";

/// The length of a frame's head.
pub const HEAD_LENGTH: usize = 7;
/// The last byte of a frame.
pub const FRAME_END: u8 = 0xCE;
/// What a frame has besides its payload: head and end.
pub const FRAME_OVERHEAD: usize = HEAD_LENGTH + 1;

/// The type of a method's frame.
pub const METHOD: u8 = 1;
/// The type of a content header's frame.
pub const HEADER: u8 = 2;
/// The type of a body's frame.
pub const BODY: u8 = 3;
/// The type of a heartbeat.
pub const HEARTBEAT: u8 = 8;

/// Class connection.
pub const CONNECTION: u16 = 10;
/// Class channel.
pub const CHANNEL: u16 = 20;
/// Class exchange.
pub const EXCHANGE: u16 = 40;
/// Class queue.
pub const QUEUE: u16 = 50;
/// Class basic.
pub const BASIC: u16 = 60;
/// Class confirm, `RabbitMQ`'s own.
pub const CONFIRM: u16 = 85;

/// A method: its class, and its number in that class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodId(pub u16, pub u16);

/// The methods that something depends on, by the names that the specification gives them.
#[allow(missing_docs)]
impl MethodId {
    pub const CONNECTION_START: MethodId = MethodId(CONNECTION, 10);
    pub const CONNECTION_START_OK: MethodId = MethodId(CONNECTION, 11);
    pub const CONNECTION_TUNE: MethodId = MethodId(CONNECTION, 30);
    pub const CONNECTION_TUNE_OK: MethodId = MethodId(CONNECTION, 31);
    pub const CONNECTION_OPEN: MethodId = MethodId(CONNECTION, 40);
    pub const CONNECTION_OPEN_OK: MethodId = MethodId(CONNECTION, 41);
    pub const CONNECTION_CLOSE: MethodId = MethodId(CONNECTION, 50);
    pub const CONNECTION_CLOSE_OK: MethodId = MethodId(CONNECTION, 51);
    pub const CHANNEL_OPEN: MethodId = MethodId(CHANNEL, 10);
    pub const CHANNEL_OPEN_OK: MethodId = MethodId(CHANNEL, 11);
    pub const CHANNEL_FLOW: MethodId = MethodId(CHANNEL, 20);
    pub const CHANNEL_FLOW_OK: MethodId = MethodId(CHANNEL, 21);
    pub const CHANNEL_CLOSE: MethodId = MethodId(CHANNEL, 40);
    pub const CHANNEL_CLOSE_OK: MethodId = MethodId(CHANNEL, 41);
    pub const BASIC_CANCEL: MethodId = MethodId(BASIC, 30);
    pub const BASIC_PUBLISH: MethodId = MethodId(BASIC, 40);
    pub const BASIC_DELIVER: MethodId = MethodId(BASIC, 60);
    pub const BASIC_GET_OK: MethodId = MethodId(BASIC, 71);
    pub const BASIC_ACK: MethodId = MethodId(BASIC, 80);
    pub const BASIC_REJECT: MethodId = MethodId(BASIC, 90);
    pub const BASIC_NACK: MethodId = MethodId(BASIC, 120);
    pub const CONFIRM_SELECT: MethodId = MethodId(CONFIRM, 10);
    pub const CONFIRM_SELECT_OK: MethodId = MethodId(CONFIRM, 11);

    /// The method whose id `payload` begins with.
    #[must_use]
    pub fn of_payload(payload: &[u8]) -> Option<MethodId> {
        let [class, class_low, number, number_low] = *payload.first_chunk()?;
        Some(MethodId(
            u16::from_be_bytes([class, class_low]),
            u16::from_be_bytes([number, number_low]),
        ))
    }

    /// The method that `frame`, the bytes of a frame, consists of. `None`: it is no method's frame.
    #[must_use]
    pub fn of_frame(frame: &[u8]) -> Option<MethodId> {
        match frame.first() {
            Some(&METHOD) => MethodId::of_payload(frame.get(HEAD_LENGTH..)?),
            _ => None,
        }
    }

    /// Whether `frame` answers that the broker has closed the channel, or the connection.
    #[must_use]
    pub fn ends_channel(frame: &[u8]) -> bool {
        let id = MethodId::of_frame(frame);
        [MethodId::CHANNEL_CLOSE_OK, MethodId::CONNECTION_CLOSE_OK]
            .map(Some)
            .contains(&id)
    }
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The type of the frame.
    pub kind: u8,
    /// The channel; 0 is the connection itself.
    pub channel: u16,
    /// The size of the payload in bytes.
    pub size: u32,
}

impl Head {
    /// The head that `bytes` begins with, if all of it is there.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Head> {
        let [kind, channel @ .., s0, s1, s2, s3] = *bytes.first_chunk::<HEAD_LENGTH>()?;
        Some(Head {
            kind,
            channel: u16::from_be_bytes(channel),
            size: u32::from_be_bytes([s0, s1, s2, s3]),
        })
    }

    /// The length of the whole frame.
    #[must_use]
    pub fn frame_length(self) -> usize {
        (self.size as usize).saturating_add(FRAME_OVERHEAD)
    }
}

/// The frame that `bytes` begins with, if all of it is there.
#[must_use]
pub fn first(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..Head::of(bytes)?.frame_length())
}

/// A frame's bytes.
#[must_use]
pub fn encode(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_OVERHEAD + payload.len());
    append(&mut frame, kind, channel, payload);
    frame
}

/// Adds a frame's bytes to others.
pub fn append(frames: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    frames.push(kind);
    frames.extend(channel.to_be_bytes());
    frames.extend(size.to_be_bytes());
    frames.extend(payload);
    frames.push(FRAME_END);
}

/// A method's frame; `arguments` are encoded already.
#[must_use]
pub fn encode_method(channel: u16, MethodId(class, number): MethodId, arguments: &[u8]) -> Vec<u8> {
    let id = [class.to_be_bytes(), number.to_be_bytes()].concat();
    encode(METHOD, channel, &[&id, arguments].concat())
}

/// The frame of a method with its arguments, if it has at most `max` bytes.
#[must_use]
pub fn encode_class(channel: u16, method: &AMQPClass, max: usize) -> Option<Vec<u8>> {
    let mut frame = vec![0; max];
    let (_, length) = gen_method_frame((&mut frame, 0), channel, method).ok()?;
    frame.truncate(length);
    Some(frame)
}

/// The frame of a content header for an empty body, if it has at most `max` bytes.
#[must_use]
pub fn encode_header(channel: u16, properties: &AMQPProperties, max: usize) -> Option<Vec<u8>> {
    let mut frame = vec![0; max];
    let start = (frame.as_mut_slice(), 0);
    let (_, length) = gen_content_header_frame(start, channel, BASIC, 0, properties).ok()?;
    frame.truncate(length);
    Some(frame)
}

/// Where the size of the body stands in a content header's payload: behind class and weight (section 4.2.6.1).
const BODY_SIZE: usize = 4;

/// Writes the size of the body into a content header's frame.
pub fn set_body_size(header_frame: &mut [u8], size: u64) {
    let field = header_frame.iter_mut().skip(HEAD_LENGTH + BODY_SIZE);
    field
        .zip(size.to_be_bytes())
        .for_each(|(byte, new)| *byte = new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_encoded_and_recognised() {
        let frame = encode_method(1, MethodId::CHANNEL_OPEN, &[0]);
        assert_eq!(frame, [1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xCE]);
        let head = Head::of(&frame).unwrap();
        assert_eq!((head.kind, head.channel, head.size), (METHOD, 1, 5));
        assert_eq!(MethodId::of_frame(&frame), Some(MethodId::CHANNEL_OPEN));
        assert_eq!(first(&[&frame[..], b"more"].concat()), Some(&frame[..]));
    }

    #[test]
    fn what_is_cut_short_is_not_recognised() {
        let frame = encode_method(1, MethodId::CHANNEL_OPEN, &[0]);
        assert_eq!(Head::of(&frame[..6]), None);
        assert_eq!(first(&frame[..12]), None);
        assert_eq!(MethodId::of_frame(&frame[..10]), None);
        assert_eq!(MethodId::of_frame(&encode(HEARTBEAT, 0, &[])), None);
    }
}

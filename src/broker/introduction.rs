//! How the tools introduce themselves to the broker: as amqp-tools rather than as amiquip, and as a client that wants
//! to be told why its login is refused (<https://www.rabbitmq.com/docs/auth-notification>). amiquip has no setting
//! for either, so the one frame that says it, connection.start-ok, is written anew on its way out.

use std::io::{self, Write};

/// What amiquip sends first (AMQP 0-9-1, section 4.2.2).
const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";

/// Before the arguments of connection.start-ok: a frame's head (method, channel 0, size), class 10, method 11.
const HEAD: usize = 7;
const METHOD_NUMBER: [u8; 4] = [0, 10, 0, 11];
const FRAME_END: u8 = 0xCE;

/// What is yet to be written of the introduction.
#[derive(Debug)]
pub(super) enum Introduction {
    /// So many bytes of the protocol header.
    Greeting(usize),
    /// The protocol header is written, and amiquip does not know it.
    Greeted,
    /// connection.start-ok.
    StartOk(Rewritten),
    /// Nothing.
    Over,
}

/// A frame on its way out in the place of amiquip's.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// The length of amiquip's frame.
    original_length: usize,
    unwritten: Vec<u8>,
}

impl Default for Introduction {
    fn default() -> Self {
        Introduction::Greeting(PROTOCOL_HEADER.len())
    }
}

impl Introduction {
    /// One whose protocol header is sent now, so that the broker is at work while amiquip makes itself ready.
    pub(super) fn begun_on(mut wire: impl Write) -> Introduction {
        match wire.write_all(&PROTOCOL_HEADER) {
            Ok(()) => Introduction::Greeted,
            // A connection that is broken already; amiquip will find out how.
            Err(_) => Introduction::default(),
        }
    }

    /// Whether nothing of it is left to be written.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Introduction::Over)
    }

    /// Writes `bytes` to `wire`, other ones in their place where they are the introduction, and says how many of
    /// `bytes` that stands for.
    pub(super) fn write(&mut self, bytes: &[u8], wire: &mut impl Write) -> io::Result<usize> {
        match self {
            Introduction::Greeting(left) => {
                let length = wire.write(&bytes[..bytes.len().min(*left)])?;
                *left -= length;
                if *left == 0 {
                    *self = Introduction::StartOk(Rewritten::default());
                }
                Ok(length)
            }
            Introduction::Greeted => {
                *self = Introduction::StartOk(Rewritten::default());
                Ok(bytes.len().min(PROTOCOL_HEADER.len()))
            }
            Introduction::StartOk(frame) => {
                if frame.unwritten.is_empty() {
                    let Some(new) = rewritten(bytes) else {
                        *self = Introduction::Over;
                        return wire.write(bytes);
                    };
                    *frame = new;
                }
                while !frame.unwritten.is_empty() {
                    let length = wire.write(&frame.unwritten)?;
                    frame.unwritten.drain(..length);
                }
                let length = frame.original_length;
                *self = Introduction::Over;
                Ok(length)
            }
            Introduction::Over => wire.write(bytes),
        }
    }
}

/// The frame of connection.start-ok that `bytes` begins with, with our own client properties.
fn rewritten(bytes: &[u8]) -> Option<Rewritten> {
    let head = bytes.first_chunk::<HEAD>()?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let arguments = bytes.get(HEAD..HEAD + size)?.strip_prefix(&METHOD_NUMBER)?;
    let table_length = u32::from_be_bytes(*arguments.first_chunk()?) as usize;
    let behind_table = arguments.get(4 + table_length..)?;

    let payload = [
        &METHOD_NUMBER,
        long(&client_properties()).as_slice(),
        behind_table,
    ]
    .concat();
    let mut unwritten = [&head[..3], &long(&payload)].concat();
    unwritten.push(FRAME_END);
    Some(Rewritten {
        original_length: HEAD + size + 1,
        unwritten,
    })
}

/// The entries of the client-properties table.
fn client_properties() -> Vec<u8> {
    let capabilities: Vec<u8> = [
        "authentication_failure_close",
        "connection.blocked",
        "consumer_cancel_notify",
    ]
    .into_iter()
    .flat_map(|capability| entry(capability, b't', &[1]))
    .collect();
    [
        entry("product", b'S', &long(b"amqp-tools")),
        entry("version", b'S', &long(env!("CARGO_PKG_VERSION").as_bytes())),
        entry("platform", b'S', &long(std::env::consts::OS.as_bytes())),
        entry("capabilities", b'F', &long(&capabilities)),
    ]
    .concat()
}

fn entry(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[length], name.as_bytes(), &[kind], value].concat()
}

/// `bytes` with their length before them.
fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use amq_protocol::frame::generation::gen_method_frame;
    use amq_protocol::frame::{AMQPFrame, parse_frame};
    use amq_protocol::protocol::AMQPClass;
    use amq_protocol::protocol::connection::{AMQPMethod, StartOk};
    use amq_protocol::types::{AMQPValue, FieldTable};

    use super::*;
    use crate::broker::slow_wire::SlowWire;

    fn start_ok(client_properties: FieldTable) -> AMQPClass {
        AMQPClass::Connection(AMQPMethod::StartOk(StartOk {
            client_properties,
            mechanism: "PLAIN".to_owned(),
            response: "\0ann\0secret".to_owned(),
            locale: "en_US".to_owned(),
        }))
    }

    fn frame(method: &AMQPClass) -> Vec<u8> {
        let mut buffer = vec![0; 4096];
        let length = gen_method_frame((&mut buffer, 0), 0, method).unwrap().1;
        buffer.truncate(length);
        buffer
    }

    /// What is on the wire after `bytes` were written as amiquip does: the rest again, until all is taken.
    fn on_the_wire(bytes: &[u8]) -> Vec<u8> {
        written_by(Introduction::default(), bytes)
    }

    fn written_by(mut introduction: Introduction, bytes: &[u8]) -> Vec<u8> {
        let mut wire = SlowWire::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Ok(length) = introduction.write(rest, &mut wire) {
                rest = &rest[length..];
            }
        }
        wire.written
    }

    #[test]
    fn the_client_properties_are_ours_and_the_rest_is_amiquips() {
        let theirs = std::iter::once(("product".to_owned(), AMQPValue::Void)).collect();
        let greeting = b"AMQP\0\0\x09\x01";
        let start = frame(&start_ok(theirs));
        let written = on_the_wire(&[greeting, start.as_slice(), start.as_slice()].concat());
        let rest = written.strip_prefix(greeting).unwrap();
        let (rest, introduced) = parse_frame(rest).unwrap();
        let AMQPFrame::Method(0, AMQPClass::Connection(AMQPMethod::StartOk(ok))) = introduced
        else {
            panic!("{introduced:?}");
        };
        let AMQPValue::FieldTable(capabilities) = &ok.client_properties["capabilities"] else {
            panic!("{ok:?}");
        };
        assert_eq!(
            capabilities.get("authentication_failure_close"),
            Some(&AMQPValue::Boolean(true))
        );
        assert_eq!(
            ok.client_properties.get("product"),
            Some(&AMQPValue::LongString("amqp-tools".to_owned()))
        );
        let ours = ok.client_properties.clone();
        assert_eq!(
            AMQPClass::Connection(AMQPMethod::StartOk(ok)),
            start_ok(ours)
        );
        assert_eq!(rest, start, "only the first frame is written anew");
    }

    #[test]
    fn other_frames_pass_as_they_are() {
        for bytes in [
            &b"AMQP\0\0\x09\x01anything else at all"[..],
            b"AMQP\0\0\x09\x01\x01",
        ] {
            assert_eq!(on_the_wire(bytes), bytes);
        }
    }

    #[test]
    fn a_greeting_sent_before_is_not_sent_again() {
        let mut before = Vec::new();
        let introduction = Introduction::begun_on(&mut before);
        assert_eq!(before, PROTOCOL_HEADER);
        let rest = frame(&start_ok(FieldTable::default()));
        let written = written_by(introduction, &[&PROTOCOL_HEADER, rest.as_slice()].concat());
        assert_eq!(
            written,
            on_the_wire(&[&PROTOCOL_HEADER, rest.as_slice()].concat())[8..]
        );
    }
}

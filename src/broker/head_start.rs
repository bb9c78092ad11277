//! Saves the round trip of channel.open: our one channel is opened together with the connection, before amiquip asks
//! for it. A broker reads frames in order, so it sees no difference; what it answers is held back until amiquip does ask.

use std::io::{self, Write};

/// amiquip's frames, and in their midst the one that is sent before its time.
#[derive(Debug, Default)]
pub(super) enum HeadStart {
    /// connection.tune-ok and connection.open, which amiquip writes as one, are yet to come.
    #[default]
    Waiting,
    /// They are on their way, with channel.open behind them.
    Sending {
        /// So many bytes of them are amiquip's.
        original_length: usize,
        unwritten: Vec<u8>,
    },
    /// amiquip's own channel.open is yet to come, perhaps behind a heartbeat of which so much is unwritten.
    Ahead { rest: usize },
    /// Nothing is left to do.
    Over,
}

/// Before a frame's payload: type, channel, size (AMQP 0-9-1, section 4.2.3); behind it one byte more.
const HEAD: usize = 7;
const FRAME_OVERHEAD: usize = HEAD + 1;

/// The type of a frame that is nothing but the overhead.
const HEARTBEAT: u8 = 8;

/// What the payloads of connection.tune-ok and connection.open begin with.
const TUNE_OK: [u8; 4] = [0, 10, 0, 31];
const OPEN: [u8; 4] = [0, 10, 0, 40];

/// channel.open on channel 1, the first that amiquip takes.
const CHANNEL_OPEN: [u8; 13] = [1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xCE];

impl HeadStart {
    /// Whether the channel is open or opening, and amiquip does not know it.
    pub(super) fn is_ahead(&self) -> bool {
        matches!(self, HeadStart::Sending { .. } | HeadStart::Ahead { .. })
    }

    /// Writes `bytes` to `wire`, with channel.open where it belongs, and says how many of `bytes` that stands for.
    pub(super) fn write(&mut self, bytes: &[u8], wire: &mut impl Write) -> io::Result<usize> {
        match self {
            HeadStart::Over => wire.write(bytes),
            HeadStart::Waiting => {
                let Some(original_length) = opening_length(bytes) else {
                    *self = HeadStart::Over;
                    return wire.write(bytes);
                };
                *self = HeadStart::Sending {
                    original_length,
                    unwritten: [&bytes[..original_length], &CHANNEL_OPEN].concat(),
                };
                self.write(bytes, wire)
            }
            HeadStart::Sending {
                original_length,
                unwritten,
            } => {
                while !unwritten.is_empty() {
                    let length = wire.write(unwritten)?;
                    unwritten.drain(..length);
                }
                let length = *original_length;
                *self = HeadStart::Ahead { rest: 0 };
                Ok(length)
            }
            HeadStart::Ahead { rest: 0 } if bytes.starts_with(&CHANNEL_OPEN) => {
                *self = HeadStart::Over;
                Ok(CHANNEL_OPEN.len())
            }
            HeadStart::Ahead { rest: 0 } if bytes.first() != Some(&HEARTBEAT) => {
                *self = HeadStart::Over;
                wire.write(bytes)
            }
            HeadStart::Ahead { rest } => {
                if *rest == 0 {
                    *rest = FRAME_OVERHEAD;
                }
                let length = wire.write(&bytes[..bytes.len().min(*rest)])?;
                *rest -= length;
                Ok(length)
            }
        }
    }
}

/// The length of connection.tune-ok and connection.open, if that is what `bytes` begins with.
fn opening_length(bytes: &[u8]) -> Option<usize> {
    let tune_ok = method_length(bytes, TUNE_OK)?;
    let open = method_length(bytes.get(tune_ok..)?, OPEN)?;
    Some(tune_ok + open)
}

/// The length of the frame that `bytes` begins with, if all of it is there and it is this method's.
fn method_length(bytes: &[u8], method: [u8; 4]) -> Option<usize> {
    let length = frame_length(bytes)?;
    let frame = bytes.get(..length)?;
    frame[HEAD..].starts_with(&method).then_some(length)
}

/// The length of the frame that `bytes` begins with.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<HEAD>()?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    Some(usize::try_from(size).ok()?.saturating_add(FRAME_OVERHEAD))
}

#[cfg(test)]
mod tests {
    use amq_protocol::frame::generation::{gen_heartbeat_frame, gen_method_frame};
    use amq_protocol::protocol::connection::{self, AMQPMethod as Connection};
    use amq_protocol::protocol::{AMQPClass, channel};

    use super::*;
    use crate::broker::slow_wire::SlowWire;

    fn frame(channel: u16, method: &AMQPClass) -> Vec<u8> {
        let mut buffer = vec![0; 4096];
        let length = gen_method_frame((&mut buffer, 0), channel, method)
            .unwrap()
            .1;
        buffer.truncate(length);
        buffer
    }

    fn heartbeat() -> Vec<u8> {
        let mut buffer = vec![0; 64];
        let length = gen_heartbeat_frame((&mut buffer, 0)).unwrap().1;
        buffer.truncate(length);
        buffer
    }

    fn opening() -> Vec<u8> {
        let tune_ok = connection::TuneOk {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 60,
        };
        let open = connection::Open {
            virtual_host: "/".to_owned(),
            capabilities: String::new(),
            insist: false,
        };
        [
            frame(0, &AMQPClass::Connection(Connection::TuneOk(tune_ok))),
            frame(0, &AMQPClass::Connection(Connection::Open(open))),
        ]
        .concat()
    }

    fn channel_open(id: u16) -> Vec<u8> {
        let open = channel::Open {
            out_of_band: String::new(),
        };
        frame(id, &AMQPClass::Channel(channel::AMQPMethod::Open(open)))
    }

    /// What is on the wire after each of `batches` was written as amiquip does: the rest again, until all is taken.
    fn on_the_wire(batches: &[&[u8]]) -> Vec<u8> {
        let mut head_start = HeadStart::default();
        let mut wire = SlowWire::default();
        for batch in batches {
            let mut rest = *batch;
            while !rest.is_empty() {
                if let Ok(length) = head_start.write(rest, &mut wire) {
                    rest = &rest[length..];
                }
            }
        }
        wire.written
    }

    #[test]
    fn the_channel_is_opened_once_and_early() {
        let (opening, ours) = (opening(), channel_open(1));
        for behind in [&b""[..], b"and what is done on it"] {
            let then = [&ours, behind].concat();
            assert_eq!(
                on_the_wire(&[&opening, &heartbeat(), &then]),
                [&opening, ours.as_slice(), &heartbeat(), behind].concat()
            );
        }
    }

    #[test]
    fn a_heartbeat_in_the_way_may_come_in_one_piece_with_the_channel() {
        let (opening, ours) = (opening(), channel_open(1));
        let then = [heartbeat(), ours.clone()].concat();
        assert_eq!(
            on_the_wire(&[&opening, &then]),
            [opening.as_slice(), &ours, &heartbeat()].concat()
        );
    }

    #[test]
    fn what_begins_otherwise_passes_as_it_is() {
        let (other, ours) = (heartbeat(), channel_open(1));
        assert_eq!(on_the_wire(&[&other, &ours]), [other, ours].concat());
        let half = &opening()[..25];
        assert_eq!(on_the_wire(&[half]), half);
    }

    #[test]
    fn another_channel_is_not_taken_for_ours_and_nothing_is_held_back_for_it() {
        let mut head_start = HeadStart::default();
        let mut wire = Vec::new();
        head_start.write(&opening(), &mut wire).unwrap();
        head_start.write(&channel_open(2), &mut wire).unwrap();
        assert!(!head_start.is_ahead());
        assert_eq!(wire, [opening(), channel_open(1), channel_open(2)].concat());
    }

    #[test]
    fn it_is_ahead_from_the_first_byte_to_amiquips_own() {
        let mut head_start = HeadStart::default();
        let mut wire = Vec::new();
        assert!(!head_start.is_ahead());
        head_start.write(&opening(), &mut wire).unwrap();
        assert!(head_start.is_ahead());
        head_start.write(&channel_open(1), &mut wire).unwrap();
        assert!(!head_start.is_ahead());
    }
}

//! Saves round trips: our one channel is opened together with the connection, before amiquip asks for it, and the first
//! call on it may be sent then too. A broker reads frames in order, so it sees no difference; what it answers is held
//! back until amiquip does ask.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::guard::MethodNumber;

/// amiquip's frames, and in their midst those that are sent before their time.
#[derive(Debug)]
pub(super) struct HeadStart {
    /// What amiquip has yet to write of them, in its order. Nothing is left to do when there are none.
    early: VecDeque<Early>,
    progress: Progress,
}

/// A frame that is sent before amiquip writes it.
#[derive(Debug)]
struct Early {
    frame: Vec<u8>,
    /// The answer that amiquip waits for before it writes the frame.
    asked_behind: MethodNumber,
}

#[derive(Debug)]
enum Progress {
    /// connection.tune-ok and connection.open, which amiquip writes as one, are yet to come.
    Waiting,
    /// They are on their way, with the early frames behind them.
    Sending {
        /// So many bytes of them are amiquip's.
        original_length: usize,
        unwritten: Vec<u8>,
    },
    /// amiquip's own frames are yet to come, perhaps behind a heartbeat of which so much is unwritten.
    Ahead { rest: usize },
}

/// The channel that everything is done on: the first that amiquip takes.
pub(super) const CHANNEL: u16 = 1;

/// Before a frame's payload: type, channel, size (AMQP 0-9-1, section 4.2.3); behind it one byte more.
pub(super) const HEAD: usize = 7;
const FRAME_OVERHEAD: usize = HEAD + 1;

/// The type of a frame that is nothing but the overhead.
const HEARTBEAT: u8 = 8;

const TUNE_OK: MethodNumber = [0, 10, 0, 31];
const OPEN: MethodNumber = [0, 10, 0, 40];
const OPEN_OK: MethodNumber = [0, 10, 0, 41];
const CHANNEL_OPEN_OK: MethodNumber = [0, 20, 0, 11];

/// channel.open on [`CHANNEL`].
const CHANNEL_OPEN: [u8; 13] = [1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xCE];

impl HeadStart {
    /// One that opens the channel and then sends the frame of the `first_call` on it.
    pub(super) fn with(first_call: Option<&[u8]>) -> HeadStart {
        let channel_open = Early {
            frame: CHANNEL_OPEN.to_vec(),
            asked_behind: OPEN_OK,
        };
        let first_call = first_call.map(|frame| Early {
            frame: frame.to_vec(),
            asked_behind: CHANNEL_OPEN_OK,
        });
        HeadStart {
            early: std::iter::once(channel_open).chain(first_call).collect(),
            progress: Progress::Waiting,
        }
    }

    /// The last of the broker's answers that amiquip may read: what follows it, amiquip has not asked for yet.
    pub(super) fn last_answer(&self) -> Option<MethodNumber> {
        match self.progress {
            Progress::Waiting => None,
            Progress::Sending { .. } | Progress::Ahead { .. } => {
                self.early.front().map(|early| early.asked_behind)
            }
        }
    }

    /// Writes `bytes` to `wire`, with the early frames where they belong, and says how many of `bytes` that stands for.
    pub(super) fn write(&mut self, bytes: &[u8], wire: &mut impl Write) -> io::Result<usize> {
        let Some(next) = self.early.front() else {
            return wire.write(bytes);
        };
        match &mut self.progress {
            Progress::Waiting => {
                let Some(original_length) = opening_length(bytes) else {
                    return self.give_up(bytes, wire);
                };
                self.progress = Progress::Sending {
                    original_length,
                    unwritten: self.with_early_frames(&bytes[..original_length]),
                };
                self.write(bytes, wire)
            }
            Progress::Sending {
                original_length,
                unwritten,
            } => {
                while !unwritten.is_empty() {
                    let length = wire.write(unwritten)?;
                    unwritten.drain(..length);
                }
                let length = *original_length;
                self.progress = Progress::Ahead { rest: 0 };
                Ok(length)
            }
            Progress::Ahead { rest: 0 } if bytes.starts_with(&next.frame) => {
                let length = next.frame.len();
                self.early.pop_front();
                Ok(length)
            }
            Progress::Ahead { rest: 0 } if bytes.first() != Some(&HEARTBEAT) => {
                self.give_up(bytes, wire)
            }
            Progress::Ahead { rest } => {
                if *rest == 0 {
                    *rest = FRAME_OVERHEAD;
                }
                let length = wire.write(&bytes[..bytes.len().min(*rest)])?;
                *rest -= length;
                Ok(length)
            }
        }
    }

    fn with_early_frames(&self, opening: &[u8]) -> Vec<u8> {
        let early = self.early.iter().map(|early| early.frame.as_slice());
        std::iter::once(opening)
            .chain(early)
            .collect::<Vec<_>>()
            .concat()
    }

    /// amiquip goes another way, as it does when the broker closes the connection: nothing of its own is kept back.
    fn give_up(&mut self, bytes: &[u8], wire: &mut impl Write) -> io::Result<usize> {
        self.early.clear();
        wire.write(bytes)
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
pub(super) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<HEAD>()?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    Some(usize::try_from(size).ok()?.saturating_add(FRAME_OVERHEAD))
}

#[cfg(test)]
mod tests {
    use amq_protocol::frame::generation::{gen_heartbeat_frame, gen_method_frame};
    use amq_protocol::protocol::connection::{self, AMQPMethod as Connection};
    use amq_protocol::protocol::{AMQPClass, channel, queue};
    use amq_protocol::types::FieldTable;

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

    fn declare(queue: &str) -> Vec<u8> {
        let declare = queue::Declare {
            ticket: 0,
            queue: queue.to_owned(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: FieldTable::new(),
        };
        frame(1, &AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))
    }

    /// What is on the wire after each of `batches` was written as amiquip does: the rest again, until all is taken.
    fn on_the_wire(first_call: Option<&[u8]>, batches: &[&[u8]]) -> Vec<u8> {
        let mut head_start = HeadStart::with(first_call);
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
                on_the_wire(None, &[&opening, &heartbeat(), &then]),
                [&opening, ours.as_slice(), &heartbeat(), behind].concat()
            );
        }
    }

    #[test]
    fn the_first_call_is_made_once_and_early() {
        let (opening, ours, call) = (opening(), channel_open(1), declare("q"));
        let early = [&opening, ours.as_slice(), &call].concat();
        for behind in [call.clone(), channel_open(2), b"and more".to_vec()] {
            let then = [&call, behind.as_slice()].concat();
            assert_eq!(
                on_the_wire(Some(&call), &[&opening, &ours, &then]),
                [early.as_slice(), &behind].concat()
            );
        }
        let in_one = [ours, heartbeat(), call.clone(), heartbeat()].concat();
        assert_eq!(
            on_the_wire(Some(&call), &[&opening, &in_one]),
            [early.as_slice(), &heartbeat(), &heartbeat()].concat()
        );
    }

    #[test]
    fn a_heartbeat_in_the_way_may_come_in_one_piece_with_the_channel() {
        let (opening, ours) = (opening(), channel_open(1));
        let then = [heartbeat(), ours.clone()].concat();
        assert_eq!(
            on_the_wire(None, &[&opening, &then]),
            [opening.as_slice(), &ours, &heartbeat()].concat()
        );
    }

    #[test]
    fn what_begins_otherwise_passes_as_it_is() {
        let (other, ours, call) = (heartbeat(), channel_open(1), declare("q"));
        assert_eq!(
            on_the_wire(Some(&call), &[&other, &ours, &call]),
            [other.as_slice(), &ours, &call].concat()
        );
        let half = &opening()[..25];
        assert_eq!(on_the_wire(Some(&call), &[half]), half);
    }

    /// The answers up to which amiquip may read after each of `batches`.
    fn last_answers(first_call: Option<&[u8]>, batches: &[Vec<u8>]) -> Vec<Option<MethodNumber>> {
        let mut head_start = HeadStart::with(first_call);
        assert_eq!(head_start.last_answer(), None);
        let mut wire = Vec::new();
        let answers = batches.iter().map(|batch| {
            head_start.write(batch, &mut wire).unwrap();
            head_start.last_answer()
        });
        answers.collect()
    }

    #[test]
    fn answers_are_held_back_until_amiquip_asks() {
        let asks = [opening(), channel_open(1), heartbeat(), declare("q")];
        assert_eq!(
            last_answers(None, &asks[..2]),
            [Some(OPEN_OK), None],
            "the channel alone"
        );
        assert_eq!(
            last_answers(Some(&declare("q")), &asks),
            [
                Some(OPEN_OK),
                Some(CHANNEL_OPEN_OK),
                Some(CHANNEL_OPEN_OK),
                None
            ]
        );
    }

    #[test]
    fn nothing_is_held_back_once_amiquip_asks_for_something_else() {
        let call = declare("q");
        for other in [channel_open(2), declare("other"), b"and more".to_vec()] {
            let asks = [opening(), other.clone(), channel_open(1), call.clone()];
            assert_eq!(
                last_answers(Some(&call), &asks),
                [Some(OPEN_OK), None, None, None]
            );
            let asks = [opening(), channel_open(1), other.clone(), call.clone()];
            assert_eq!(
                last_answers(Some(&call), &asks),
                [Some(OPEN_OK), Some(CHANNEL_OPEN_OK), None, None]
            );
            assert_eq!(
                on_the_wire(Some(&call), &asks.each_ref().map(Vec::as_slice)),
                [
                    opening(),
                    channel_open(1),
                    call.clone(),
                    other,
                    call.clone()
                ]
                .concat()
            );
        }
    }
}

//! What goes to the socket: amiquip's frames, and what is sent past amiquip, messages and acknowledgements. A list of edits
//! changes amiquip's first frames: see [`edit`]. After that, its frames pass as they are.
//!
//! amiquip hands frames over as if the network took them, so its heartbeats and its reading go on. What the network does not
//! take waits here, and so do messages while the broker takes none (channel.flow); acknowledgements go past them. No call
//! overtakes what was sent before it was made: the broker's answer to the call tells that it has handled all of that.
//!
//! # Messages
//!
//! amiquip would send a message as three frames, each with an allocation and a queue entry of its own, and copy the body three
//! times. The thread that publishes puts messages here instead, in batches: see [`batch`]. amiquip is needed twice, and both
//! times it is asked for confirm.select:
//!
//! * No message may go before amiquip's receivers of confirms and returns are in place. They are when its confirm.select
//!   comes, because amiquip does one thing after the other. A publisher without confirms asks for confirm.select too; it is
//!   dropped here.
//! * When the socket takes no more, amiquip's thread must go on later. amiquip waits for the socket as long as it has a frame
//!   that is not taken. A further confirm.select is such a frame. It is dropped when all that waits here is written.

pub(in crate::broker) mod batch;
mod edit;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;

use bytes::Bytes;

use super::frame::{self, HEARTBEAT, Head, MethodId};
use batch::{Batch, MessageHead};
pub(in crate::broker) use edit::CHANNEL;
use edit::Edit;

/// Frames on their way to the socket.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What is still to be changed of amiquip's first frames, in their order.
    edits: VecDeque<Edit>,
    position: Position,
    is_paused: bool,
    publishing: Publishing,
    /// So many of amiquip's bytes were offered to a socket that took none. amiquip will offer them again. TLS may have taken some
    /// of them, and then they must come next.
    offered: usize,
    /// Whole frames that may go wherever no batch has begun: answers, and what need not wait for messages.
    ahead: Vec<u8>,
    /// Messages, in their order, and what amiquip sends behind them while the broker takes none.
    waiting: VecDeque<Batch>,
    /// What goes next, before anything else.
    next: Batch,
}

/// How far amiquip's frames have gone.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// So many bytes of a frame are still to come.
    rest_of_frame: usize,
    /// Whether the end of the channel has gone.
    has_ended: bool,
}

/// What amiquip's confirm.select stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Publishing {
    /// Nobody publishes.
    #[default]
    Off,
    /// Messages may go when it has come. The broker gets it if messages are confirmed.
    Begins { is_confirmed: bool },
    /// Messages may go. `is_asked`: it is on its way, and amiquip's thread with it.
    On { is_asked: bool },
}

/// The most bytes that may wait before amqp-publish without confirms waits too.
const WAITING_MAX: usize = 1 << 20;

/// Methods that go past messages that wait for the broker.
const MAY_OVERTAKE: [MethodId; 4] = [
    MethodId::BASIC_CANCEL,
    MethodId::BASIC_ACK,
    MethodId::BASIC_REJECT,
    MethodId::BASIC_NACK,
];

impl Outgoing {
    /// `is_greeted`: the protocol header has been sent. `first_call` is the frame of a method that is sent together with
    /// channel.open, before amiquip asks for either.
    pub(super) fn new(is_greeted: bool, first_call: Option<&[u8]>) -> Outgoing {
        Outgoing {
            edits: edit::all(is_greeted, first_call),
            ..Outgoing::default()
        }
    }

    /// The last of the broker's answers that amiquip may read. amiquip has not asked yet for what follows it.
    pub(super) fn last_answer(&self) -> Option<MethodId> {
        self.edits.front()?.asked_behind()
    }

    /// The broker has said whether it takes messages. It is answered (channel.flow-ok) before any further message.
    pub(super) fn obey(&mut self, is_active: bool) {
        self.is_paused = !is_active;
        let arguments = [u8::from(is_active)];
        self.ahead.extend(frame::encode_method(
            CHANNEL,
            MethodId::CHANNEL_FLOW_OK,
            &arguments,
        ));
    }

    /// Has the delivery acknowledged (basic.ack), ahead of messages.
    pub(super) fn acknowledge(&mut self, tag: u64) {
        const IS_MULTIPLE: u8 = 0;
        // Nothing may follow the end of a channel.
        if !self.position.has_ended {
            let arguments = [&tag.to_be_bytes()[..], &[IS_MULTIPLE]].concat();
            let frame = frame::encode_method(CHANNEL, MethodId::BASIC_ACK, &arguments);
            self.ahead.extend(frame);
        }
    }

    /// amiquip is about to be asked for confirm.select, which the broker gets if messages are confirmed.
    pub(super) fn begin_publishing(&mut self, is_confirmed: bool) {
        self.publishing = Publishing::Begins { is_confirmed };
    }

    /// Adds a message to those that wait, in frames of at most `frame_max` bytes. False: the channel has ended.
    pub(super) fn publish(&mut self, head: &MessageHead, body: &Bytes, frame_max: usize) -> bool {
        if self.position.has_ended {
            return false;
        }
        self.add_waiting(|batch| batch.publish(head, body, frame_max));
        true
    }

    /// Whether enough waits for a write.
    pub(super) fn is_worth_a_write(&self) -> bool {
        self.waiting.front().is_some_and(Batch::is_long)
    }

    /// Whether so much waits that no more should be published.
    pub(super) fn is_full(&self) -> bool {
        let waiting: usize = self.waiting.iter().map(Batch::length).sum();
        self.next.length() + waiting > WAITING_MAX
    }

    /// Whether something is left to write that amiquip's thread does not come back for by itself.
    pub(super) fn needs_wake(&self) -> bool {
        self.publishing != Publishing::On { is_asked: true } && self.has_more()
    }

    /// Whether amiquip is to be asked for confirm.select, so that its thread writes what is left. It counts as asked then.
    pub(super) fn must_ask(&mut self) -> bool {
        let must = self.publishing == Publishing::On { is_asked: false } && self.has_more();
        if must {
            self.publishing = Publishing::On { is_asked: true };
        }
        must
    }

    /// Writes what waits, as far as it may go now. An error: the socket takes no more.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        if self.offered > 0 {
            return Ok(()); // amiquip writes as soon as it can
        }
        loop {
            self.next.send(socket)?;
            if self.position.rest_of_frame > 0 {
                return Ok(());
            }
            match self.take_next() {
                Some(batch) => self.next = batch,
                None => return Ok(()),
            }
        }
    }

    /// Writes amiquip's `bytes`, which end where a frame does, and says how many of them are taken care of. The rest may be
    /// left to [`Outgoing::flush`].
    pub(super) fn write(&mut self, bytes: &[u8], socket: &mut impl Write) -> io::Result<usize> {
        self.flush(socket)?;
        if let Some(length) = self.edit(bytes) {
            return Ok(length);
        }
        if self.offered == 0 {
            if self.position.rest_of_frame == 0 {
                if let Some(length) = self.take_confirm_select(bytes) {
                    return Ok(length);
                }
                if self.is_paused {
                    return Ok(self.sort(bytes));
                }
            }
            self.offered = self.may_pass(bytes);
        }
        let written = socket.write(&bytes[..self.offered])?;
        self.offered = 0;
        self.position.pass(bytes, written);
        if self.position.has_ended {
            self.waiting.clear(); // nobody is there any more to take messages
        }
        Ok(written)
    }

    /// Whether something is left that may go and is not amiquip's.
    fn has_more(&self) -> bool {
        let has_more = !self.ahead.is_empty() || (self.may_publish() && !self.waiting.is_empty());
        let is_between_frames = self.offered == 0 && self.position.rest_of_frame == 0;
        !self.next.is_sent() || (is_between_frames && has_more)
    }

    fn may_publish(&self) -> bool {
        !self.is_paused && matches!(self.publishing, Publishing::On { .. })
    }

    /// What may go between frames, and is the next to go.
    fn take_next(&mut self) -> Option<Batch> {
        if !self.ahead.is_empty() {
            return Some(Batch::of(mem::take(&mut self.ahead)));
        }
        self.may_publish()
            .then(|| self.waiting.pop_front())
            .flatten()
    }

    /// Has something added to what waits.
    fn add_waiting(&mut self, add: impl FnOnce(&mut Batch)) {
        let mut batch = match self.waiting.pop_back() {
            Some(batch) if !batch.is_long() => batch,
            last => {
                self.waiting.extend(last);
                Batch::default()
            }
        };
        add(&mut batch);
        self.waiting.push_back(batch);
    }

    /// How many of `bytes` may go as they are.
    fn may_pass(&self, bytes: &[u8]) -> usize {
        let rest = self.position.rest_of_frame;
        // What waits for the end of this frame comes before a later call.
        if rest > 0 && (self.is_paused || !self.ahead.is_empty() || !self.waiting.is_empty()) {
            return rest.min(bytes.len());
        }
        if self.publishing == Publishing::Off {
            return bytes.len();
        }
        self.position.before_confirm_select(bytes)
    }

    /// Applies the next edit to what `bytes` begin with, and says how many of `bytes` that stands for.
    fn edit(&mut self, bytes: &[u8]) -> Option<usize> {
        let (length, instead) = match self.edits.front()?.apply(bytes) {
            Some(edited) => {
                self.edits.pop_front();
                edited
            }
            None => match frame::first(bytes) {
                Some(heartbeat) if heartbeat[0] == HEARTBEAT => {
                    (heartbeat.len(), heartbeat.to_vec())
                }
                // amiquip goes another way, as it does when the broker closes the connection.
                _ => {
                    self.edits.clear();
                    return None;
                }
            },
        };
        self.next = Batch::of(instead);
        Some(length)
    }

    /// Takes confirm.select, if that is what `bytes` begin with, and says how long it is.
    fn take_confirm_select(&mut self, bytes: &[u8]) -> Option<usize> {
        let frame = frame::first(bytes).filter(|frame| is_confirm_select(frame))?;
        match self.publishing {
            Publishing::Off => return None,
            Publishing::Begins { is_confirmed: true } => self.ahead.extend_from_slice(frame),
            Publishing::Begins { .. } | Publishing::On { .. } => {}
        }
        self.publishing = Publishing::On { is_asked: false };
        Some(frame.len())
    }

    /// Puts the first frame of `bytes` where it is to wait while the broker takes no messages, and says how long it is.
    fn sort(&mut self, bytes: &[u8]) -> usize {
        let frame = frame::first(bytes).unwrap_or(bytes);
        if MethodId::ends_channel(frame) {
            self.waiting.clear();
            self.position.has_ended = true;
        }
        if self.waiting.is_empty() || may_overtake(frame) {
            self.ahead.extend_from_slice(frame);
        } else {
            self.add_waiting(|batch| batch.extend(frame));
        }
        frame.len()
    }
}

fn is_confirm_select(frame: &[u8]) -> bool {
    MethodId::of_frame(frame) == Some(MethodId::CONFIRM_SELECT)
}

fn may_overtake(frame: &[u8]) -> bool {
    frame.first() == Some(&HEARTBEAT)
        || MethodId::of_frame(frame).is_some_and(|id| MAY_OVERTAKE.contains(&id))
}

impl Position {
    /// The first `length` of `bytes` have gone.
    fn pass(&mut self, bytes: &[u8], length: usize) {
        let mut end = self.rest_of_frame;
        while end < length {
            let frame = &bytes[end..];
            self.has_ended |= MethodId::ends_channel(frame);
            end += Head::of(frame).map_or(frame.len(), Head::frame_length);
        }
        self.rest_of_frame = end - length;
    }

    /// How many of `bytes` come before the first confirm.select.
    fn before_confirm_select(self, bytes: &[u8]) -> usize {
        let mut end = self.rest_of_frame;
        while let Some(frame) = bytes.get(end..)
            && let Some(head) = Head::of(frame)
        {
            if is_confirm_select(frame) {
                return end;
            }
            end += head.frame_length();
        }
        bytes.len()
    }
}

#[cfg(test)]
mod tests;

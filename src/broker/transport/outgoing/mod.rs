//! What amiquip sends, on its way to the socket. A list of edits changes its first frames: see [`edit`]. After that, frames
//! pass as they are, and large bodies join their messages: see [`large`]. Only while the broker takes no messages
//! (channel.flow) are messages kept back here, and what answers deliveries goes past them. amiquip hands frames over as if the
//! network took them, so its heartbeats and its reading go on.

mod edit;
pub(in crate::broker) mod large;

use std::collections::VecDeque;
use std::io::{self, Write};

use super::frame::{self, BODY, HEADER, HEARTBEAT, Head, METHOD, MethodId};
pub(in crate::broker) use edit::CHANNEL;
use edit::Edit;
use large::{Inserter, LargeBodies, LargeMessage};

/// amiquip's frames on their way to the socket.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What is still to be changed of amiquip's first frames, in their order.
    edits: VecDeque<Edit>,
    position: Position,
    is_paused: bool,
    /// So many bytes were offered to a socket that took none. amiquip will offer them again. TLS may have taken some of them,
    /// and then they must come next.
    offered: usize,
    inserter: Inserter,
    /// A message with a large body that is partly written. It stands for the frame that amiquip's bytes begin with.
    large: Option<LargeMessage>,
    /// Whole frames that may go wherever no message has begun: answers, and what need not wait for messages.
    ahead: Vec<u8>,
    /// What waits until the broker takes messages again.
    kept_back: Vec<u8>,
    /// The message that is being kept back, as far as amiquip has handed it over.
    keeping: Content,
    /// What goes next, before anything else.
    next: Vec<u8>,
}

/// How far amiquip's frames have gone.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// So many bytes of a frame are still to come.
    rest_of_frame: usize,
    content: Content,
    /// Whether the end of the channel has gone.
    has_ended: bool,
}

/// What is still to come of a message, behind the frame that was seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    #[default]
    Nothing,
    Header,
    Body(u64),
}

/// The most bytes that amqp-publish without confirms may have kept back before it waits.
const KEPT_BACK_MAX: usize = 1 << 20;

/// Methods that go past messages that are kept back.
const MAY_OVERTAKE: [MethodId; 4] = [
    MethodId::BASIC_CANCEL,
    MethodId::BASIC_ACK,
    MethodId::BASIC_REJECT,
    MethodId::BASIC_NACK,
];

impl Outgoing {
    /// `is_greeted`: the protocol header has been sent. `first_call` is the frame of a method that is sent together with
    /// channel.open, before amiquip asks for either.
    pub(super) fn new(
        is_greeted: bool,
        first_call: Option<&[u8]>,
        bodies: LargeBodies,
    ) -> Outgoing {
        Outgoing {
            edits: edit::all(is_greeted, first_call),
            inserter: Inserter::of(bodies),
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

    /// Whether something is left that only [`Outgoing::flush`] will write.
    pub(super) fn needs_flush(&self) -> bool {
        let may_go_on = self.position.is_between_messages() && !self.is_stuck();
        let has_more = !self.ahead.is_empty() || (!self.is_paused && !self.kept_back.is_empty());
        !self.next.is_empty() || (may_go_on && has_more)
    }

    /// Whether so much is kept back that no more should be published.
    pub(super) fn is_full(&self) -> bool {
        self.kept_back.len() > KEPT_BACK_MAX
    }

    /// Writes what amiquip believes to be written, as far as it may go now.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        if self.is_stuck() {
            return Ok(()); // amiquip writes as soon as it can
        }
        if self.position.is_between_messages() {
            self.next.append(&mut self.ahead);
            if !self.is_paused && !self.kept_back.is_empty() {
                self.position.pass(&self.kept_back, self.kept_back.len());
                self.keeping = Content::Nothing;
                self.next.append(&mut self.kept_back);
            }
        }
        while !self.next.is_empty() {
            let length = socket.write(&self.next)?;
            self.next.drain(..length);
        }
        Ok(())
    }

    /// Writes amiquip's `bytes`, which end where a frame does, and says how many of them are taken care of. The rest may be
    /// left to [`Outgoing::flush`]. None of them are when some of a large body was written.
    pub(super) fn write(&mut self, bytes: &[u8], socket: &mut impl Write) -> io::Result<usize> {
        self.flush(socket)?;
        if let Some(length) = self.edit(bytes) {
            return Ok(length);
        }
        if let Some(message) = self.large.take() {
            return self.send(message, socket);
        }
        if self.offered == 0 {
            if self.is_paused && self.position.is_between_messages() {
                return Ok(self.sort(bytes));
            }
            if self.position.rest_of_frame == 0 {
                if let Some(length) = self.inserter.begin(bytes) {
                    return Ok(length);
                }
                if let Some(message) = self.inserter.message(bytes) {
                    return self.send(message, socket);
                }
                if MethodId::ends_channel(bytes) {
                    self.inserter.end();
                }
            }
            self.offered = self.may_pass(bytes);
        }
        let written = socket.write(&bytes[..self.offered])?;
        self.offered = 0;
        self.position.pass(bytes, written);
        Ok(written)
    }

    /// Whether amiquip's bytes must come next.
    fn is_stuck(&self) -> bool {
        self.offered > 0 || self.large.is_some()
    }

    /// How many of `bytes` may go as they are.
    fn may_pass(&self, bytes: &[u8]) -> usize {
        // An acknowledgement may wait for the end of this frame. A later call must not overtake it: its answer makes the
        // acknowledgement certain.
        let bytes = if self.is_paused || !self.ahead.is_empty() {
            &bytes[..self.position.rest_of_message(bytes)]
        } else {
            bytes
        };
        if self.inserter.is_waiting() {
            self.position
                .before(bytes, |frame| self.inserter.concerns(frame))
        } else {
            bytes.len()
        }
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
        self.next.extend(instead);
        Some(length)
    }

    /// Writes some of a message that stands for amiquip's next frame. The frame is taken care of when all of it is written.
    fn send(&mut self, mut message: LargeMessage, socket: &mut impl Write) -> io::Result<usize> {
        let result = message.send(socket);
        let taken = if message.is_sent() {
            message.length
        } else {
            self.large = Some(message);
            0
        };
        result.map(|()| taken)
    }

    /// Puts the first frame of `bytes` where it is to wait, and says how long it is.
    fn sort(&mut self, bytes: &[u8]) -> usize {
        if let Some(length) = self.inserter.begin(bytes) {
            return length;
        }
        if let Some(message) = self.inserter.message(bytes) {
            let length = message.length;
            self.kept_back.extend(message.into_frames());
            return length;
        }
        let frame = frame::first(bytes).unwrap_or(bytes);
        if MethodId::ends_channel(frame) {
            // Nobody is there any more to take messages.
            self.inserter.end();
            self.kept_back.clear();
            self.keeping = Content::Nothing;
            self.position.has_ended = true;
        }
        if self.must_wait(frame) {
            self.kept_back.extend_from_slice(frame);
        } else {
            self.ahead.extend_from_slice(frame);
        }
        frame.len()
    }

    fn must_wait(&mut self, frame: &[u8]) -> bool {
        let may_overtake = MethodId::of_frame(frame).is_some_and(|id| MAY_OVERTAKE.contains(&id));
        if may_overtake || frame.first() == Some(&HEARTBEAT) {
            return false;
        }
        let belongs_to_message = self.keeping != Content::Nothing;
        self.keeping = self.keeping.behind(frame);
        belongs_to_message || self.keeping != Content::Nothing || !self.kept_back.is_empty()
    }
}

impl Position {
    fn is_between_messages(&self) -> bool {
        self.rest_of_frame == 0 && self.content == Content::Nothing
    }

    /// The first `length` of `bytes` have gone.
    fn pass(&mut self, bytes: &[u8], length: usize) {
        let mut end = self.rest_of_frame;
        while end < length {
            end = self.pass_frame(bytes, end);
        }
        self.rest_of_frame = end - length;
    }

    /// How many of `bytes` come before the first frame that is one of `those`.
    fn before(self, bytes: &[u8], those: impl Fn(&[u8]) -> bool) -> usize {
        let mut end = self.rest_of_frame;
        while let Some(head) = bytes.get(end..).and_then(Head::of)
            && !those(&bytes[end..])
        {
            end += head.frame_length();
        }
        end.min(bytes.len())
    }

    /// How many of `bytes` come before the next place between messages.
    fn rest_of_message(mut self, bytes: &[u8]) -> usize {
        let mut end = self.rest_of_frame;
        while self.content != Content::Nothing && end < bytes.len() {
            end = self.pass_frame(bytes, end);
        }
        end.min(bytes.len())
    }

    /// Takes note of the frame that begins there, and says where it ends.
    fn pass_frame(&mut self, bytes: &[u8], start: usize) -> usize {
        let frame = &bytes[start..];
        self.content = self.content.behind(frame);
        self.has_ended |= MethodId::ends_channel(frame);
        start + Head::of(frame).map_or(frame.len(), Head::frame_length)
    }
}

impl Content {
    /// What is still to come behind the frame that `bytes` begin with.
    fn behind(self, bytes: &[u8]) -> Content {
        let Some(head) = Head::of(bytes) else {
            return self;
        };
        let left = match (self, head.kind) {
            (Content::Nothing, METHOD)
                if MethodId::of_frame(bytes) == Some(MethodId::BASIC_PUBLISH) =>
            {
                return Content::Header;
            }
            (Content::Header, HEADER) => {
                frame::body_size(&bytes[frame::HEAD_LENGTH..]).unwrap_or(0)
            }
            (Content::Body(left), BODY) => left.saturating_sub(head.size.into()),
            (content, _) => return content,
        };
        match left {
            0 => Content::Nothing,
            left => Content::Body(left),
        }
    }
}

#[cfg(test)]
mod tests;

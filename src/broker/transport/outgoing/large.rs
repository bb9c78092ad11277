//! Bodies that amiquip does not see. amiquip copies a body three times, and up to 32 MiB of it wait in its buffer. A large
//! body goes past amiquip instead: amiquip is given the message without its body and marks it, and the body is put in its
//! place here, frame by frame.
//!
//! The mark is the bit `immediate` of basic.publish. `RabbitMQ` refuses that bit since 3.0 (540, not implemented), so a marked
//! message can never be published without its body.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};

use crate::broker::transport::frame::{self, BODY, FRAME_OVERHEAD, HEADER, MethodId};

/// A longer body, in bytes, goes past amiquip. A shorter one is one frame, or a few.
pub(in crate::broker) const LARGE: usize = 256 << 10;

/// The bodies that wait for their messages, in the order of these. The publisher adds to them, the stream takes them.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct LargeBodies(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when a body is taken, and of the end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    bodies: VecDeque<LargeBody>,
    /// Nothing more is published: the stream or its channel has ended.
    has_ended: bool,
}

#[derive(Debug)]
struct LargeBody {
    bytes: Bytes,
    /// The largest frame in bytes.
    frame_max: usize,
}

/// Puts large bodies into their messages.
#[derive(Debug, Default)]
pub(super) struct Inserter {
    bodies: LargeBodies,
    /// The frame of the last basic.publish whose content header has not come.
    begun: Option<Vec<u8>>,
}

/// A message with a large body, on its way to the socket.
#[derive(Debug)]
pub(super) struct LargeMessage {
    /// The length of amiquip's frame that all of it stands for.
    pub(super) length: usize,
    /// What is written next.
    frames: io::Cursor<Vec<u8>>,
    rest: LargeBody,
}

impl LargeBodies {
    /// Adds the body of the message that is published next, with `immediate` as its mark.
    pub(in crate::broker) fn push(&self, bytes: Bytes, frame_max: u32) {
        let frame_max = frame_max as usize;
        let body = LargeBody { bytes, frame_max };
        self.queue().bodies.push_back(body);
    }

    /// Waits until none waits any more.
    pub(in crate::broker) fn wait_until_taken(&self) {
        let is_waiting = |queue: &mut Queue| !queue.bodies.is_empty() && !queue.has_ended;
        drop(self.0.changed.wait_while(self.queue(), is_waiting));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let queue = self.0.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inserter {
    pub(super) fn of(bodies: LargeBodies) -> Inserter {
        Inserter {
            bodies,
            begun: None,
        }
    }

    /// Whether any body waits for its message.
    pub(super) fn is_waiting(&self) -> bool {
        !self.bodies.queue().bodies.is_empty()
    }

    /// Whether `bytes` begin with a frame of a message whose body waits, or one behind which no such message comes.
    pub(super) fn concerns(&self, bytes: &[u8]) -> bool {
        self.is_waiting() && (self.is_of_message(bytes) || MethodId::ends_channel(bytes))
    }

    fn is_of_message(&self, bytes: &[u8]) -> bool {
        match self.begun {
            None => is_marked(bytes),
            Some(_) => bytes.first() == Some(&HEADER),
        }
    }

    /// amiquip drops the messages of a channel that the broker has closed.
    pub(super) fn end(&mut self) {
        let mut queue = self.bodies.queue();
        queue.bodies.clear();
        queue.has_ended = true;
        self.bodies.0.changed.notify_all();
    }

    /// Takes the frame that `bytes` begin with, and says how long it is, if it is the basic.publish of a message whose body
    /// waits.
    pub(super) fn begin(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.begun.is_some() || !self.is_waiting() || !is_marked(bytes) {
            return None;
        }
        let mut publish = frame::first(bytes)?.to_vec();
        // The bits are the last argument. A frame ends with one more byte.
        if let Some(bits) = publish.iter_mut().nth_back(1) {
            *bits &= !IMMEDIATE;
        }
        let length = publish.len();
        self.begun = Some(publish);
        Some(length)
    }

    /// The message whose content header `bytes` begin with, if its body waits.
    pub(super) fn message(&mut self, bytes: &[u8]) -> Option<LargeMessage> {
        let header = frame::first(bytes).filter(|frame| frame[0] == HEADER)?;
        let mut frames = self.begun.take()?;
        let rest = self.bodies.queue().bodies.pop_front()?;
        self.bodies.0.changed.notify_all();
        frames.extend(frame::with_body_size(header, rest.bytes.len() as u64));
        Some(LargeMessage {
            length: header.len(),
            frames: io::Cursor::new(frames),
            rest,
        })
    }
}

impl Drop for Inserter {
    fn drop(&mut self) {
        self.end();
    }
}

impl LargeMessage {
    /// Whether all of it is written.
    pub(super) fn is_sent(&self) -> bool {
        !self.frames.has_remaining() && self.rest.bytes.is_empty()
    }

    /// Writes some of it.
    pub(super) fn send(&mut self, socket: &mut impl Write) -> io::Result<()> {
        if !self.frames.has_remaining() {
            let mut frames = mem::take(self.frames.get_mut());
            frames.clear();
            self.add_frame(&mut frames);
            self.frames = io::Cursor::new(frames);
        }
        let written = socket.write(self.frames.chunk())?;
        self.frames.advance(written);
        Ok(())
    }

    /// All its frames.
    pub(super) fn into_frames(mut self) -> Vec<u8> {
        let mut frames = mem::take(self.frames.get_mut());
        while !self.rest.bytes.is_empty() {
            self.add_frame(&mut frames);
        }
        frames
    }

    fn add_frame(&mut self, frames: &mut Vec<u8>) {
        let LargeBody { bytes, frame_max } = &mut self.rest;
        let size = bytes.len().min(*frame_max - FRAME_OVERHEAD);
        frame::append(frames, BODY, super::CHANNEL, &bytes.split_to(size));
    }
}

/// The bit of basic.publish that asks for a consumer who takes the message at once.
const IMMEDIATE: u8 = 1 << 1;

fn is_marked(bytes: &[u8]) -> bool {
    MethodId::of_frame(bytes) == Some(MethodId::BASIC_PUBLISH)
        && frame::first(bytes)
            .and_then(|frame| frame.iter().nth_back(1))
            .is_some_and(|bits| bits & IMMEDIATE != 0)
}

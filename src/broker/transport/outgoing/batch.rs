//! Frames that go to the socket together, with nothing between them: messages above all. The frames before a message's body
//! are encoded once for many messages, and a large body is not copied.

use std::io::{self, Write};
use std::mem;

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::{AMQPMethod, AMQPProperties, Publish};
use bytes::{Buf, Bytes};

use super::CHANNEL;
use crate::broker::transport::frame::{self, BODY, FRAME_OVERHEAD};

/// A longer body, in bytes, is not copied, but put into frames as it goes.
const LARGE: usize = if cfg!(test) { 25 } else { 256 << 10 };

/// A batch of so many bytes is long enough for a write of its own.
const LONG: usize = if cfg!(test) { 20 } else { 16 << 10 };

/// The frames of a message before its body, on our one channel.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::broker) struct MessageHead {
    /// basic.publish, and the content header.
    frames: Vec<u8>,
    /// Where the content header begins.
    header: usize,
}

/// Frames on their way to the socket.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What is written next.
    frames: io::Cursor<Vec<u8>>,
    /// The rest of a large body, which follows.
    body: Bytes,
    /// The largest frame in bytes that a body is put into.
    frame_max: usize,
}

impl MessageHead {
    /// `header_frame_size` is the size of the content header's frame. `None`: a frame does not hold the head.
    pub(in crate::broker) fn new(
        publish: Publish,
        properties: &AMQPProperties,
        header_frame_size: usize,
    ) -> Option<MessageHead> {
        /// More than two short strings and all else of basic.publish need.
        const PUBLISH_MAX: usize = 1024;
        let publish = AMQPClass::Basic(AMQPMethod::Publish(publish));
        let mut frames = frame::encode_class(CHANNEL, &publish, PUBLISH_MAX)?;
        let header = frames.len();
        frames.extend(frame::encode_header(
            CHANNEL,
            properties,
            header_frame_size,
        )?);
        Some(MessageHead { frames, header })
    }

    /// The size of the content header's frame in bytes.
    pub(in crate::broker) fn header_frame_size(&self) -> usize {
        self.frames.len() - self.header
    }
}

impl Batch {
    pub(super) fn of(frames: Vec<u8>) -> Batch {
        Batch {
            frames: io::Cursor::new(frames),
            ..Batch::default()
        }
    }

    /// Whether it is long enough to be written.
    pub(super) fn is_long(&self) -> bool {
        self.length() >= LONG
    }

    /// How many bytes are still to be written, besides the overhead of a large body's frames.
    pub(super) fn length(&self) -> usize {
        self.frames.remaining() + self.body.len()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.length() == 0
    }

    /// Adds frames behind the others. The batch must not be long.
    pub(super) fn extend(&mut self, frames: &[u8]) {
        self.frames.get_mut().extend_from_slice(frames);
    }

    /// Adds a message behind the others, in frames of at most `frame_max` bytes. The batch must not be long.
    pub(super) fn publish(&mut self, head: &MessageHead, body: &Bytes, frame_max: usize) {
        let frames = self.frames.get_mut();
        let header = frames.len() + head.header;
        frames.extend_from_slice(&head.frames);
        frame::set_body_size(&mut frames[header..], body.len() as u64);
        if body.len() > LARGE {
            self.body = body.clone();
            self.frame_max = frame_max;
        } else {
            for part in body.chunks(frame_max - FRAME_OVERHEAD) {
                frame::append(frames, BODY, CHANNEL, part);
            }
        }
    }

    /// Writes what the socket takes. An error: not all of it, yet.
    pub(super) fn send(&mut self, socket: &mut impl Write) -> io::Result<()> {
        loop {
            while self.frames.has_remaining() {
                let written = socket.write(self.frames.chunk())?;
                self.frames.advance(written);
            }
            if self.body.is_empty() {
                return Ok(());
            }
            let mut frames = mem::take(self.frames.get_mut());
            frames.clear();
            let size = self.body.len().min(self.frame_max - FRAME_OVERHEAD);
            frame::append(&mut frames, BODY, CHANNEL, &self.body.split_to(size));
            self.frames = io::Cursor::new(frames);
        }
    }
}

//! What the server sends, on its way to amiquip: read frame by frame and checked first. amiquip allocates whatever size is announced, and drops
//! the connection over a name that is not UTF-8; so sizes are checked here and such names are mended. What cannot
//! be mended is a [`Violation`].
//!
//! * [`methods`]: the methods that a server may send;
//! * [`fields`]: their fields, and those of content headers.

mod fields;
mod methods;

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::frame::{
    BASIC, BODY, FRAME_END, FRAME_OVERHEAD, HEAD_LENGTH, HEADER, HEARTBEAT, Head, METHOD, MethodId,
};
use super::other_protocol;
use crate::message::Fidelity;
use fields::{Fields, Malformed};

/// The largest frame, in bytes: `RabbitMQ`'s own default, and what amiquip asks for.
pub(in crate::broker) const FRAME_MAX: u32 = 131_072;

/// The largest body, in bytes: `RabbitMQ` can be configured to carry no larger one. amiquip reserves memory for the
/// size that a content header announces.
const BODY_MAX: u64 = 512 * 1024 * 1024;

/// More frames than this at a stretch, with no message among them, are no answers but a flood, behind which amiquip
/// would never get to anything else.
const FRAMES_AT_A_STRETCH_MAX: u32 = 1 << 20;

/// A buffer of this size takes most of what the kernel has at once; methods and headers that need more get it.
const INPUT_SIZE: usize = 32 * 1024;

/// The server's bytes on their way to amiquip.
#[derive(Debug)]
pub struct Incoming {
    /// `input[given..checked]` may be given out, `input[checked..filled]` is still to be checked.
    input: Vec<u8>,
    given: usize,
    checked: usize,
    filled: usize,
    expects: Expects,
    /// The server has sent a frame of AMQP.
    has_sent_frame: bool,
    /// Frames without content since the server last paused.
    at_a_stretch: u32,
    violation: Option<Violation>,
    events: Vec<ServerEvent>,
    /// For each channel, the delivery whose content header is to come.
    delivering: BTreeMap<u16, (u64, Fidelity)>,
    pause: Pause,
}

/// What comes next, at `checked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// A frame.
    Head,
    /// So many bytes of a body frame's payload.
    Body { left: usize },
    /// The last byte of a body frame.
    BodyEnd,
}

/// Whether something is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    No,
    /// What comes behind this method will be.
    Behind(MethodId),
    Now,
}

/// What the server sent that is no AMQP 0-9-1, in words that follow the server's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Violation(String);

/// What the server says that amiquip does not pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) enum ServerEvent {
    /// The SASL mechanisms that it offers (connection.start).
    Mechanisms(String),
    /// The largest frame that it takes, in bytes; 0: any. Its heartbeat interval in seconds; 0: it leaves that to the client
    /// (connection.tune).
    Tune { frame_max: u32, heartbeat: u16 },
    /// Why it closes the connection (connection.close).
    Close {
        code: u16,
        text: String,
        /// The class of the method that it objects to; 0: none.
        class: u16,
    },
    /// A message that is not all as it was sent. Of others, this is not told outside of here.
    Delivered {
        channel: u16,
        tag: u64,
        fidelity: Fidelity,
    },
    /// Whether it takes messages (channel.flow). amiquip would close the connection over that, and does not see it.
    Flow { is_active: bool },
}

impl Default for Incoming {
    fn default() -> Self {
        Incoming {
            input: vec![0; INPUT_SIZE],
            given: 0,
            checked: 0,
            filled: 0,
            expects: Expects::Head,
            has_sent_frame: false,
            at_a_stretch: 0,
            violation: None,
            events: Vec::new(),
            delivering: BTreeMap::new(),
            pause: Pause::No,
        }
    }
}

impl Incoming {
    /// Reads from the server into `out` what has been checked. All that came before a violation is given out first.
    ///
    /// # Errors
    /// The source's own, and a [`Violation`] as [`io::ErrorKind::InvalidData`].
    pub fn read(&mut self, source: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.given < self.checked {
                return Ok(self.give(out));
            }
            if let Some(violation) = &self.violation {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    violation.clone(),
                ));
            }
            if self.pause == Pause::Now {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match self.expects {
                Expects::Body { left } if self.checked == self.filled => {
                    return self.read_body(source, out, left);
                }
                _ => {}
            }
            if self.fill(source)? == 0 {
                return Ok(0);
            }
            self.check_or_note_violation();
        }
    }

    /// Holds back what comes behind the next such method; `None`: nothing any more. What was held back until now passes. The
    /// socket's readiness does not tell of that: it is here already.
    pub(super) fn pause_behind(&mut self, method: Option<MethodId>) {
        self.pause = method.map_or(Pause::No, Pause::Behind);
        self.check_or_note_violation();
    }

    /// The events since this was asked last. They are known before the bytes that say them are given out.
    pub(super) fn take_events(&mut self) -> Vec<ServerEvent> {
        std::mem::take(&mut self.events)
    }

    /// Whether the server has sent a frame of AMQP.
    pub(super) fn has_sent_frame(&self) -> bool {
        self.has_sent_frame
    }

    fn give(&mut self, out: &mut [u8]) -> usize {
        let length = out.len().min(self.checked - self.given);
        out[..length].copy_from_slice(&self.input[self.given..self.given + length]);
        self.given += length;
        length
    }

    /// The payload of a body frame needs no check and no copy: it goes straight where it belongs.
    fn read_body(
        &mut self,
        source: &mut impl Read,
        out: &mut [u8],
        left: usize,
    ) -> io::Result<usize> {
        let wanted = left.min(out.len());
        let length = source.read(&mut out[..wanted])?;
        self.expects = body_with(left - length);
        Ok(length)
    }

    /// Reads more input. Everything checked must have been given out.
    fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.input.copy_within(self.checked..self.filled, 0);
        self.filled -= self.checked;
        (self.given, self.checked) = (0, 0);
        let result = source.read(&mut self.input[self.filled..]);
        match &result {
            Ok(length) => self.filled += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.at_a_stretch = 0,
            Err(_) => {}
        }
        result
    }

    fn check_or_note_violation(&mut self) {
        if let Err(violation) = self.check() {
            self.violation = Some(violation);
        }
    }

    /// Checks as much of the input as makes sense without more.
    fn check(&mut self) -> Result<(), Violation> {
        loop {
            let available = self.filled - self.checked;
            match self.expects {
                Expects::Head => {
                    if self.pause == Pause::Now || !self.check_frame()? {
                        return Ok(());
                    }
                }
                Expects::Body { left } => {
                    let here = left.min(available);
                    self.checked += here;
                    self.expects = body_with(left - here);
                    if here < left {
                        return Ok(());
                    }
                }
                Expects::BodyEnd => {
                    if available == 0 {
                        return Ok(());
                    }
                    if self.input[self.checked] != FRAME_END {
                        return Err(self.violation("a frame without an end"));
                    }
                    self.checked += 1;
                    self.expects = Expects::Head;
                }
            }
        }
    }

    /// Checks the frame that begins here, of a body frame only its head. False: more input is needed.
    fn check_frame(&mut self) -> Result<bool, Violation> {
        let input = &self.input[self.checked..self.filled];
        if let Some(kind) = input.first()
            && !self.has_sent_frame
            && *kind != METHOD
        {
            return Err(self.violation("")); // no need to wait for the whole head
        }
        let Some(head) = Head::of(input) else {
            return Ok(false);
        };
        let is_known = [METHOD, HEADER, BODY, HEARTBEAT].contains(&head.kind);
        if !is_known || head.size > FRAME_MAX {
            let what = format!("a frame of type {} with {} bytes", head.kind, head.size);
            return Err(self.violation(&what));
        }
        if head.kind == BODY {
            if head.channel == 0 {
                return Err(self.violation("a body on channel 0"));
            }
            self.checked += HEAD_LENGTH;
            self.expects = body_with(head.size as usize);
            return Ok(true);
        }
        let length = head.frame_length();
        if input.len() < length {
            let needed = self.checked + length;
            self.input.resize(self.input.len().max(needed), 0);
            return Ok(false);
        }
        if input[length - 1] != FRAME_END {
            return Err(self.violation("a frame without an end"));
        }
        self.check_payload(head)?;
        self.has_sent_frame = true;
        match head.kind {
            METHOD => self.pass_method(length),
            _ => self.checked += length,
        }
        Ok(true)
    }

    /// Passes the method that begins here, whose frame has that `length`.
    fn pass_method(&mut self, length: usize) {
        let end = self.checked + length;
        let method = MethodId::of_frame(&self.input[self.checked..end]);
        if method == Some(MethodId::CHANNEL_FLOW) {
            self.input.copy_within(end..self.filled, self.checked);
            self.filled -= length;
            return;
        }
        let is_last = matches!(self.pause, Pause::Behind(last) if method == Some(last));
        // Either side may hang up behind close-ok. amiquip reads on, and would take that for a broken connection.
        if is_last || method == Some(MethodId::CONNECTION_CLOSE_OK) {
            self.pause = Pause::Now;
        }
        self.checked = end;
    }

    fn check_payload(&mut self, head: Head) -> Result<(), Violation> {
        let start = self.checked + HEAD_LENGTH;
        let end = self.checked + head.frame_length() - (FRAME_OVERHEAD - HEAD_LENGTH);
        let payload = &mut self.input[start..end];
        let (name, checked) = match head.kind {
            METHOD => {
                let (name, event) = methods::check(payload, head.channel);
                (name, event.map(|event| self.note_method(event)))
            }
            HEADER => {
                let checked = check_content_header(payload, head.channel);
                let checked = checked.map(|fidelity| self.note_content(head.channel, fidelity));
                ("a content header", checked)
            }
            _ if head.channel == 0 => ("a heartbeat", Ok(())),
            _ => ("a heartbeat", Err(Malformed)),
        };
        self.at_a_stretch = match head.kind {
            HEADER => 0,
            _ => self.at_a_stretch + 1,
        };
        if self.at_a_stretch > FRAMES_AT_A_STRETCH_MAX {
            return Err(self.violation("one frame after the other without end"));
        }
        checked.map_err(|Malformed| self.violation(&format!("{name} as it must not be")))
    }

    /// Tells of an event, but of a delivery only together with its content header.
    fn note_method(&mut self, event: Option<ServerEvent>) {
        match event {
            Some(ServerEvent::Delivered {
                channel,
                tag,
                fidelity,
            }) => {
                self.delivering.insert(channel, (tag, fidelity));
            }
            event => self.events.extend(event),
        }
    }

    /// Tells of a delivery's fidelity, unless it is exact.
    fn note_content(&mut self, channel: u16, of_properties: Fidelity) {
        let Some((tag, of_method)) = self.delivering.remove(&channel) else {
            return; // a message that came back
        };
        let fidelity = of_method.max(of_properties);
        if fidelity != Fidelity::Exact {
            self.events.push(ServerEvent::Delivered {
                channel,
                tag,
                fidelity,
            });
        }
    }

    /// `what` is wrong, from a server that has sent AMQP before; anything at all, from one that has not.
    fn violation(&self, what: &str) -> Violation {
        Violation(if self.has_sent_frame {
            format!("the server sent {what}, which is not AMQP 0-9-1")
        } else {
            other_protocol::describe(&self.input[self.checked..self.filled])
        })
    }
}

fn body_with(left: usize) -> Expects {
    match left {
        0 => Expects::BodyEnd,
        left => Expects::Body { left },
    }
}

/// AMQP 0-9-1, section 4.2.6.1, with the properties of class basic (1.8.1).
fn check_content_header(payload: &mut [u8], channel: u16) -> Result<Fidelity, Malformed> {
    let mut fields = Fields::of(payload);
    let class = fields.short()?;
    fields.skip(2)?; // the weight, always 0
    let body_size = fields.long_long()?;
    let flags = fields.short()?;
    if channel == 0 || class != BASIC || body_size > BODY_MAX {
        return Err(Malformed);
    }
    fields.properties(flags)?;
    Ok(fields.fidelity())
}

#[cfg(test)]
mod tests;

//! The wire guard: reads what the server sends, frame by frame, before amiquip does. amiquip believes any size, and
//! drops the connection over a name that is not UTF-8; so sizes are checked here and such names are mended.
//! What comes out is what amiquip can take; what cannot be made so is a [`Violation`].

mod fields;
mod methods;
mod stranger;

use std::io::{self, Read};

use fields::{Fields, Malformed};
pub(super) use stranger::describe as describe_stranger;

/// The largest frame, in bytes: `RabbitMQ`'s own default, and what amiquip asks for.
pub(super) const FRAME_MAX: u32 = 131_072;

/// The largest body, in bytes: `RabbitMQ` can be configured to carry no larger one. amiquip reserves memory for the
/// size that a content header announces.
const BODY_MAX: u64 = 512 * 1024 * 1024;

/// More frames than this at a stretch, with no message among them, are no answers but a flood, behind which amiquip
/// would never get to anything else.
const FRAMES_AT_A_STRETCH_MAX: u32 = 1 << 20;

/// Before the payload of a frame: type, channel, size (AMQP 0-9-1, section 4.2.3).
const HEAD: usize = 7;
const FRAME_END: u8 = 0xCE;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// What a method's payload begins with: its class and its number in that (AMQP 0-9-1, section 4.2.4).
pub(super) type MethodNumber = [u8; 4];

/// connection.close-ok, behind which either side may hang up at once.
const CLOSE_OK: MethodNumber = [0, 10, 0, 51];
/// channel.flow, which is news and not for amiquip.
const FLOW: MethodNumber = [0, 20, 0, 20];

/// A buffer of this size takes most of what the kernel has at once; methods and headers that need more get it.
const INPUT_SIZE: usize = 32 * 1024;

/// Stands between the server and amiquip.
#[derive(Debug)]
pub struct Guard {
    /// `input[given..checked]` may be given out, `input[checked..filled]` is still to be checked.
    input: Vec<u8>,
    given: usize,
    checked: usize,
    filled: usize,
    place: Place,
    acquaintance: Acquaintance,
    /// Frames without content since the server last paused.
    at_a_stretch: u32,
    violation: Option<Violation>,
    news: Vec<News>,
    pause: Pause,
}

/// Where in the stream `checked` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a frame.
    Head,
    /// In a body frame, with so many bytes of payload to come.
    Body { left: usize },
    /// Before the last byte of a body frame.
    BodyEnd,
}

/// Whether the server has shown that it speaks AMQP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acquaintance {
    Stranger,
    Met,
}

/// Whether something is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    No,
    /// What comes behind this method will be.
    Behind(MethodNumber),
    Now,
}

/// What the server sent that is no AMQP 0-9-1, in words that follow the server's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(String);

/// What the server said that amiquip keeps to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The SASL mechanisms that it offers (connection.start).
    Mechanisms(String),
    /// The largest frame that it takes, in bytes; 0: any (connection.tune).
    FrameMax(u32),
    /// Why it closes the connection (connection.close).
    Close {
        /// The reply code.
        code: u16,
        /// Its own words.
        text: String,
        /// The class of the method that it answers; 0: none.
        class: u16,
    },
    /// Whether it takes messages (channel.flow). amiquip would close the connection over that, and does not see it.
    Flow {
        /// It does.
        is_active: bool,
    },
}

impl Default for Guard {
    fn default() -> Self {
        Guard {
            input: vec![0; INPUT_SIZE],
            given: 0,
            checked: 0,
            filled: 0,
            place: Place::Head,
            acquaintance: Acquaintance::Stranger,
            at_a_stretch: 0,
            violation: None,
            news: Vec::new(),
            pause: Pause::No,
        }
    }
}

impl Guard {
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
            match self.place {
                Place::Body { left } if self.checked == self.filled => {
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

    /// Lets pass what was held back, and holds back what comes behind the next such `method`. What passes now is here,
    /// where the source's readiness does not tell of it.
    pub fn pause_behind(&mut self, method: MethodNumber) {
        self.pause = Pause::Behind(method);
        self.check_or_note_violation();
    }

    /// Holds nothing back any more. What was held back is here, where the source's readiness does not tell of it.
    pub fn resume(&mut self) {
        self.pause = Pause::No;
        self.check_or_note_violation();
    }

    /// What was heard since this was asked last. It is known before the bytes that say it are given out.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Whether the server has sent a frame of AMQP.
    #[must_use]
    pub fn has_met_server(&self) -> bool {
        self.acquaintance == Acquaintance::Met
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
        self.place = body_with(left - length);
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
            match self.place {
                Place::Head => {
                    if self.pause == Pause::Now || !self.check_frame()? {
                        return Ok(());
                    }
                }
                Place::Body { left } => {
                    let here = left.min(available);
                    self.checked += here;
                    self.place = body_with(left - here);
                    if here < left {
                        return Ok(());
                    }
                }
                Place::BodyEnd => {
                    if available == 0 {
                        return Ok(());
                    }
                    if self.input[self.checked] != FRAME_END {
                        return Err(self.violation("a frame without an end"));
                    }
                    self.checked += 1;
                    self.place = Place::Head;
                }
            }
        }
    }

    /// Checks the frame that begins here, of a body frame only its head. False: more input is needed.
    fn check_frame(&mut self) -> Result<bool, Violation> {
        let input = &self.input[self.checked..self.filled];
        if let Some(frame_type) = input.first()
            && self.acquaintance == Acquaintance::Stranger
            && *frame_type != METHOD
        {
            return Err(self.violation("")); // no need to wait for seven bytes
        }
        let Some(head) = input.first_chunk::<HEAD>() else {
            return Ok(false);
        };
        let frame_type = head[0];
        let channel = u16::from_be_bytes([head[1], head[2]]);
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let known = [METHOD, HEADER, BODY, HEARTBEAT].contains(&frame_type);
        if !known || size > FRAME_MAX {
            let what = format!("a frame of type {frame_type} with {size} bytes");
            return Err(self.violation(&what));
        }
        let size = size as usize;
        if frame_type == BODY {
            if channel == 0 {
                return Err(self.violation("a body on channel 0"));
            }
            self.checked += HEAD;
            self.place = body_with(size);
            return Ok(true);
        }
        let whole = HEAD + size + 1;
        if input.len() < whole {
            let needed = self.checked + whole;
            self.input.resize(self.input.len().max(needed), 0);
            return Ok(false);
        }
        if input[whole - 1] != FRAME_END {
            return Err(self.violation("a frame without an end"));
        }
        self.check_payload(frame_type, channel, self.checked + HEAD, size)?;
        self.acquaintance = Acquaintance::Met;
        if frame_type == METHOD {
            self.pass_method(whole);
        } else {
            self.checked += whole;
        }
        Ok(true)
    }

    /// Passes the method that begins here, whose frame has that `length`.
    fn pass_method(&mut self, length: usize) {
        let end = self.checked + length;
        let payload = &self.input[self.checked + HEAD..end];
        if payload.starts_with(&FLOW) {
            self.input.copy_within(end..self.filled, self.checked);
            self.filled -= length;
            return;
        }
        let is_last = match self.pause {
            Pause::Behind(method) => payload.starts_with(&method),
            Pause::No | Pause::Now => false,
        };
        // amiquip reads on behind close-ok, and would take the end of the stream there for a broken connection.
        if is_last || payload.starts_with(&CLOSE_OK) {
            self.pause = Pause::Now;
        }
        self.checked = end;
    }

    fn check_payload(
        &mut self,
        frame_type: u8,
        channel: u16,
        start: usize,
        size: usize,
    ) -> Result<(), Violation> {
        let payload = &mut self.input[start..start + size];
        let (name, checked) = match frame_type {
            METHOD => methods::check(payload, channel, &mut self.news),
            HEADER => ("a content header", check_content_header(payload, channel)),
            _ if channel == 0 => ("a heartbeat", Ok(())),
            _ => ("a heartbeat", Err(Malformed)),
        };
        self.at_a_stretch = match frame_type {
            HEADER => 0,
            _ => self.at_a_stretch + 1,
        };
        if self.at_a_stretch > FRAMES_AT_A_STRETCH_MAX {
            return Err(self.violation("one frame after the other without end"));
        }
        checked.map_err(|Malformed| self.violation(&format!("{name} as it must not be")))
    }

    /// `what` is wrong, from a server that is known; anything at all, from one that is not.
    fn violation(&self, what: &str) -> Violation {
        match self.acquaintance {
            Acquaintance::Stranger => {
                Violation(stranger::describe(&self.input[self.checked..self.filled]))
            }
            Acquaintance::Met => {
                Violation(format!("the server sent {what}, which is not AMQP 0-9-1"))
            }
        }
    }
}

fn body_with(left: usize) -> Place {
    match left {
        0 => Place::BodyEnd,
        left => Place::Body { left },
    }
}

/// AMQP 0-9-1, section 4.2.6.1, with the properties of class basic (1.8.1).
fn check_content_header(payload: &mut [u8], channel: u16) -> Result<(), Malformed> {
    const BASIC: u16 = 60;
    let mut fields = Fields::of(payload);
    let class = fields.short()?;
    fields.skip(2)?; // the weight, always 0
    let body_size = fields.long_long()?;
    let flags = fields.short()?;
    if channel == 0 || class != BASIC || body_size > BODY_MAX {
        return Err(Malformed);
    }
    fields.properties(flags)
}

#[cfg(test)]
mod tests;

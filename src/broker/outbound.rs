//! What goes to the broker, in its order; only while the broker takes no messages (channel.flow), those are kept back here
//! and what settles messages goes past them. amiquip hands over frames as if the network took them: so it goes on with
//! its heartbeats, and reads.

use std::io::{self, Write};

use super::guard::MethodNumber;
use super::head_start::{CHANNEL, HEAD, frame_length};

/// amiquip's frames on their way to the wire.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    place: Place,
    is_paused: bool,
    /// amiquip will offer the same bytes again. TLS may have taken some of them, and then they must come next.
    is_stuck: bool,
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
struct Place {
    /// So many bytes of a frame are still to come.
    rest_of_frame: usize,
    content: Content,
}

/// What is still to come of a message, behind the frame that was seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    #[default]
    Nothing,
    Header,
    Body(u64),
}

/// amqp-publish without confirms may not run ahead by more, in bytes.
const KEPT_BACK_MAX: usize = 1 << 20;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

const CLOSE_OK: MethodNumber = [0, 10, 0, 51];
const CHANNEL_CLOSE_OK: MethodNumber = [0, 20, 0, 41];
const PUBLISH: MethodNumber = [0, 60, 0, 40];
/// basic.cancel, basic.ack, basic.reject, basic.nack.
const NEED_NOT_WAIT: [MethodNumber; 4] = [
    [0, 60, 0, 30],
    [0, 60, 0, 80],
    [0, 60, 0, 90],
    [0, 60, 0, 120],
];

impl Outbound {
    /// The broker has said whether it takes messages; it is answered (channel.flow-ok) before any further one.
    pub(super) fn obey(&mut self, is_active: bool) {
        self.is_paused = !is_active;
        let [high, low] = CHANNEL.to_be_bytes();
        self.ahead
            .extend([METHOD, high, low, 0, 0, 0, 5, 0, 20, 0, 21]);
        self.ahead.extend([u8::from(is_active), 0xCE]);
    }

    /// Whether something is left that only [`Outbound::flush`] will write.
    pub(super) fn needs_flush(&self) -> bool {
        let may_go_on = self.place.is_between_messages() && !self.is_stuck;
        let has_more = !self.ahead.is_empty() || (!self.is_paused && !self.kept_back.is_empty());
        !self.next.is_empty() || (may_go_on && has_more)
    }

    /// Whether so much is kept back that no more should be published.
    pub(super) fn is_full(&self) -> bool {
        self.kept_back.len() > KEPT_BACK_MAX
    }

    /// Writes what amiquip believes to be written, as far as it may go now.
    pub(super) fn flush(&mut self, wire: &mut impl Write) -> io::Result<()> {
        if self.is_stuck {
            return Ok(()); // amiquip writes as soon as it can
        }
        if self.place.is_between_messages() {
            self.next.append(&mut self.ahead);
            if !self.is_paused && !self.kept_back.is_empty() {
                self.place.pass(&self.kept_back, self.kept_back.len());
                self.keeping = Content::Nothing;
                self.next.append(&mut self.kept_back);
            }
        }
        while !self.next.is_empty() {
            let length = wire.write(&self.next)?;
            self.next.drain(..length);
        }
        Ok(())
    }

    /// Writes amiquip's `bytes`, which end where a frame does, and says how many of them are taken care of.
    pub(super) fn write(&mut self, bytes: &[u8], wire: &mut impl Write) -> io::Result<usize> {
        self.flush(wire)?;
        let mut length = bytes.len();
        if self.is_paused && !self.is_stuck {
            if self.place.is_between_messages() {
                return Ok(self.sort(bytes));
            }
            length = self.place.rest_of_message(bytes);
        }
        let result = wire.write(&bytes[..length]);
        self.is_stuck = result.is_err();
        let written = result?;
        self.place.pass(bytes, written);
        Ok(written)
    }

    /// Puts the first frame of `bytes` where it is to wait, and says how long it is.
    fn sort(&mut self, bytes: &[u8]) -> usize {
        let length = frame_length(bytes).unwrap_or(bytes.len()).min(bytes.len());
        let frame = &bytes[..length];
        if is_method(frame, CLOSE_OK) || is_method(frame, CHANNEL_CLOSE_OK) {
            // Nobody is there any more to take messages.
            self.kept_back.clear();
            self.keeping = Content::Nothing;
        }
        if self.must_wait(frame) {
            self.kept_back.extend_from_slice(frame);
        } else {
            self.ahead.extend_from_slice(frame);
        }
        length
    }

    fn must_wait(&mut self, frame: &[u8]) -> bool {
        if frame.first() == Some(&HEARTBEAT) || NEED_NOT_WAIT.iter().any(|it| is_method(frame, *it))
        {
            return false;
        }
        let belongs_to_message = self.keeping != Content::Nothing;
        self.keeping = self.keeping.behind(frame);
        belongs_to_message || self.keeping != Content::Nothing || !self.kept_back.is_empty()
    }
}

impl Place {
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
        start + frame_length(frame).unwrap_or(frame.len())
    }
}

impl Content {
    /// What is still to come behind this frame.
    fn behind(self, frame: &[u8]) -> Content {
        let left = match (self, frame.first()) {
            (Content::Nothing, Some(&METHOD)) if is_method(frame, PUBLISH) => {
                return Content::Header;
            }
            (Content::Header, Some(&HEADER)) => body_size(frame),
            (Content::Body(left), Some(&BODY)) => {
                left.saturating_sub(frame_length(frame).map_or(0, |length| {
                    u64::try_from(length - HEAD - 1).unwrap_or_default()
                }))
            }
            (content, _) => return content,
        };
        match left {
            0 => Content::Nothing,
            left => Content::Body(left),
        }
    }
}

fn is_method(frame: &[u8], number: MethodNumber) -> bool {
    frame.first() == Some(&METHOD) && frame.get(HEAD..).is_some_and(|it| it.starts_with(&number))
}

/// Of a content header's frame: behind class and weight (AMQP 0-9-1, section 4.2.6.1).
fn body_size(frame: &[u8]) -> u64 {
    let size = frame.get(HEAD + 4..).and_then(|rest| rest.first_chunk());
    size.map_or(0, |size| u64::from_be_bytes(*size))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::slow_wire::SlowWire;

    /// What happens to a connection.
    #[derive(Clone, Debug)]
    enum Event {
        /// A message of that many bytes is published, in frames of 10.
        Publish(usize),
        Acknowledge,
        Declare,
        Heartbeat,
        /// The broker says whether it takes messages.
        Flow(bool),
        /// amiquip writes, so many times.
        Write(usize),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0..40_usize).prop_map(Event::Publish),
            Just(Event::Acknowledge),
            Just(Event::Declare),
            Just(Event::Heartbeat),
            any::<bool>().prop_map(Event::Flow),
            (0..20_usize).prop_map(Event::Write),
        ]
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let channel = u8::from(kind != HEARTBEAT);
        [&[kind, 0, channel][..], &size, payload, &[0xCE]].concat()
    }

    fn method(number: MethodNumber, mark: u8) -> Vec<u8> {
        frame(METHOD, &[&number[..], &[mark]].concat())
    }

    fn message(size: usize, mark: u8) -> Vec<Vec<u8>> {
        let size_field = u64::try_from(size).unwrap().to_be_bytes();
        let header = [&[0, 60, 0, 0][..], &size_field, &[0, 0]].concat();
        let mut frames = vec![method(PUBLISH, mark), frame(HEADER, &header)];
        frames.extend(vec![mark; size].chunks(10).map(|part| frame(BODY, part)));
        frames
    }

    const ACK: MethodNumber = [0, 60, 0, 80];
    const DECLARE: MethodNumber = [0, 50, 0, 10];
    const FLOW_OK: MethodNumber = [0, 20, 0, 21];

    /// amiquip and a wire, with what stands between them.
    #[derive(Default)]
    struct Connection {
        outbound: Outbound,
        wire: SlowWire,
        /// What amiquip has not written.
        buffer: Vec<u8>,
    }

    impl Connection {
        fn write(&mut self) {
            if !self.buffer.is_empty()
                && let Ok(length) = self.outbound.write(&self.buffer, &mut self.wire)
            {
                self.buffer.drain(..length);
            }
            let _ = self.outbound.flush(&mut self.wire);
        }

        fn write_all(&mut self) {
            while !self.buffer.is_empty() || self.outbound.needs_flush() {
                self.write();
            }
        }
    }

    fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        while let Some(length) = frame_length(bytes) {
            let (frame, rest) = bytes.split_at(length);
            frames.push(frame);
            bytes = rest;
        }
        assert!(bytes.is_empty());
        frames
    }

    /// Those that must not overtake each other.
    fn ordered<'a>(frames: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let goes_past = |frame: &[u8]| {
            frame[0] == HEARTBEAT || is_method(frame, ACK) || is_method(frame, FLOW_OK)
        };
        frames.iter().copied().filter(|it| !goes_past(it)).collect()
    }

    fn acknowledgements<'a>(frames: &[&'a [u8]]) -> Vec<&'a [u8]> {
        frames
            .iter()
            .copied()
            .filter(|it| is_method(it, ACK))
            .collect()
    }

    proptest! {
        #[test]
        fn messages_wait_whole_and_in_order_and_nothing_is_lost(events in vec(event(), 0..60)) {
            let mut connection = Connection::default();
            let mut handed_over = Vec::new();
            let mut flows = 0;
            for (event, mark) in events.iter().zip(0..) {
                let frames = match event {
                    Event::Publish(size) => message(*size, mark),
                    Event::Acknowledge => vec![method(ACK, mark)],
                    Event::Declare => vec![method(DECLARE, mark)],
                    Event::Heartbeat => vec![frame(HEARTBEAT, &[])],
                    Event::Flow(is_active) => {
                        flows += 1;
                        connection.outbound.obey(*is_active);
                        vec![]
                    }
                    Event::Write(times) => {
                        (0..*times).for_each(|_| connection.write());
                        vec![]
                    }
                };
                for frame in frames {
                    // amiquip may write between the frames of a message.
                    connection.buffer.extend_from_slice(&frame);
                    handed_over.extend(frame);
                    if mark % 3 == 0 {
                        connection.write();
                    }
                }
            }
            connection.write_all();
            connection.outbound.obey(true);
            connection.write_all();

            let sent = frames(&connection.wire.written);
            let given = frames(&handed_over);
            prop_assert_eq!(ordered(&sent), ordered(&given));
            prop_assert_eq!(acknowledgements(&sent), acknowledgements(&given));
            let mut is_paused = false;
            let mut content = Content::Nothing;
            let mut answers = 0;
            for frame in sent {
                prop_assert!(!(is_paused && is_method(frame, PUBLISH)));
                let is_between = content == Content::Nothing;
                content = content.behind(frame);
                let is_content = !is_between && [HEADER, BODY].contains(&frame[0]);
                prop_assert!(is_between || is_content || frame[0] == HEARTBEAT);
                if is_method(frame, FLOW_OK) {
                    answers += 1;
                    is_paused = frame[HEAD + 4] == 0;
                }
            }
            prop_assert_eq!(answers, flows + 1);
        }
    }

    #[test]
    fn what_waits_for_a_channel_that_is_closed_is_dropped() {
        let mut connection = Connection::default();
        connection.outbound.obey(false);
        connection.buffer = [message(5, 1).concat(), method(CHANNEL_CLOSE_OK, 0)].concat();
        connection.write_all();
        let sent = frames(&connection.wire.written);
        assert!(is_method(sent[0], FLOW_OK));
        assert!(is_method(sent[1], CHANNEL_CLOSE_OK));
        assert_eq!(sent.len(), 2);
        assert!(!connection.outbound.is_full());
    }
}

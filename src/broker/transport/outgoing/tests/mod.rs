//! What publishes and amiquip on one side, a slow socket on the other.
//!
//! * `edits`: amiquip's first frames.

mod edits;

use amq_protocol::protocol::basic::{AMQPProperties, Publish};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::broker::transport::frame::{BODY, FRAME_OVERHEAD, HEADER};

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Event {
    /// A message of that many bytes is published, in frames of at most 10 bytes of body. Others may wait with it.
    Publish {
        size: usize,
        is_sent: bool,
    },
    Acknowledge,
    /// Past amiquip.
    AcknowledgeAtOnce,
    Declare,
    Heartbeat,
    /// The broker says whether it takes messages.
    Flow(bool),
    /// amiquip writes, so many times.
    Write(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..40_usize, any::<bool>()).prop_map(|(size, is_sent)| Event::Publish { size, is_sent }),
        Just(Event::Acknowledge),
        Just(Event::AcknowledgeAtOnce),
        Just(Event::Declare),
        Just(Event::Heartbeat),
        any::<bool>().prop_map(Event::Flow),
        (0..20_usize).prop_map(Event::Write),
    ]
}

fn method(id: MethodId, mark: u8) -> Vec<u8> {
    frame::encode_method(1, id, &[mark])
}

fn heartbeat() -> Vec<u8> {
    frame::encode(HEARTBEAT, 0, &[])
}

fn confirm_select() -> Vec<u8> {
    method(MethodId::CONFIRM_SELECT, 1)
}

const BODY_MAX: usize = 10;

/// A message without its body: that and the routing key are the mark.
fn head_of_message(mark: u8) -> MessageHead {
    let publish = Publish {
        ticket: 0,
        exchange: String::new(),
        routing_key: mark.to_string(),
        mandatory: true,
        immediate: false,
    };
    MessageHead::new(publish, &AMQPProperties::default(), 100).unwrap()
}

fn message(size: usize, mark: u8) -> Vec<u8> {
    let key = mark.to_string();
    let arguments = [
        &[0, 0, 0, u8::try_from(key.len()).unwrap()],
        key.as_bytes(),
        &[1],
    ]
    .concat();
    let size_field = u64::try_from(size).unwrap().to_be_bytes();
    let header = [&[0, 60, 0, 0][..], &size_field, &[0, 0]].concat();
    let mut frames = frame::encode_method(1, MethodId::BASIC_PUBLISH, &arguments);
    frame::append(&mut frames, HEADER, 1, &header);
    for part in vec![mark; size].chunks(BODY_MAX) {
        frame::append(&mut frames, BODY, 1, part);
    }
    frames
}

const DECLARE: MethodId = MethodId(frame::QUEUE, 10);

/// A socket that takes a few bytes at a time, and says so the next time, as TLS does: then the same bytes must come first.
#[derive(Default)]
struct SlowSocket {
    written: Vec<u8>,
    taken: Vec<u8>,
}

impl Write for SlowSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.taken.is_empty() {
            self.taken = bytes[..bytes.len().min(5)].to_vec();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        assert!(bytes.starts_with(&self.taken));
        self.written.extend_from_slice(&self.taken);
        Ok(mem::take(&mut self.taken).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// amiquip and a socket, with what stands between them.
#[derive(Default)]
struct Connection {
    outgoing: Outgoing,
    socket: SlowSocket,
    /// What amiquip has not written.
    buffer: Vec<u8>,
}

impl Connection {
    /// One that messages are published on, with confirms.
    fn publishing() -> Connection {
        let mut connection = Connection::default();
        connection.begin_publishing(true);
        connection
    }

    fn begin_publishing(&mut self, is_confirmed: bool) {
        self.outgoing.begin_publishing(is_confirmed);
        self.buffer.extend(confirm_select());
    }

    /// Whether the message waits to be sent.
    fn publish(&mut self, size: usize, mark: u8) -> bool {
        let body = vec![mark; size].into();
        self.outgoing
            .publish(&head_of_message(mark), &body, BODY_MAX + FRAME_OVERHEAD)
    }

    /// Sends what waits from the thread that publishes.
    fn send(&mut self) {
        let _ = self.outgoing.flush(&mut self.socket);
        if self.outgoing.must_ask() {
            self.buffer.extend(confirm_select());
        }
    }

    fn write(&mut self) {
        if !self.buffer.is_empty()
            && let Ok(length) = self.outgoing.write(&self.buffer, &mut self.socket)
        {
            self.buffer.drain(..length);
        }
        let _ = self.outgoing.flush(&mut self.socket);
    }

    fn write_all(&mut self) {
        while !self.buffer.is_empty() || self.outgoing.needs_wake() {
            self.write();
        }
    }
}

fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some(frame) = frame::first(bytes) {
        frames.push(frame);
        bytes = &bytes[frame.len()..];
    }
    assert!(bytes.is_empty());
    frames
}

fn is_of_message(frame: &[u8]) -> bool {
    MethodId::of_frame(frame) == Some(MethodId::BASIC_PUBLISH) || [HEADER, BODY].contains(&frame[0])
}

fn is_call(frame: &[u8]) -> bool {
    [DECLARE, MethodId::CONFIRM_SELECT]
        .map(Some)
        .contains(&MethodId::of_frame(frame))
}

/// An acknowledgement past amiquip, whose own have a mark as their argument here.
fn is_acknowledgement_at_once(frame: &[u8]) -> bool {
    is_acknowledgement(frame) && frame.len() > method(MethodId::BASIC_ACK, 0).len()
}

fn is_acknowledgement(frame: &[u8]) -> bool {
    MethodId::of_frame(frame) == Some(MethodId::BASIC_ACK)
}

fn acknowledgement(tag: u8) -> Vec<u8> {
    let arguments = [0, 0, 0, 0, 0, 0, 0, tag, 0];
    frame::encode_method(1, MethodId::BASIC_ACK, &arguments)
}

/// Those of `frames` that are of a kind.
fn only<'a>(frames: &[&'a [u8]], kind: fn(&[u8]) -> bool) -> Vec<&'a [u8]> {
    frames.iter().copied().filter(|it| kind(it)).collect()
}

/// What is still to come of a message, behind the frame that was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Nothing,
    Header,
    Body(u64),
}

impl Content {
    fn behind(self, frame: &[u8]) -> Content {
        let payload = &frame[frame::HEAD_LENGTH..frame.len() - 1];
        let left = match (self, frame[0]) {
            (Content::Nothing, frame::METHOD) if is_of_message(frame) => return Content::Header,
            (Content::Header, HEADER) => u64::from_be_bytes(*payload[4..].first_chunk().unwrap()),
            (Content::Body(left), BODY) => left - payload.len() as u64,
            (Content::Nothing, _) => return Content::Nothing,
            (content, _) => panic!("{frame:?} within a message: {content:?}"),
        };
        match left {
            0 => Content::Nothing,
            left => Content::Body(left),
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_no_call_overtakes_what_was_sent_before_it(
        is_confirmed in any::<bool>(),
        events in vec(event(), 0..60),
    ) {
        let mut connection = Connection::default();
        connection.begin_publishing(is_confirmed);
        let mut handed_over = if is_confirmed { confirm_select() } else { Vec::new() };
        let mut flows = 0;
        for (event, mark) in events.iter().zip(0..) {
            let mut amiquips = Vec::new();
            match event {
                Event::Publish { size, is_sent } => {
                    prop_assert!(connection.publish(*size, mark));
                    handed_over.extend(message(*size, mark));
                    if *is_sent {
                        connection.send();
                    }
                }
                Event::Acknowledge => amiquips = method(MethodId::BASIC_ACK, mark),
                Event::AcknowledgeAtOnce => {
                    connection.outgoing.acknowledge(mark.into());
                    handed_over.extend(acknowledgement(mark));
                }
                Event::Declare => amiquips = method(DECLARE, mark),
                Event::Heartbeat => amiquips = heartbeat(),
                Event::Flow(is_active) => {
                    flows += 1;
                    connection.outgoing.obey(*is_active);
                }
                Event::Write(times) => (0..*times).for_each(|_| connection.write()),
            }
            connection.buffer.extend(&amiquips);
            handed_over.extend(amiquips);
            if mark % 3 == 0 {
                connection.write();
            }
        }
        connection.write_all();
        connection.outgoing.obey(true);
        connection.write_all();
        prop_assert!(!connection.outgoing.is_full() && connection.outgoing.waiting.is_empty());

        let sent = frames(&connection.socket.written);
        let given = frames(&handed_over);
        for kind in [is_of_message, is_call, is_acknowledgement_at_once] {
            prop_assert_eq!(only(&sent, kind), only(&given, kind));
        }
        prop_assert_eq!(only(&sent, is_acknowledgement).len(), only(&given, is_acknowledgement).len());
        // The answer to a call tells that the broker has handled what was sent before it.
        for call in only(&given, is_call) {
            let before = |frames: &[&[u8]], kind: fn(&[u8]) -> bool| {
                let place = frames.iter().position(|it| *it == call).unwrap();
                only(&frames[..place], kind).len()
            };
            for kind in [is_of_message, is_acknowledgement_at_once] {
                prop_assert!(before(&sent, kind) >= before(&given, kind));
            }
        }
        let mut is_paused = false;
        let mut is_selected = !is_confirmed;
        let mut content = Content::Nothing;
        let mut answers = 0;
        for frame in sent {
            let is_message = MethodId::of_frame(frame) == Some(MethodId::BASIC_PUBLISH);
            prop_assert!(!is_message || (is_selected && !is_paused));
            is_selected |= MethodId::of_frame(frame) == Some(MethodId::CONFIRM_SELECT);
            content = content.behind(frame);
            if MethodId::of_frame(frame) == Some(MethodId::CHANNEL_FLOW_OK) {
                answers += 1;
                is_paused = frame[frame::HEAD_LENGTH + 4] == 0;
            }
        }
        prop_assert_eq!(content, Content::Nothing);
        prop_assert_eq!(answers, flows + 1);
    }
}

#[test]
fn what_waits_for_a_channel_that_is_closed_is_dropped() {
    let close_ok = method(MethodId::CHANNEL_CLOSE_OK, 0);
    let flow_ok = method(MethodId::CHANNEL_FLOW_OK, 0);
    for is_ready in [true, false] {
        let mut connection = Connection::publishing();
        if is_ready {
            connection.write_all();
            connection.outgoing.obey(false);
        } else {
            connection.buffer.clear();
        }
        assert!(connection.publish(WAITING_MAX, 1));
        assert!(connection.publish(5, 2));
        connection.send();
        assert!(connection.outgoing.is_full());
        connection
            .buffer
            .extend([heartbeat(), close_ok.clone()].concat());
        connection.write_all();
        assert!(!connection.outgoing.is_full());
        assert!(!connection.publish(5, 3));
        connection.send();
        connection.write_all();
        let expected = if is_ready {
            [
                confirm_select(),
                flow_ok.clone(),
                heartbeat(),
                close_ok.clone(),
            ]
            .concat()
        } else {
            [heartbeat(), close_ok.clone()].concat()
        };
        assert_eq!(connection.socket.written, expected, "{is_ready}");
    }
}

#[test]
fn nothing_is_acknowledged_behind_the_end_of_a_channel() {
    for is_active in [true, false] {
        let mut connection = Connection::default();
        connection.outgoing.obey(is_active);
        connection.outgoing.acknowledge(1);
        let end = method(MethodId::CHANNEL_CLOSE_OK, 0);
        connection.buffer = [heartbeat(), end.clone()].concat();
        connection.write_all();
        connection.outgoing.acknowledge(2);
        connection.write_all();
        let sent = frames(&connection.socket.written);
        assert_eq!(sent[1..], [&acknowledgement(1), &heartbeat(), &end]);
    }
}

#[test]
fn whoever_publishes_is_told_to_wait_until_the_socket_has_taken_enough() {
    let mut connection = Connection::publishing();
    connection.write_all();
    for mark in 0.. {
        assert!(connection.publish(WAITING_MAX / 10, mark));
        if connection.outgoing.is_full() {
            break;
        }
    }
    connection.send();
    assert!(connection.outgoing.is_full());
    connection.write_all();
    assert!(!connection.outgoing.is_full());
}

/// amiquip's thread comes back to a socket for as long as it has a frame that is not taken.
#[test]
fn amiquip_is_asked_once_for_all_that_waits() {
    let mut connection = Connection::publishing();
    connection.write_all();
    for mark in 0..3 {
        assert!(connection.publish(50, mark));
        connection.send();
    }
    assert_eq!(connection.buffer, confirm_select());
    while !connection.buffer.is_empty() {
        connection.write();
    }
    let messages = (0..3).map(|mark| message(50, mark));
    let expected: Vec<u8> = std::iter::once(confirm_select())
        .chain(messages)
        .flatten()
        .collect();
    assert_eq!(connection.socket.written, expected);
}

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::{self, StartOk};
use amq_protocol::protocol::{channel, queue};
use amq_protocol::types::{AMQPValue, FieldTable};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Event {
    /// A message of that many bytes is published, in frames of at most 10 bytes of body. amiquip may not have the body.
    Publish {
        size: usize,
        is_large: bool,
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
        (0..40_usize, any::<bool>()).prop_map(|(size, is_large)| Event::Publish {
            size,
            is_large: is_large && size > 0,
        }),
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

const BODY_MAX: usize = 10;

/// basic.publish and the content header of a message.
fn head_of_message(size: usize, mark: u8, bits: u8) -> Vec<Vec<u8>> {
    let size_field = u64::try_from(size).unwrap().to_be_bytes();
    let header = [&[0, 60, 0, 0][..], &size_field, &[0, 0, mark]].concat();
    vec![
        frame::encode_method(1, MethodId::BASIC_PUBLISH, &[mark, bits]),
        frame::encode(HEADER, 1, &header),
    ]
}

fn message(size: usize, mark: u8) -> Vec<Vec<u8>> {
    let mut frames = head_of_message(size, mark, 1);
    let body = vec![mark; size];
    let parts = body.chunks(BODY_MAX);
    frames.extend(parts.map(|part| frame::encode(BODY, 1, part)));
    frames
}

const DECLARE: MethodId = MethodId(frame::QUEUE, 10);

/// A socket that takes a few bytes at a time, and nothing every other time.
#[derive(Default)]
struct SlowSocket {
    written: Vec<u8>,
    is_full: bool,
}

impl Write for SlowSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_full = !self.is_full;
        if self.is_full {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = bytes.len().min(5);
        self.written.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// amiquip and a socket, with what stands between them.
#[derive(Default)]
struct Connection {
    outgoing: Outgoing,
    bodies: LargeBodies,
    socket: SlowSocket,
    /// What amiquip has not written.
    buffer: Vec<u8>,
}

impl Connection {
    fn new() -> Connection {
        let bodies = LargeBodies::default();
        Connection {
            outgoing: Outgoing {
                inserter: Inserter::of(bodies.clone()),
                ..Outgoing::default()
            },
            bodies,
            ..Connection::default()
        }
    }

    /// Has a body wait for its message, of which amiquip gets these frames.
    fn large_message(&mut self, size: usize, mark: u8) -> Vec<Vec<u8>> {
        let frame_max = u32::try_from(BODY_MAX + frame::FRAME_OVERHEAD).unwrap();
        self.bodies.push(vec![mark; size].into(), frame_max);
        head_of_message(0, mark, 0b11)
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
        while !self.buffer.is_empty() || self.outgoing.needs_flush() {
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

/// Those that must not overtake each other.
fn ordered<'a>(frames: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let goes_past = |frame: &[u8]| {
        frame[0] == HEARTBEAT
            || MethodId::of_frame(frame) == Some(MethodId::BASIC_ACK)
            || MethodId::of_frame(frame) == Some(MethodId::CHANNEL_FLOW_OK)
    };
    frames.iter().copied().filter(|it| !goes_past(it)).collect()
}

/// Those by amiquip, whose arguments are a mark here, and those past it.
fn acknowledgements<'a>(frames: &[&'a [u8]]) -> [Vec<&'a [u8]>; 2] {
    let is_amiquips = |it: &&[u8]| it.len() == method(MethodId::BASIC_ACK, 0).len();
    let all = frames
        .iter()
        .copied()
        .filter(|it| MethodId::of_frame(it) == Some(MethodId::BASIC_ACK));
    let (amiquips, others) = all.partition(is_amiquips);
    [amiquips, others]
}

fn acknowledgement(tag: u8) -> Vec<u8> {
    let arguments = [0, 0, 0, 0, 0, 0, 0, tag, 0];
    frame::encode_method(1, MethodId::BASIC_ACK, &arguments)
}

proptest! {
    #[test]
    fn messages_wait_whole_and_in_order_and_nothing_is_lost(events in vec(event(), 0..60)) {
        let mut connection = Connection::new();
        let mut handed_over = Vec::new();
        let mut flows = 0;
        for (event, mark) in events.iter().zip(0..) {
            let mut whole = None;
            let frames = match event {
                Event::Publish { size, is_large: false } => message(*size, mark),
                Event::Publish { size, is_large: true } => {
                    whole = Some(message(*size, mark).concat());
                    connection.large_message(*size, mark)
                }
                Event::Acknowledge => vec![method(MethodId::BASIC_ACK, mark)],
                Event::AcknowledgeAtOnce => {
                    connection.outgoing.acknowledge(mark.into());
                    whole = Some(acknowledgement(mark));
                    vec![]
                }
                Event::Declare => vec![method(DECLARE, mark)],
                Event::Heartbeat => vec![heartbeat()],
                Event::Flow(is_active) => {
                    flows += 1;
                    connection.outgoing.obey(*is_active);
                    vec![]
                }
                Event::Write(times) => {
                    (0..*times).for_each(|_| connection.write());
                    vec![]
                }
            };
            handed_over.extend(whole.unwrap_or_else(|| frames.concat()));
            for frame in frames {
                // amiquip may write between the frames of a message.
                connection.buffer.extend(frame);
                if mark % 3 == 0 {
                    connection.write();
                }
            }
        }
        connection.write_all();
        connection.outgoing.obey(true);
        connection.write_all();

        let sent = frames(&connection.socket.written);
        let given = frames(&handed_over);
        prop_assert_eq!(ordered(&sent), ordered(&given));
        prop_assert_eq!(acknowledgements(&sent), acknowledgements(&given));
        // The answer to a later call makes an acknowledgement certain, so no later call may overtake it.
        let place = |frame: &[u8]| sent.iter().position(|it| *it == frame);
        for (at, frame) in given.iter().enumerate() {
            let is_past_amiquip = acknowledgements(&[frame])[1].len() == 1;
            let later = ordered(&given[at..]);
            prop_assert!(!is_past_amiquip || later.iter().all(|it| place(it) > place(frame)));
        }
        let mut is_paused = false;
        let mut content = Content::Nothing;
        let mut answers = 0;
        for frame in sent {
            prop_assert!(!(is_paused && MethodId::of_frame(frame) == Some(MethodId::BASIC_PUBLISH)));
            let is_between = content == Content::Nothing;
            content = content.behind(frame);
            let is_content = !is_between && [HEADER, BODY].contains(&frame[0]);
            prop_assert!(is_between || is_content || frame[0] == HEARTBEAT);
            if MethodId::of_frame(frame) == Some(MethodId::CHANNEL_FLOW_OK) {
                answers += 1;
                is_paused = frame[frame::HEAD_LENGTH + 4] == 0;
            }
        }
        prop_assert_eq!(answers, flows + 1);
    }
}

#[test]
fn what_waits_for_a_channel_that_is_closed_is_dropped() {
    let mut connection = Connection::new();
    connection.outgoing.obey(false);
    connection.buffer = [
        message(5, 1).concat(),
        connection.large_message(5, 2).concat(),
        method(MethodId::CHANNEL_CLOSE_OK, 0),
    ]
    .concat();
    connection.write_all();
    let sent = frames(&connection.socket.written);
    assert!(MethodId::of_frame(sent[0]) == Some(MethodId::CHANNEL_FLOW_OK));
    assert!(MethodId::of_frame(sent[1]) == Some(MethodId::CHANNEL_CLOSE_OK));
    assert_eq!(sent.len(), 2);
    assert!(!connection.outgoing.is_full());
}

#[test]
fn nothing_is_acknowledged_behind_the_end_of_a_channel() {
    for is_active in [true, false] {
        let mut connection = Connection::new();
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

fn start_ok(client_properties: FieldTable) -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::StartOk(StartOk {
        client_properties,
        mechanism: "PLAIN".to_owned(),
        response: "\0ann\0secret".to_owned(),
        locale: "en_US".to_owned(),
    }))
}

fn encoded(channel: u16, method: &AMQPClass) -> Vec<u8> {
    frame::encode_class(channel, method, 4096).unwrap()
}

/// What amiquip writes up to connection.open.
fn opening() -> [Vec<u8>; 3] {
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
    let tune_ok = AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok));
    let open = AMQPClass::Connection(connection::AMQPMethod::Open(open));
    [
        frame::PROTOCOL_HEADER.to_vec(),
        encoded(0, &start_ok(FieldTable::new())),
        [encoded(0, &tune_ok), encoded(0, &open)].concat(),
    ]
}

fn channel_open(id: u16) -> Vec<u8> {
    let open = channel::Open {
        out_of_band: String::new(),
    };
    encoded(id, &AMQPClass::Channel(channel::AMQPMethod::Open(open)))
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
    encoded(1, &AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))
}

/// What is on the wire after each of `batches` was written as amiquip does.
fn sent_by(outgoing: Outgoing, batches: &[&[u8]]) -> Vec<u8> {
    let mut connection = Connection {
        outgoing,
        ..Connection::default()
    };
    for batch in batches {
        connection.buffer.extend_from_slice(batch);
        connection.write_all();
    }
    connection.socket.written
}

/// What is on the wire behind connection.open if amiquip writes `batches` behind that.
fn sent_behind_opening(first_call: Option<&[u8]>, batches: &[&[u8]]) -> Vec<u8> {
    let opening = opening();
    let opening = opening.each_ref().map(Vec::as_slice);
    let all = [&opening[..], batches].concat();
    let before = sent_by(Outgoing::default(), &opening[2..]);
    let sent = sent_by(
        Outgoing::new(true, first_call, LargeBodies::default()),
        &all,
    );
    let start_ok = frame::first(&sent).unwrap();
    sent[start_ok.len()..]
        .strip_prefix(before.as_slice())
        .unwrap()
        .to_vec()
}

#[test]
fn the_client_properties_are_ours_and_the_rest_is_amiquips() {
    let name = AMQPValue::LongString("amqp-get@host:1".to_owned());
    let theirs = [("product", AMQPValue::Void), ("information", name.clone())];
    let theirs = theirs.map(|(key, value)| (key.to_owned(), value));
    let theirs = theirs.into_iter().collect();
    let greeting = frame::PROTOCOL_HEADER;
    let start = encoded(0, &start_ok(theirs));
    let all = [&greeting, start.as_slice(), start.as_slice()].concat();
    let sent = sent_by(Outgoing::new(false, None, LargeBodies::default()), &[&all]);
    let rest = sent.strip_prefix(&greeting).unwrap();
    let (rest, introduced) = parse_frame(rest).unwrap();
    let AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::StartOk(ok))) =
        introduced
    else {
        panic!("{introduced:?}");
    };
    let AMQPValue::FieldTable(capabilities) = &ok.client_properties["capabilities"] else {
        panic!("{ok:?}");
    };
    assert_eq!(
        capabilities.get("authentication_failure_close"),
        Some(&AMQPValue::Boolean(true))
    );
    assert_eq!(
        ok.client_properties.get("product"),
        Some(&AMQPValue::LongString("amqp-tools".to_owned()))
    );
    assert_eq!(ok.client_properties.get("connection_name"), Some(&name));
    assert_eq!(ok.client_properties.get("information"), None);
    let ours = ok.client_properties.clone();
    let ok = AMQPClass::Connection(connection::AMQPMethod::StartOk(ok));
    assert_eq!(ok, start_ok(ours));
    assert_eq!(rest, start, "only the first frame is written anew");
}

#[test]
fn a_greeting_sent_before_is_not_sent_again() {
    let [greeting, start_ok, _] = opening();
    let batches = [greeting.as_slice(), &start_ok];
    assert_eq!(
        sent_by(Outgoing::new(true, None, LargeBodies::default()), &batches),
        sent_by(Outgoing::new(false, None, LargeBodies::default()), &batches)[greeting.len()..]
    );
}

#[test]
fn what_begins_otherwise_passes_as_it_is() {
    let (other, ours, call) = (heartbeat(), channel_open(1), declare("q"));
    let [greeting, start_ok, opening] = opening();
    for batches in [
        vec![b"AMQP\0\0\x09\x01anything else at all".to_vec()],
        vec![b"AMQP\0\0\x09\x01\x01".to_vec()],
        vec![greeting, other, start_ok[..25].to_vec(), opening],
        vec![ours, call.clone()],
    ] {
        let batches: Vec<&[u8]> = batches.iter().map(Vec::as_slice).collect();
        let sent = sent_by(
            Outgoing::new(false, Some(&call), LargeBodies::default()),
            &batches,
        );
        assert_eq!(sent, batches.concat());
    }
}

#[test]
fn the_channel_is_opened_once_and_early() {
    let ours = channel_open(1);
    for behind in [&b""[..], b"and what is done on it"] {
        let then = [&ours, behind].concat();
        assert_eq!(
            sent_behind_opening(None, &[&heartbeat(), &then]),
            [ours.as_slice(), &heartbeat(), behind].concat()
        );
    }
}

#[test]
fn the_first_call_is_made_once_and_early() {
    let (ours, call) = (channel_open(1), declare("q"));
    let early = [ours.as_slice(), &call].concat();
    for behind in [call.clone(), channel_open(2), b"and more".to_vec()] {
        let then = [&call, behind.as_slice()].concat();
        assert_eq!(
            sent_behind_opening(Some(&call), &[&ours, &then]),
            [early.as_slice(), &behind].concat()
        );
    }
    let in_one = [ours, heartbeat(), call.clone(), heartbeat()].concat();
    assert_eq!(
        sent_behind_opening(Some(&call), &[&in_one]),
        [early.as_slice(), &heartbeat(), &heartbeat()].concat()
    );
}

#[test]
fn a_heartbeat_in_the_way_may_come_in_one_piece_with_the_channel() {
    let ours = channel_open(1);
    let then = [heartbeat(), ours.clone()].concat();
    assert_eq!(
        sent_behind_opening(None, &[&then]),
        [ours, heartbeat()].concat()
    );
}

/// The answers up to which amiquip may read after connection.open and each of `batches`.
fn last_answers(first_call: Option<&[u8]>, batches: &[Vec<u8>]) -> Vec<Option<MethodId>> {
    let mut outgoing = Outgoing::new(true, first_call, LargeBodies::default());
    let mut socket = Vec::new();
    let mut answer_behind = |bytes: &[u8]| {
        assert!(outgoing.write(bytes, &mut socket).is_ok());
        outgoing.last_answer()
    };
    let [greeting, start_ok, opening] = opening();
    assert_eq!(answer_behind(&greeting), None);
    assert_eq!(answer_behind(&start_ok), None);
    let all = std::iter::once(&opening).chain(batches);
    all.map(|batch| answer_behind(batch)).collect()
}

const OPEN_OK: MethodId = MethodId::CONNECTION_OPEN_OK;
const CHANNEL_OPEN_OK: MethodId = MethodId::CHANNEL_OPEN_OK;

#[test]
fn answers_are_held_back_until_amiquip_asks() {
    assert_eq!(
        last_answers(None, &[channel_open(1)]),
        [Some(OPEN_OK), None],
        "the channel alone"
    );
    let asks = [channel_open(1), heartbeat(), declare("q")];
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
        let asks = [other.clone(), channel_open(1), call.clone()];
        assert_eq!(
            last_answers(Some(&call), &asks),
            [Some(OPEN_OK), None, None, None]
        );
        let asks = [channel_open(1), other.clone(), call.clone()];
        assert_eq!(
            last_answers(Some(&call), &asks),
            [Some(OPEN_OK), Some(CHANNEL_OPEN_OK), None, None]
        );
        assert_eq!(
            sent_behind_opening(Some(&call), &asks.each_ref().map(Vec::as_slice)),
            [channel_open(1), call.clone(), other, call.clone()].concat()
        );
    }
}

#[test]
fn who_waits_for_large_bodies_goes_on_when_they_are_taken_and_at_the_end() {
    type Way = fn(&mut Connection, Vec<u8>);
    const CLOSED: Way = |connection, _| {
        let close_ok = method(MethodId::CHANNEL_CLOSE_OK, 0);
        connection.buffer = [heartbeat(), close_ok].concat();
    };
    let ways: [Way; 4] = [
        |connection, message| connection.buffer = message,
        CLOSED,
        |connection, message| {
            connection.outgoing.obey(false);
            CLOSED(connection, message);
        },
        |connection, _| *connection = Connection::default(),
    ];
    for way in ways {
        let mut connection = Connection::new();
        let message = connection.large_message(5, 1).concat();
        let bodies = connection.bodies.clone();
        let waiting = std::thread::spawn(move || bodies.wait_until_taken());
        way(&mut connection, message);
        connection.write_all();
        waiting.join().unwrap();
    }
}

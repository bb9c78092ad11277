//! amiquip's first frames, which are changed.

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::{self, StartOk};
use amq_protocol::protocol::{channel, queue};
use amq_protocol::types::{AMQPValue, FieldTable};

use super::*;

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
    let sent = sent_by(Outgoing::new(true, first_call), &all);
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
    let sent = sent_by(Outgoing::new(false, None), &[&all]);
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
        sent_by(Outgoing::new(true, None), &batches),
        sent_by(Outgoing::new(false, None), &batches)[greeting.len()..]
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
        let sent = sent_by(Outgoing::new(false, Some(&call)), &batches);
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
    let mut outgoing = Outgoing::new(true, first_call);
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

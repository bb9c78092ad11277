use std::io::Read;

use amq_protocol::frame::generation::{
    gen_content_body_frame, gen_content_header_frame, gen_heartbeat_frame,
};
use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::basic::{self, AMQPProperties};
use amq_protocol::protocol::{AMQPClass, channel, connection, queue};
use amq_protocol::types::{AMQPValue, FieldTable};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::broker::transport::frame;

/// A server's bytes, as the network cuts them.
struct Pieces<'a> {
    bytes: &'a [u8],
    /// The lengths of the reads, over and over.
    lengths: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl<'a> Pieces<'a> {
    fn of(bytes: &'a [u8], lengths: &'a [usize]) -> Pieces<'a> {
        Pieces {
            bytes,
            lengths: lengths.iter().cycle(),
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = *self.lengths.next().unwrap();
        let piece = self.bytes.len().min(length);
        let length = (&self.bytes[..piece]).read(out)?;
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

/// What comes through, and the violation that ended it, if one did.
fn through(
    bytes: &[u8],
    lengths: &[usize],
    out_length: usize,
) -> (Vec<u8>, Option<String>, Incoming) {
    let mut incoming = Incoming::default();
    let mut source = Pieces::of(bytes, lengths);
    let mut out = vec![0; out_length];
    let mut all = Vec::new();
    loop {
        match incoming.read(&mut source, &mut out) {
            Ok(0) => return (all, None, incoming),
            Ok(length) => all.extend_from_slice(&out[..length]),
            Err(violation) => return (all, Some(violation.to_string()), incoming),
        }
    }
}

fn whole(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let (out, violation, _) = through(bytes, &[usize::MAX], 4096);
    (out, violation)
}

fn encoded<E: std::fmt::Debug>(
    write: impl for<'a> FnOnce((&'a mut [u8], usize)) -> Result<(&'a mut [u8], usize), E>,
) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 20];
    let length = write((&mut buffer, 0)).unwrap().1;
    buffer.truncate(length);
    buffer
}

fn method(channel: u16, class: &AMQPClass) -> Vec<u8> {
    frame::encode_class(channel, class, 1 << 20).unwrap()
}

fn header(body_size: u64, properties: &AMQPProperties) -> Vec<u8> {
    encoded(|buffer| gen_content_header_frame(buffer, 1, 60, body_size, properties))
}

fn body(bytes: &[u8]) -> Vec<u8> {
    encoded(|buffer| gen_content_body_frame(buffer, 1, bytes))
}

fn heartbeat() -> Vec<u8> {
    encoded(gen_heartbeat_frame)
}

fn tune(frame_max: u32) -> Vec<u8> {
    method(
        0,
        &AMQPClass::Connection(connection::AMQPMethod::Tune(connection::Tune {
            channel_max: 0,
            frame_max,
            heartbeat: 60,
        })),
    )
}

fn start() -> Vec<u8> {
    let mut server_properties = FieldTable::new();
    let product = AMQPValue::LongString("RabbitMQ".to_owned());
    server_properties.insert("product".to_owned(), product);
    method(
        0,
        &AMQPClass::Connection(connection::AMQPMethod::Start(connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties,
            mechanisms: "PLAIN EXTERNAL".to_owned(),
            locales: "en_US".to_owned(),
        })),
    )
}

fn deliver(routing_key: &str) -> Vec<u8> {
    method(
        1,
        &AMQPClass::Basic(basic::AMQPMethod::Deliver(basic::Deliver {
            consumer_tag: "ctag".to_owned(),
            delivery_tag: 1,
            redelivered: false,
            exchange: String::new(),
            routing_key: routing_key.to_owned(),
        })),
    )
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,60}"
}

fn value() -> impl Strategy<Value = AMQPValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        any::<f64>().prop_map(AMQPValue::Double),
        text().prop_map(AMQPValue::LongString),
        vec(any::<u8>(), 0..40).prop_map(AMQPValue::ByteArray),
        Just(AMQPValue::Void),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(AMQPValue::FieldArray),
            btree_map(text(), inner, 0..6).prop_map(AMQPValue::FieldTable),
        ]
    })
}

fn properties() -> impl Strategy<Value = AMQPProperties> {
    (
        text(),
        btree_map(text(), value(), 0..6),
        any::<u8>(),
        any::<u64>(),
    )
        .prop_map(|(text, headers, number, time)| {
            AMQPProperties::default()
                .with_content_type(text.clone())
                .with_headers(headers)
                .with_delivery_mode(number)
                .with_correlation_id(text.clone())
                .with_timestamp(time)
                .with_app_id(text)
        })
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(heartbeat()),
        text().prop_map(|key| deliver(&key)),
        (any::<u64>(), any::<bool>()).prop_map(|(delivery_tag, multiple)| {
            let ack = basic::AMQPMethod::Ack(basic::Ack {
                delivery_tag,
                multiple,
            });
            method(1, &AMQPClass::Basic(ack))
        }),
        text().prop_map(|queue| {
            let declared = queue::AMQPMethod::DeclareOk(queue::DeclareOk {
                queue,
                message_count: 7,
                consumer_count: 0,
            });
            method(1, &AMQPClass::Queue(declared))
        }),
        (any::<u16>(), text()).prop_map(|(reply_code, reply_text)| {
            let close = channel::AMQPMethod::Close(channel::Close {
                reply_code,
                reply_text,
                class_id: 0,
                method_id: 0,
            });
            method(1, &AMQPClass::Channel(close))
        }),
        (0..BODY_MAX, properties()).prop_map(|(size, properties)| header(size, &properties)),
        vec(any::<u8>(), 0..3000).prop_map(|bytes| body(&bytes)),
    ]
}

/// The start, then frames.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    vec(any_frame(), 0..12).prop_map(|frames| [vec![start()], frames].concat().concat())
}

/// Every whole frame in what came through is one that amiquip's parser takes.
fn assert_parses(mut bytes: &[u8]) {
    while let Some(frame) = frame::first(bytes) {
        let (rest, _) = parse_frame(frame).unwrap();
        assert!(rest.is_empty());
        bytes = &bytes[frame.len()..];
    }
}

proptest! {
    #[test]
    fn what_a_broker_sends_passes_unchanged(
        bytes in stream(),
        lengths in vec(1_usize..5000, 1..10),
        out_length in 1_usize..9000,
    ) {
        let (out, violation, _) = through(&bytes, &lengths, out_length);
        prop_assert_eq!(violation, None);
        prop_assert!(out == bytes);
    }

    #[test]
    fn whatever_comes_through_can_be_parsed(
        mut bytes in stream(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let (out, _) = whole(&bytes);
        prop_assert!(out.len() <= bytes.len());
        assert_parses(&out);
    }

    #[test]
    fn anything_at_all_is_survived(bytes in vec(any::<u8>(), 0..5000)) {
        let (out, _) = whole(&[start(), bytes].concat());
        assert_parses(&out);
    }
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let bytes = [
        start(),
        deliver("key"),
        header(5, &AMQPProperties::default()),
        body(b"hello"),
        heartbeat(),
    ]
    .concat();
    for cut in 1..bytes.len() {
        let lengths = [cut, bytes.len()];
        let (out, violation, _) = through(&bytes, &lengths, 4096);
        assert_eq!(violation, None, "cut at {cut}");
        assert_eq!(out, bytes, "cut at {cut}");
    }
}

#[test]
fn the_largest_frames_pass() {
    let payload = vec![7; FRAME_MAX as usize];
    let long = AMQPValue::ByteArray(vec![1; 130_000]);
    let properties = AMQPProperties::default()
        .with_headers(std::iter::once(("long".to_owned(), long)).collect());
    let bytes = [start(), header(9, &properties), body(&payload), heartbeat()].concat();
    let (out, violation, _) = through(&bytes, &[50_000], 200_000);
    assert_eq!(violation, None);
    assert!(out == bytes);
}

#[test]
fn short_strings_are_made_utf_8() {
    let bytes = [start(), deliver("caf?")].concat();
    let mut latin = bytes.clone();
    let place = latin.iter().rposition(|byte| *byte == b'?').unwrap();
    latin[place] = 0xE9;
    assert_eq!(whole(&latin), (bytes, None));
}

/// However the network cuts the bytes, and whatever comes behind the message in the same read.
#[test]
fn a_mended_delivery_is_told_whatever_follows_it() {
    let declared = queue::AMQPMethod::DeclareOk(queue::DeclareOk {
        queue: "q".to_owned(),
        message_count: 0,
        consumer_count: 0,
    });
    let declared = method(1, &AMQPClass::Queue(declared));
    let message = [deliver("caf@"), header(2, &AMQPProperties::default())].concat();
    let mended = message
        .iter()
        .map(|byte| if *byte == b'@' { 0xE9 } else { *byte })
        .collect();
    let bytes = [start(), mended, body(b"hi"), declared].concat();
    for length in 1..=bytes.len() {
        let (_, violation, mut incoming) = through(&bytes, &[length], 1000);
        assert_eq!(violation, None);
        assert_eq!(
            incoming.take_events(),
            [
                ServerEvent::Mechanisms("PLAIN EXTERNAL".to_owned()),
                ServerEvent::Delivered {
                    channel: 1,
                    tag: 1,
                    fidelity: Fidelity::Lossy,
                }
            ],
            "{length} bytes a read"
        );
    }
}

#[test]
fn headers_are_made_utf_8_and_their_values_kept() {
    let headers = |name: &str, value: AMQPValue| {
        let headers = std::iter::once((name.to_owned(), value)).collect();
        header(0, &AMQPProperties::default().with_headers(headers))
    };
    let sent = headers("nom@", AMQPValue::LongString("caf@".to_owned()));
    let mut latin: Vec<u8> = sent
        .iter()
        .map(|byte| if *byte == b'@' { 0xE9 } else { *byte })
        .collect();
    latin.splice(0..0, start());
    let received = headers("nom?", AMQPValue::ByteArray(b"caf\xE9".to_vec()));
    assert_eq!(whole(&latin), ([start(), received].concat(), None));
}

#[test]
fn tables_nested_too_deep_become_bytes() {
    let nested = |depth: usize| {
        let mut value = AMQPValue::Boolean(true);
        for level in 0..depth {
            value = if level % 2 == 0 {
                AMQPValue::FieldArray(vec![value])
            } else {
                AMQPValue::FieldTable(std::iter::once(("t".to_owned(), value)).collect())
            };
        }
        let headers = std::iter::once(("nested".to_owned(), value)).collect();
        [
            start(),
            header(0, &AMQPProperties::default().with_headers(headers)),
        ]
        .concat()
    };
    let shallow = nested(fields::DEPTH_MAX);
    assert_eq!(whole(&shallow), (shallow, None));
    let deep = nested(fields::DEPTH_MAX + 1);
    let (out, violation) = whole(&deep);
    assert_eq!(violation, None);
    let changed: Vec<_> = deep
        .iter()
        .zip(&out)
        .filter(|(sent, got)| sent != got)
        .collect();
    assert_eq!(changed, [(&b'A', &b'x')]);
    assert_parses(&out);
    assert_parses(&whole(&nested(fields::DEPTH_MAX)).0);
}

/// As deep as a frame can hold: amiquip's parser would overflow its stack.
#[test]
fn no_frame_can_overflow_the_stack() {
    const LEVELS: usize = 20_000;
    let mut value = vec![b'V'];
    for _ in 0..LEVELS {
        let length = u32::try_from(value.len()).unwrap();
        value.splice(0..0, [&[b'A'][..], &length.to_be_bytes()].concat());
    }
    let flat = AMQPValue::ByteArray(value.split_off(5));
    let headers = std::iter::once(("nested".to_owned(), flat)).collect();
    let mut sent = header(0, &AMQPProperties::default().with_headers(headers));
    let kind = sent.iter().position(|byte| *byte == b'x').unwrap();
    sent[kind] = b'A';
    let (out, violation) = whole(&[start(), sent].concat());
    assert_eq!(violation, None);
    assert_parses(&out);
}

#[test]
fn what_amiquip_does_not_pass_on_is_an_event() {
    let close = connection::AMQPMethod::Close(connection::Close {
        reply_code: 403,
        reply_text: "ACCESS_REFUSED".to_owned(),
        class_id: 0,
        method_id: 0,
    });
    let bytes = [
        start(),
        tune(8192),
        method(0, &AMQPClass::Connection(close)),
    ]
    .concat();
    let (_, _, mut incoming) = through(&bytes, &[9], 9);
    assert_eq!(
        incoming.take_events(),
        [
            ServerEvent::Mechanisms("PLAIN EXTERNAL".to_owned()),
            ServerEvent::Tune {
                frame_max: 8192,
                heartbeat: 60,
            },
            ServerEvent::Close {
                code: 403,
                text: "ACCESS_REFUSED".to_owned(),
                class: 0,
            }
        ]
    );
    assert!(incoming.has_sent_frame());
}

#[test]
fn nonsense_is_told_from_what_came_before_it() {
    let head = |frame_type: u8, channel: u8, size: u32| {
        [&[frame_type, 0, channel][..], &size.to_be_bytes()].concat()
    };
    let huge_body = header(u64::MAX, &AMQPProperties::default());
    let mut unfinished = body(b"abc");
    *unfinished.last_mut().unwrap() = 0;
    for (nonsense, said) in [
        (head(METHOD, 0, u32::MAX), "4294967295 bytes"),
        (head(4, 0, 0), "type 4"),
        (head(BODY, 0, 5), "channel 0"),
        (huge_body, "content header"),
        (unfinished, "without an end"),
        (heartbeat().repeat((1 << 20) + 1), "without end"),
        (
            method(
                1,
                &AMQPClass::Basic(basic::AMQPMethod::Qos(basic::Qos {
                    prefetch_size: 0,
                    prefetch_count: 1,
                    global: false,
                })),
            ),
            "not for clients",
        ),
        (
            [&head(METHOD, 1, 4)[..], &[0, 60, 0, 60, FRAME_END]].concat(),
            "basic.deliver",
        ),
        (
            [&head(METHOD, 0, 2)[..], &[0, 60, FRAME_END]].concat(),
            "a method",
        ),
    ] {
        let (out, violation) = whole(&[start(), nonsense].concat());
        let violation = violation.unwrap();
        assert!(violation.contains(said), "{violation}");
        assert!(out.starts_with(&start()));
    }
}

#[test]
fn another_protocol_is_recognised_at_its_first_byte() {
    for (answer, said) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "'HTTP/1.1 400 Bad Request'",
        ),
        (b"S", "'S'"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        (b"\x01garbage", "01 67 61"),
    ] {
        let (out, violation) = whole(answer);
        assert!(out.is_empty());
        assert!(
            violation.as_deref().unwrap().contains(said),
            "{violation:?}"
        );
    }
}

#[test]
fn frames_of_amq_protocol_are_what_this_test_takes_them_for() {
    let (_, parsed) = parse_frame(&heartbeat()).unwrap();
    assert!(matches!(parsed, AMQPFrame::Heartbeat(0)));
}

const OPEN_OK: MethodId = MethodId::CONNECTION_OPEN_OK;
const CHANNEL_OPEN_OK: MethodId = MethodId::CHANNEL_OPEN_OK;

fn open_ok() -> Vec<u8> {
    let ok = connection::OpenOk {
        known_hosts: String::new(),
    };
    let ok = connection::AMQPMethod::OpenOk(ok);
    method(0, &AMQPClass::Connection(ok))
}

fn channel_open_ok() -> Vec<u8> {
    let ok = channel::OpenOk {
        channel_id: String::new(),
    };
    method(1, &AMQPClass::Channel(channel::AMQPMethod::OpenOk(ok)))
}

fn connection_close() -> Vec<u8> {
    let close = connection::Close {
        reply_code: 541,
        reply_text: "INTERNAL_ERROR".to_owned(),
        class_id: 50,
        method_id: 10,
    };
    let close = connection::AMQPMethod::Close(close);
    method(0, &AMQPClass::Connection(close))
}

/// What stands before a server that has sent all this, and what has come through it.
struct Watched<'a> {
    incoming: Incoming,
    source: Pieces<'a>,
    given: Vec<u8>,
}

impl<'a> Watched<'a> {
    fn pausing_behind(method: MethodId, bytes: &'a [u8], lengths: &'a [usize]) -> Self {
        let mut incoming = Incoming::default();
        incoming.pause_behind(Some(method));
        Watched {
            incoming,
            source: Pieces::of(bytes, lengths),
            given: Vec::new(),
        }
    }

    /// Reads until nothing comes, and says whether that is because something is held back.
    fn read(&mut self) -> bool {
        let mut out = vec![0; 4096];
        loop {
            match self.incoming.read(&mut self.source, &mut out) {
                Ok(0) => return false,
                Ok(length) => self.given.extend_from_slice(&out[..length]),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    return true;
                }
            }
        }
    }
}

#[test]
fn what_comes_behind_an_answer_is_held_back_until_it_may_come() {
    let first = [start(), open_ok()].concat();
    let second = [first.clone(), heartbeat(), channel_open_ok()].concat();
    let all = [second.clone(), heartbeat(), deliver("key"), body(b"hello")].concat();
    for piece in [1, first.len(), first.len() + 5, second.len(), usize::MAX] {
        let lengths = [piece];
        let mut watched = Watched::pausing_behind(OPEN_OK, &all, &lengths);
        for _ in 0..2 {
            assert!(watched.read());
            assert_eq!(watched.given, first, "in pieces of {piece}");
        }
        watched.incoming.pause_behind(Some(CHANNEL_OPEN_OK));
        for _ in 0..2 {
            assert!(watched.read());
            assert_eq!(watched.given, second, "in pieces of {piece}");
        }
        watched.incoming.pause_behind(None);
        assert!(!watched.read());
        assert_eq!(watched.given, all, "in pieces of {piece}");
    }
}

#[test]
fn what_comes_in_place_of_an_answer_is_not_held_back() {
    let all = [start(), open_ok(), connection_close()].concat();
    let mut watched = Watched::pausing_behind(OPEN_OK, &all, &[usize::MAX]);
    assert!(watched.read());
    assert_eq!(watched.given, [start(), open_ok()].concat());
    watched.incoming.take_events();
    watched.incoming.pause_behind(Some(CHANNEL_OPEN_OK));
    assert!(!watched.read());
    assert_eq!(watched.given, all);
    let close = ServerEvent::Close {
        code: 541,
        text: "INTERNAL_ERROR".to_owned(),
        class: 50,
    };
    assert_eq!(watched.incoming.take_events(), [close]);
}

#[test]
fn what_is_held_back_is_no_event_yet() {
    let all = [start(), open_ok(), connection_close()].concat();
    let mut watched = Watched::pausing_behind(OPEN_OK, &all, &[usize::MAX]);
    assert!(watched.read());
    assert_eq!(
        watched.incoming.take_events().len(),
        1,
        "of connection.start"
    );
    watched.incoming.pause_behind(None);
    assert_eq!(
        watched.incoming.take_events().len(),
        1,
        "of connection.close"
    );
}

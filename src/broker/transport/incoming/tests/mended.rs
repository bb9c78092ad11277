//! What is changed so that amiquip can read it.

use amq_protocol::protocol::queue;

use super::*;

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

//! Whatever a server sends.

use amq_protocol::protocol::{channel, queue};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

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

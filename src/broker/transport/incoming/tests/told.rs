//! What is told of a server's bytes: events, and what ends the connection.

use super::*;

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

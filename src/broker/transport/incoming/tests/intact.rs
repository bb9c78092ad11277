//! What passes as it is.

use amq_protocol::frame::AMQPFrame;

use super::*;

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
fn frames_of_amq_protocol_are_what_this_test_takes_them_for() {
    let (_, parsed) = parse_frame(&heartbeat()).unwrap();
    assert!(matches!(parsed, AMQPFrame::Heartbeat(0)));
}

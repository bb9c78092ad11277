//! What the server sends, checked: what passes does not depend on how the network cuts it, amiquip's parser takes it, and it is
//! what the server sent.

use amq_protocol::frame::parse_frame;
use amqp_tools::broker::Incoming;
use amqp_tools::broker::frame::{self, MethodId};

use super::pieces::Pieces;

pub fn check(bytes: &[u8]) {
    let (whole, is_violated) = through(bytes, usize::MAX, 1 << 14);
    let (in_pieces, is_violated_in_pieces) = through(bytes, 7, 5);
    // Another protocol is known by its first byte, so the pieces matter to what is said, but not to what passes.
    assert_eq!(is_violated, is_violated_in_pieces);
    assert!(whole == in_pieces);
    assert!(is_what_was_sent(&whole, bytes));
    assert_parses(&whole);
}

/// Whether all that passed was sent, in that order, with nothing but channel.flow left out on the way. What was sent is read frame
/// by frame: the payload of another frame can look like channel.flow.
fn is_what_was_sent(mut passed: &[u8], mut sent: &[u8]) -> bool {
    while !passed.is_empty() {
        // The last frame may have come in part.
        let frame = frame::first(sent).unwrap_or(sent);
        sent = &sent[frame.len()..];
        if MethodId::of_frame(frame) == Some(MethodId::CHANNEL_FLOW) {
            continue;
        }
        let (start, rest) = passed.split_at(frame.len().min(passed.len()));
        let is_same = |(&passed, &sent): (&u8, &u8)| passed == sent || is_mended(passed, sent);
        if start.is_empty() || !start.iter().zip(frame).all(is_same) {
            return false;
        }
        passed = rest;
    }
    true
}

/// A byte of a name that is not UTF-8, or the type of a value that amiquip is to take for mere bytes: a string that is
/// not UTF-8, or a table or array that lies too deep, or a heartbeat that is not proposed. Nothing else is changed or added.
fn is_mended(passed: u8, sent: u8) -> bool {
    match passed {
        b'?' => !sent.is_ascii(),
        b'x' => b"SFA".contains(&sent),
        0xFF => sent == 0,
        _ => false,
    }
}

/// What passes of bytes that arrive in pieces and are read `out` at a time, and whether the rest was refused.
fn through(bytes: &[u8], piece: usize, out: usize) -> (Vec<u8>, bool) {
    let mut incoming = Incoming::default();
    let mut source = Pieces {
        bytes,
        length: piece,
    };
    let mut out = vec![0; out];
    let mut passed = Vec::new();
    loop {
        match incoming.read(&mut source, &mut out) {
            Ok(0) => return (passed, false),
            Ok(length) => passed.extend_from_slice(&out[..length]),
            Err(_) => return (passed, true),
        }
    }
}

fn assert_parses(mut bytes: &[u8]) {
    while let Some(frame) = frame::first(bytes) {
        let (rest, _) = parse_frame(frame).unwrap();
        assert!(rest.is_empty());
        bytes = &bytes[frame.len()..];
    }
}

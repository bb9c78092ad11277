//! What waits until it may come.

use amq_protocol::protocol::channel;

use super::*;

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

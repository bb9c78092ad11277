//! Servers that speak no TLS where it is expected, or break it off, and servers behind TLS that are no brokers.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use super::certificates::{Authority, Validity};
use super::front::Front;
use crate::lying_servers::{answering, verdict_on};
use crate::wire::{Server, start};

/// What is said of a server that is spoken to in TLS.
#[track_caller]
fn verdict(address: SocketAddr) -> String {
    verdict_on(address, &format!("amqps://{address} --insecure"))
}

/// What is said of a server that stands behind a TLS connection in good order.
#[track_caller]
fn verdict_behind_tls(server: &Server) -> String {
    let authority = Authority::new("amqp-tools test authority");
    let issued = authority.server(&["127.0.0.1"], Validity::Now);
    let front = Front::with(&issued, &server.address().to_string());
    verdict((Ipv4Addr::LOCALHOST, front.port()).into())
}

#[test]
fn servers_that_speak_no_tls_are_named() {
    for (answer, said) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "not an AMQP server: it answered 'HTTP/1.1 400 Bad Request'",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            "not an AMQP server: it answered 'SSH-2.0-OpenSSH_9.2p1'",
        ),
        (
            b"AMQP\0\0\x09\x01",
            "the server there speaks AMQP without TLS: use amqp://, without --ssl",
        ),
        (
            b"\x01\x00\x00\xff\xff\xff\xff\x00\x0a\x00\x0a",
            "not an AMQP server: it answered with the bytes 01 00 00 ff ff ff ff 00",
        ),
    ] {
        assert_eq!(verdict(answering(answer).address()), said);
    }
}

#[test]
fn tls_that_goes_wrong_is_an_error() {
    for (answer, said) in [
        (
            &b"\x16\x03\x03\xff\xff\x02\x00\x00"[..], // a record of 65535 bytes
            "TLS failed: ",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x28", // the alert handshake_failure
            "the server refused the TLS handshake (HandshakeFailure)",
        ),
    ] {
        let verdict = verdict(answering(answer).address());
        assert!(verdict.starts_with(said), "{verdict}");
    }
}

#[test]
fn an_endless_answer_is_not_listened_to() {
    let no_tls = "not an AMQP server: it answered ";
    let (hello, warning, change) = (
        b"\x16\x03\x03\x00\x04\x04\x00\x00\x00",
        b"\x15\x03\x03\x00\x02\x01\x5a",
        b"\x14\x03\x03\x00\x01\x01",
    );
    for (piece, said) in [
        (&b"x"[..], no_tls),
        (b"\0", no_tls),
        (change, no_tls),
        (hello, "TLS failed: "),
        (warning, "TLS failed: "),
    ] {
        let server = Server::start(move |client| {
            let much = piece.repeat(4096);
            loop {
                client.write_all(&much)?;
            }
        });
        let verdict = verdict(server.address());
        assert!(verdict.starts_with(said), "{verdict}");
    }
}

#[test]
fn a_server_that_says_nothing_or_stops_in_the_middle_is_given_up_on() {
    let middle_of_a_record = b"\x16\x03\x03\x00\x50\x02\x00\x00\x4c";
    for answer in [&b""[..], &middle_of_a_record[..1], middle_of_a_record] {
        assert_eq!(verdict(answering(answer).address()), "no answer within 2s");
    }
}

#[test]
fn a_server_that_dribbles_gets_no_more_time() {
    let server = Server::start(|client| {
        client.write_all(b"\x16\x03\x03\x40\x00")?;
        loop {
            client.write_all(b"\x02")?;
            thread::sleep(Duration::from_millis(100)); // this is how slow it is, nobody waits for anything
        }
    });
    assert_eq!(verdict(server.address()), "no answer within 2s");
}

#[test]
fn behind_tls_nobody_is_believed_more() {
    for (answer, said) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "not an AMQP server: it answered 'HTTP/1.1 400 Bad Request'",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            "not an AMQP server: it answered 'SSH-2.0-OpenSSH_9.2p1'",
        ),
        (
            b"\x01\x00\x00\xff\xff\xff\xff\x00\x0a\x00\x0a",
            "not an AMQP server: it answered with the bytes 01 00 00 ff ff ff ff 00",
        ),
        (b"", "no answer within 2s"),
        (&start()[..20], "no answer within 2s"),
    ] {
        assert_eq!(verdict_behind_tls(&answering(answer.to_vec().leak())), said);
    }
    let endless = Server::start(|client| {
        loop {
            client.write_all(&[1; 4096])?;
        }
    });
    let said = verdict_behind_tls(&endless);
    assert!(
        said.starts_with("not an AMQP server: it answered "),
        "{said}"
    );
    let hangs_up = Server::start(|_| Ok(()));
    assert_eq!(
        verdict_behind_tls(&hangs_up),
        "the server closed the connection"
    );
}

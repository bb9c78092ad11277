//! Servers that are no AMQP brokers, or are broken or hostile ones: an error that says what was met, in time and in
//! little memory, and never success.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use amq_protocol::protocol::basic::{self, AMQPProperties};
use amq_protocol::protocol::{AMQPClass, connection, queue};

use crate::support::Test;
use crate::wire::{
    PROTOCOL_HEADER, Server, body, header, method, read_frame, serve_login, start, tune,
};

/// In KiB: what a tool may reserve for its data, its threads' stacks included.
const MEMORY: u32 = 32 * 1024;

/// What `--connect-timeout 2s` promises, on a machine that is busy too.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// What a tool says of a server, behind the server's address. It must exit with 1, print nothing else and reserve
/// little memory, all of it soon.
#[track_caller]
fn verdict(server: &Server) -> String {
    verdict_on(server.address(), &format!("amqp://{}", server.address()))
}

/// [`verdict`] for whoever answers at an address that has this URL. One more line, a warning, is let pass.
#[track_caller]
pub(crate) fn verdict_on(address: SocketAddr, url_and_flags: &str) -> String {
    let test = Test::new();
    let ended = test
        .shell(&format!(
            "ulimit -d {MEMORY} && exec amqp-get -q queue --connect-timeout 2s -u {url_and_flags}"
        ))
        .any_stderr()
        .within(SOON)
        .exits(1);
    let said = ended.stderr_text();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.retain(|line| !line.starts_with("warning: "));
    let [said] = lines[..] else {
        panic!("not one line: {said}");
    };
    said.strip_prefix(&format!("opening socket to {address}: "))
        .unwrap_or(said)
        .to_owned()
}

/// Does nothing more, but keeps the connection open until the client goes.
pub(crate) fn wait_for_the_end(client: &mut TcpStream) -> io::Result<()> {
    io::copy(client, &mut io::sink()).map(drop)
}

pub(crate) fn answering(answer: &'static [u8]) -> Server {
    Server::start(move |client| {
        client.write_all(answer)?;
        wait_for_the_end(client)
    })
}

/// A server that lets the client log in, and answers its first request with these frames.
fn answering_a_request(frames: Vec<u8>) -> Server {
    Server::start(move |client| {
        serve_login(client)?;
        client.write_all(&frames)?;
        wait_for_the_end(client)
    })
}

fn get_ok() -> Vec<u8> {
    let get_ok = basic::AMQPMethod::GetOk(basic::GetOk {
        delivery_tag: 1,
        redelivered: false,
        exchange: String::new(),
        routing_key: "queue".to_owned(),
        message_count: 0,
    });
    method(1, &AMQPClass::Basic(get_ok))
}

#[test]
fn servers_of_other_protocols_are_named() {
    for (answer, said) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n<html>"[..],
            "not an AMQP server: it answered 'HTTP/1.1 400 Bad Request'",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            "not an AMQP server: it answered 'SSH-2.0-OpenSSH_9.2p1'",
        ),
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            "the server there speaks TLS: use amqps:// or --ssl",
        ),
        (
            b"AMQP\x03\x01\x00\x00",
            "the server there speaks another version of AMQP: 1.0.0, not 0.9.1",
        ),
        (
            b"\x00\x1b[2J\xff\xfe\xfd",
            "not an AMQP server: it answered with the bytes 00 1b 5b 32 4a ff fe fd",
        ),
    ] {
        assert_eq!(verdict(&answering(answer)), said);
    }
}

#[test]
fn a_frame_of_four_gigabytes_is_not_waited_for() {
    let said = "not an AMQP server: it answered with the bytes 01 00 00 ff ff ff ff 00";
    assert_eq!(
        verdict(&answering(b"\x01\x00\x00\xff\xff\xff\xff\x00\x0a\x00\x0a")),
        said
    );
}

#[test]
fn an_endless_answer_is_not_listened_to() {
    for piece in [&[b'x'; 4096][..], &[0; 4096], &[1; 4096]] {
        let server = Server::start(move |client| {
            loop {
                client.write_all(piece)?;
            }
        });
        let said = verdict(&server);
        assert!(
            said.starts_with("not an AMQP server: it answered "),
            "{said}"
        );
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up_on() {
    let stops_in_the_middle = &start()[..20];
    let silences: [Server; 4] = [
        answering(b""),
        answering(stops_in_the_middle.to_vec().leak()),
        Server::start(|client| {
            client.write_all(&start())?;
            wait_for_the_end(client)
        }),
        Server::start(|client| {
            client.write_all(&[start(), tune()].concat())?;
            wait_for_the_end(client)
        }),
    ];
    for server in silences {
        assert_eq!(verdict(&server), "no answer within 2s");
    }
}

#[test]
fn a_server_that_dribbles_gets_no_more_time() {
    let server = Server::start(|client| {
        for byte in start().chunks(1) {
            client.write_all(byte)?;
            thread::sleep(Duration::from_millis(100)); // this is how slow it is, nobody waits for anything
        }
        wait_for_the_end(client)
    });
    assert_eq!(verdict(&server), "no answer within 2s");
}

#[test]
fn a_server_that_hangs_up_is_told_from_a_refusal() {
    assert_eq!(
        verdict(&Server::start(
            |client| client.read_exact(&mut [0; PROTOCOL_HEADER.len()])
        )),
        "the server closed the connection"
    );
    let during_login = Server::start(|client| {
        client.read_exact(&mut [0; PROTOCOL_HEADER.len()])?;
        client.write_all(&start())?;
        read_frame(client).map(drop)
    });
    assert_eq!(
        verdict(&during_login),
        "the broker closed the connection during the login, without a reason"
    );
}

#[test]
fn a_login_that_makes_no_sense_is_not_taken_for_a_wrong_password() {
    let server = Server::start(|client| {
        client.write_all(&[start(), start()].concat())?;
        wait_for_the_end(client)
    });
    assert_eq!(
        verdict(&server),
        "the server sent what is not AMQP 0-9-1, or out of turn"
    );
}

#[test]
fn sizes_are_not_believed() {
    let server =
        answering_a_request([get_ok(), header(u64::MAX, &AMQPProperties::default())].concat());
    assert_eq!(
        verdict(&server),
        "basic.get: connection lost: the server sent a content header as it must not be, which is not AMQP 0-9-1"
    );
    let server = answering_a_request(b"\x01\x00\x01\xff\xff\xff\xff".to_vec());
    assert_eq!(
        verdict(&server),
        "basic.get: connection lost: the server sent a frame of type 1 with 4294967295 bytes, which is not AMQP 0-9-1"
    );
}

#[test]
fn frames_out_of_turn_are_no_answers() {
    let none = AMQPProperties::default();
    let declared = queue::AMQPMethod::DeclareOk(queue::DeclareOk {
        queue: "queue".to_owned(),
        message_count: 1,
        consumer_count: 0,
    });
    let delivered = basic::AMQPMethod::Deliver(basic::Deliver {
        consumer_tag: "nobody's".to_owned(),
        delivery_tag: 1,
        redelivered: false,
        exchange: String::new(),
        routing_key: String::new(),
    });
    let elsewhere = method(9, &AMQPClass::Queue(declared.clone()));
    for frames in [
        [get_ok(), header(3, &none), body(b"more than three")].concat(),
        [get_ok(), get_ok()].concat(),
        [get_ok(), body(b"no header")].concat(),
        [method(1, &AMQPClass::Basic(delivered)), header(0, &none)].concat(),
        header(0, &none),
        elsewhere,
    ] {
        assert_eq!(
            verdict(&answering_a_request(frames)),
            "basic.get: connection lost: the server sent what is not AMQP 0-9-1, or out of turn"
        );
    }
    let another_answer = Server::start(move |client| {
        serve_login(client)?;
        client.write_all(&method(1, &AMQPClass::Queue(declared.clone())))?;
        read_frame(client).map(drop) // the client has had enough
    });
    let said = verdict(&another_answer);
    assert!(
        said.starts_with("basic.get: connection lost: the "),
        "{said}"
    );
}

#[test]
fn a_close_is_passed_on_in_the_servers_words() {
    let close = connection::AMQPMethod::Close(connection::Close {
        reply_code: 320,
        reply_text: "CONNECTION_FORCED - for today".to_owned(),
        class_id: 0,
        method_id: 0,
    });
    let server = answering_a_request(method(0, &AMQPClass::Connection(close)));
    assert_eq!(
        verdict(&server),
        "basic.get: server connection error 320, message: CONNECTION_FORCED - for today"
    );
}

#[test]
fn a_flood_of_frames_is_no_sign_of_life() {
    let server = Server::start(|client| {
        serve_login(client)?;
        let heartbeats = b"\x08\x00\x00\x00\x00\x00\x00\xce".repeat(4096);
        loop {
            client.write_all(&heartbeats)?;
        }
    });
    Test::new()
        .shell(&format!(
            "ulimit -d {MEMORY} && exec amqp-get -q queue -u amqp://{}",
            server.address()
        ))
        .stderr_line(
            "basic.get: connection lost: the server sent one frame after the other without end",
        )
        .exits(1);
}

/// Heartbeats are what bounds every wait behind the login: here, two intervals of one second.
#[test]
fn a_server_that_falls_silent_after_the_login_is_given_up_on() {
    let server = Server::start(|client| {
        serve_login(client)?;
        wait_for_the_end(client)
    });
    let test = Test::new();
    let waiting = [
        ("amqp-declare-queue -q queue", "queue.declare"),
        ("amqp-declare-queue -q queue --passive", "queue.declare"),
        ("amqp-delete-queue -q queue", "queue.delete"),
        ("amqp-delete-queue -q queue --purge", "queue.purge"),
        ("amqp-publish -r queue -b a", "basic.publish"),
        ("amqp-publish -r queue -b a --no-confirm", "basic.publish"),
        ("amqp-get -q queue", "basic.get"),
        ("amqp-consume -q queue cat", "basic.qos"),
    ]
    .map(|(line, method)| {
        test.run(line)
            .env(
                "AMQP_URL",
                &format!("amqp://{}?heartbeat=1", server.address()),
            )
            .stderr_line(&format!(
                "{method}: connection lost: no sign of life from the broker for "
            ))
            .spawn()
    });
    for tool in waiting {
        tool.exits(1);
    }
}

#[test]
fn a_server_that_stops_reading_is_given_up_on() {
    let server = Server::start(|client| {
        serve_login(client)?;
        loop {
            thread::park(); // and keeps the connection
        }
    });
    Test::new()
        .run("amqp-publish -r queue")
        .env(
            "AMQP_URL",
            &format!("amqp://{}?heartbeat=1", server.address()),
        )
        .stdin(vec![0; 20 << 20])
        .stderr_contains("basic.publish: connection lost: no sign of life from the broker for ")
        .exits(1);
}

/// The body that is announced is as large as RabbitMQ can be configured to carry, so it may well come.
#[test]
fn memory_is_reserved_for_a_large_body_but_not_used() {
    let server = Server::start(|client| {
        client.read_exact(&mut [0; PROTOCOL_HEADER.len()])?;
        client.write_all(&start())?;
        read_frame(client)?;
        let tune = connection::AMQPMethod::Tune(connection::Tune {
            channel_max: 0,
            frame_max: 0,
            heartbeat: 1,
        });
        client.write_all(&method(0, &AMQPClass::Connection(tune)))?;
        crate::wire::serve_open(client)?;
        let announced = header(500 * 1024 * 1024, &AMQPProperties::default());
        client.write_all(&[get_ok(), announced].concat())?;
        wait_for_the_end(client)
    });
    let test = Test::new();
    let mut running = test
        .run(&format!("amqp-get -q queue -u amqp://{}", server.address()))
        .stderr_line("basic.get: connection lost: no sign of life from the broker for")
        .spawn();
    let mut most = 0;
    while !running.has_ended() {
        most = most.max(resident_kib(running.id()).unwrap_or(0));
    }
    running.exits(1);
    assert!((1..u64::from(MEMORY)).contains(&most), "{most} KiB");
}

/// How much memory a process has used at most, while it runs.
fn resident_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn an_end_that_is_not_answered_is_not_waited_for() {
    let server = Server::start(|client| {
        serve_login(client)?;
        let declared = queue::AMQPMethod::DeclareOk(queue::DeclareOk {
            queue: "queue".to_owned(),
            message_count: 0,
            consumer_count: 0,
        });
        client.write_all(&method(1, &AMQPClass::Queue(declared)))?;
        wait_for_the_end(client)
    });
    Test::new()
        .run(&format!(
            "amqp-declare-queue -q queue -u amqp://{}",
            server.address()
        ))
        .stdout("queue\n")
        .stderr("closing connection: connection lost: no answer within 5s\n")
        .exits(1);
}

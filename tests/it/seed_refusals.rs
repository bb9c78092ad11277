//! amqp-publish and brokers that refuse messages at bad moments, or say nothing: each is played here, frame by frame.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::basic::{AMQPMethod, AMQPProperties, Ack, Nack, Return};
use amq_protocol::protocol::queue::AMQPMethod as QueueMethod;
use amq_protocol::protocol::{AMQPClass, channel, connection};

use crate::lying_servers::wait_for_the_end;
use crate::support::{Running, Signal, Test};
use crate::wire::{Server, body, header, method, read_frame, serve_login};

/// Longer than the 30 s after which a broker that confirms nothing is no longer trusted.
const LONGER_THAN_SILENCE: Duration = Duration::from_secs(50);

fn basic(answer: AMQPMethod) -> Vec<u8> {
    method(1, &AMQPClass::Basic(answer))
}

fn ack(delivery_tag: u64) -> Vec<u8> {
    basic(AMQPMethod::Ack(Ack {
        delivery_tag,
        multiple: false,
    }))
}

fn nack(delivery_tag: u64) -> Vec<u8> {
    basic(AMQPMethod::Nack(Nack {
        delivery_tag,
        multiple: false,
        requeue: false,
    }))
}

/// A message to the default exchange that comes back.
fn returned(routing_key: &str, text: &[u8]) -> Vec<u8> {
    let answer = AMQPMethod::Return(Return {
        reply_code: 312,
        reply_text: "NO_ROUTE".to_owned(),
        exchange: String::new(),
        routing_key: routing_key.to_owned(),
    });
    let properties = AMQPProperties::default().with_delivery_mode(1);
    [
        basic(answer),
        header(text.len() as u64, &properties),
        body(text),
    ]
    .concat()
}

/// Reads so many messages.
fn read_messages(client: &mut TcpStream, count: u32) -> io::Result<()> {
    let mut read = 0;
    while read < count {
        if let AMQPFrame::Body(..) = read_frame(client)? {
            read += 1;
        }
    }
    Ok(())
}

/// Waits until the client sends nothing more because nothing is read.
fn wait_until_nothing_more_fits(client: &TcpStream) -> io::Result<()> {
    let mut seen = vec![0; 16 << 20];
    let mut before = 0;
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = client.peek(&mut seen)?;
        if now == before {
            return Ok(());
        }
        before = now;
    }
}

/// Answers the close of a connection.
fn serve_close(client: &mut TcpStream) -> io::Result<()> {
    loop {
        if let AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Close(_))) =
            read_frame(client)?
        {
            let close_ok = connection::AMQPMethod::CloseOk(connection::CloseOk {});
            return client.write_all(&method(0, &AMQPClass::Connection(close_ok)));
        }
    }
}

/// A server that says this while it reads nothing, and then hangs up. It counts its connections.
fn saying_and_hanging_up(answer: Vec<u8>) -> (Server, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let server = Server::start(move |client| {
        counted.fetch_add(1, Ordering::SeqCst);
        serve_login(client)?;
        read_messages(client, 1)?;
        wait_until_nothing_more_fits(client)?;
        client.write_all(&answer)
    });
    (server, connections)
}

#[test]
fn a_refusal_that_comes_with_a_break_is_not_forgotten() {
    let first = [b'x'; 9999].as_slice();
    let first = [first, b"\n"].concat();
    for (answer, said) in [
        (nack(1), "basic.publish: the broker rejected a message"),
        (
            [returned("q", &first), ack(1)].concat(),
            "basic.publish: no queue 'q'\n",
        ),
    ] {
        let (server, connections) = saying_and_hanging_up(answer);
        let test = Test::new();
        test.file("lines", first.repeat(4000));
        test.run("amqp-publish -r q -l lines --retry 1m --max-in-flight 100000")
            .args(["--url", &format!("amqp://{}", server.address())])
            .stderr_contains(said)
            .stderr_contains("\n0 messages confirmed; the first unconfirmed is lines:1\n")
            .within(Duration::from_secs(60))
            .exits(1);
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_message_may_come_back_after_its_negative_confirmation() {
    let server = Server::start(|client| {
        serve_login(client)?;
        read_messages(client, 3)?;
        client.write_all(&nack(2))?;
        client.write_all(&returned("nowhere", b"2"))?;
        client.write_all(&[ack(1), ack(3)].concat())?;
        serve_close(client)
    });
    let test = Test::new();
    let lines: String = [("q", 1), ("nowhere", 2), ("q", 3)]
        .map(|(key, number)| format!("{{\"body\":\"{number}\",\"routing_key\":\"{key}\"}}\n"))
        .concat();
    test.run("amqp-publish --jsonl -p --json")
        .args(["--url", &format!("amqp://{}", server.address())])
        .stdin(lines.replace("\"body\"", "\"delivery_mode\":1,\"body\""))
        .stdout_contains("\"confirmed\":2,\"returned\":1,\"rejected\":0,")
        .stderr(
            "basic.publish: no queue 'nowhere'\n2 messages confirmed; the first unconfirmed is -:2\n",
        )
        .exits(1);
}

#[test]
fn without_confirms_a_return_ends_the_run_while_there_is_more_to_send() {
    let test = Test::new();
    let mut publish = test
        .run("amqp-publish -r {queue} -l --no-confirm")
        .stdin_stays_open()
        .stderr_contains("basic.publish: no queue '{queue}'\n")
        .stderr_contains("1 message sent, whether they arrived is not known\n")
        .spawn();
    publish.write("a\n");
    publish.has_complained("no queue");
    publish.exits(1);
}

#[test]
fn a_broker_that_confirms_nothing_is_asked_for_the_queue() {
    let connections = AtomicUsize::new(0);
    let server = Server::start(move |client| {
        if connections.fetch_add(1, Ordering::SeqCst) == 0 {
            serve_login(client)?;
            return wait_for_the_end(client);
        }
        let AMQPFrame::Method(1, AMQPClass::Queue(QueueMethod::Declare(declare))) =
            serve_login(client)?
        else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        assert!(declare.passive && declare.queue == "q");
        let close = channel::AMQPMethod::Close(channel::Close {
            reply_code: 404,
            reply_text: "NOT_FOUND - no queue 'q' in vhost '/'".to_owned(),
            class_id: 50,
            method_id: 10,
        });
        client.write_all(&method(1, &AMQPClass::Channel(close)))?;
        read_frame(client)?; // channel.close-ok
        serve_close(client)
    });
    let test = Test::new();
    test.run("amqp-publish -r q -b x")
        .args(["--url", &format!("amqp://{}", server.address())])
        .stderr_contains("the broker has confirmed nothing for 30s")
        .stderr_contains("\nbasic.publish: no queue 'q'\n")
        .within(LONGER_THAN_SILENCE)
        .exits(1);
}

/// A shell script that runs the tool with this redirection of a pipe that is full, and that nobody reads.
fn with_a_full_pipe<'t>(test: &'t Test, line: &str) -> Running<'t> {
    test.shell(&format!(
        "mkfifo full && exec 3<>full && head -c 65536 /dev/zero >&3 && exec {line}"
    ))
    .within(Duration::from_secs(60))
    .spawn()
}

#[test]
fn a_signal_ends_it_while_nobody_reads_its_report() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let publish = with_a_full_pipe(&test, "amqp-publish -r {queue} -b x --json >&3");
    queue.holds(1);
    publish.signal(Signal::TERM);
    publish.exits(143);
}

#[test]
fn it_ends_though_nobody_reads_its_error() {
    let test = Test::new();
    let server = Server::start(move |client| {
        serve_login(client)?;
        read_messages(client, 1)?;
        client.write_all(&nack(1))?;
        serve_close(client)
    });
    let url = format!("amqp://{}", server.address());
    with_a_full_pipe(&test, &format!("amqp-publish -u {url} -r q -b x 2>&3")).exits(1);
}

#[test]
fn hangups_and_quits_end_it_in_order() {
    for (signal, status) in [(Signal::HUP, 129), (Signal::QUIT, 131)] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        let mut publish = test
            .run("amqp-publish -r {queue} -l")
            .stdin_stays_open()
            .stderr("interrupted; 1 message confirmed\n")
            .spawn();
        publish.write("a\n");
        queue.holds(1);
        publish.signal(signal);
        publish.has_complained("interrupted");
        publish.exits(status);
    }
}

#[test]
fn a_hangup_that_was_ignored_stays_so() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let mut publish = test
        .shell("trap '' HUP; exec amqp-publish -r {queue} -l")
        .stdin_stays_open()
        .spawn();
    publish.write("a\n");
    queue.holds(1);
    publish.signal(Signal::HUP);
    publish.write("b\n");
    queue.holds(2);
    publish.close_stdin();
    publish.succeeds();
}

//! How often a tool waits for the broker, and what becomes of the method that is sent before its time to save a wait.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU16;
use std::time::Duration;

use amiquip::{Connection, QueueDeclareOptions};
use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, channel, connection, queue};
use amqp_tools::broker::{
    Authentication, ConnectOptions, Credentials, Endpoint, Session, SubscribeOptions, Transport,
};

use crate::lying_servers::wait_for_the_end;
use crate::support::{Proxy, Test};
use crate::wire::{PROTOCOL_HEADER, Server, method, read_frame, start, tune};

/// connection.start, connection.tune, connection.open and connection.close.
const CONNECTION: usize = 4;

/// channel.open costs none, nor does the first call on it where it is sent together with that. confirm.select and
/// basic.ack have no answer.
#[test]
fn nothing_is_waited_for_but_what_the_work_needs() {
    let test = Test::new();
    for (line, round_trips) in [
        ("amqp-declare-queue -q {queue} -d", CONNECTION),
        ("amqp-declare-queue -d {queue} {other}", CONNECTION + 1),
        ("amqp-declare-queue --passive {queue}", CONNECTION + 1),
        ("amqp-publish -r {queue} -b a", CONNECTION + 1),
        ("amqp-publish -r {queue} -b a --no-confirm", CONNECTION + 1),
        ("amqp-get -q {queue}", CONNECTION + 1),
        // basic.consume and basic.cancel.
        ("amqp-consume -q {queue} -c 1 true", CONNECTION + 2),
        ("amqp-delete-queue {queue}", CONNECTION + 1),
        ("amqp-declare-exchange {exchange}", CONNECTION + 1),
        // queue.bind; an exchange is not asked for its type where there is a key.
        (
            "amqp-declare-queue -d {queue} --bind {exchange}:key",
            CONNECTION + 1,
        ),
        ("amqp-delete-exchange {exchange}", CONNECTION + 1),
    ] {
        let proxy = Proxy::before(&test);
        test.run(line)
            .env("AMQP_URL", &proxy.url())
            .any_stdout()
            .succeeds();
        assert_eq!(proxy.round_trips(), round_trips, "{line}");
    }
}

/// Sent together with channel.open it could make a queue on each node that is tried.
#[test]
fn a_queue_that_the_broker_names_is_not_declared_before_there_is_a_connection() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let declared = test
        .run("amqp-declare-queue -d -q ''")
        .env("AMQP_URL", &proxy.url())
        .any_stdout()
        .succeeds();
    assert!(test.adopt(declared.stdout_text().trim_end()).exists());
    assert_eq!(proxy.round_trips(), CONNECTION + 1);
}

#[test]
fn a_prefetch_that_is_set_early_holds() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b", "c"]);
    let proxy = Proxy::before(&test);
    let session =
        Session::open_with_prefetch(&through(&proxy), NonZeroU16::new(2).unwrap()).unwrap();
    assert_eq!(proxy.round_trips(), CONNECTION - 1);
    let _subscription = session
        .subscribe(queue.name(), &SubscribeOptions::default())
        .unwrap();
    queue.holds(1);
}

fn through(proxy: &Proxy) -> ConnectOptions {
    let address = proxy.address();
    let (host, port) = address.rsplit_once(':').unwrap();
    let endpoint = Endpoint {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        vhost: "/".to_owned(),
        transport: Transport::Tcp,
        authentication: Authentication::Plain(Credentials::default()),
        heartbeat: 60,
        connect_timeout: Duration::from_secs(10),
        connection_name: String::new(),
        channel_max: 0,
        frame_max: 0,
    };
    ConnectOptions::new(endpoint, Vec::new())
}

#[test]
fn a_refused_declaration_is_told_as_such_also_if_more_were_to_follow() {
    let test = Test::new();
    let mut owner = Connection::insecure_open(test.url()).unwrap();
    let channel = owner.open_channel(None).unwrap();
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(test.name("locked"), exclusive)
        .unwrap();
    test.run("amqp-declare-queue -d {locked} {unmade}")
        .stderr_refusal(
            "queue.declare: server ",
            "channel error 405, message: RESOURCE_LOCKED - ",
        )
        .exits(1);
    assert!(!test.queue("unmade").exists());
    // The queue is there until now. Whether the broker answers the close before it closes the socket is not for this test.
    drop(owner);
}

#[test]
fn a_name_that_the_broker_reserves_is_refused_as_such() {
    let test = Test::new();
    test.run("amqp-declare-queue -d amq.reserved {unmade}")
        .stderr_line("queue.declare: server channel error 403, message: ACCESS_REFUSED - ")
        .exits(1);
    assert!(!test.queue("unmade").exists());
}

/// A server that lets the client log in, and answers what it then sends with `answers`, which end the connection.
fn refusing_with(answers: Vec<u8>) -> Server {
    Server::start(move |client| {
        client.read_exact(&mut [0; PROTOCOL_HEADER.len()])?;
        client.write_all(&start())?;
        read_frame(client)?; // connection.start-ok
        client.write_all(&tune())?;
        await_declaration(client)?;
        client.write_all(&answers)?;
        wait_for_the_end(client)
    })
}

fn await_declaration(client: &mut TcpStream) -> io::Result<()> {
    while !matches!(
        read_frame(client)?,
        AMQPFrame::Method(1, AMQPClass::Queue(queue::AMQPMethod::Declare(_)))
    ) {}
    Ok(())
}

/// Newer brokers close the connection over a queue that is neither durable nor exclusive. Reader and channel are two
/// processes there, so channel.open-ok may be missing. A login that fails with this code is worth a retry; this is not.
#[test]
fn a_connection_closed_over_a_declaration_is_not_taken_for_a_failed_login() {
    let open_ok = connection::AMQPMethod::OpenOk(connection::OpenOk {
        known_hosts: String::new(),
    });
    let open_ok = method(0, &AMQPClass::Connection(open_ok));
    let channel_open_ok = channel::AMQPMethod::OpenOk(channel::OpenOk {
        channel_id: String::new(),
    });
    let channel_open_ok = method(1, &AMQPClass::Channel(channel_open_ok));
    let close = connection::AMQPMethod::Close(connection::Close {
        reply_code: 541,
        reply_text: "INTERNAL_ERROR - no".to_owned(),
        class_id: 50,
        method_id: 10,
    });
    let close = method(0, &AMQPClass::Connection(close));
    for answers in [
        [open_ok.clone(), channel_open_ok, close.clone()].concat(),
        [open_ok, close].concat(),
    ] {
        let server = refusing_with(answers);
        Test::new()
            .run(&format!(
                "amqp-declare-queue -q queue --retry 1h -u amqp://{}",
                server.address()
            ))
            .stderr("queue.declare: server connection error 541, message: INTERNAL_ERROR - no\n")
            .exits(1);
    }
}

//! The connection's name, and what a URL says behind its `?`.

use std::sync::mpsc::{Receiver, channel};

use crate::support::Test;
use crate::wire::Server;
use crate::wire::scripted::{Manner, Scripted};

/// What a client says of its connection: the name, the largest frame, the number of channels.
type Introduction = (Option<String>, u32, u16);

/// A broker that proposes frames of 128 KiB and 2047 channels, and tells how each client introduces itself.
fn broker() -> (Server, Receiver<Introduction>) {
    let (heard, introductions) = channel();
    let server = Server::start(move |client| {
        let mut broker = Scripted::open(client, Manner::Together, 60)?;
        let name = broker.connection_name.take();
        let _ = heard.send((name, broker.frame_max, broker.channel_max));
        broker.answer_to_the_end()
    });
    (server, introductions)
}

#[test]
fn a_connection_has_the_name_that_is_given_or_the_processs() {
    let (server, introductions) = broker();
    let test = Test::on(&format!("amqp://{}", server.address()));
    let name = || introductions.recv().unwrap().0;
    for (flags, given) in [
        ("--connection-name 'the worker'", Some("the worker")),
        ("--connection-name=", None),
    ] {
        test.run(&format!("amqp-declare-queue -q a {flags}"))
            .stdout("a\n")
            .succeeds();
        assert_eq!(name().as_deref(), given);
    }
    let running = test.run("amqp-declare-queue -q a").stdout("a\n").spawn();
    let process = running.id();
    running.succeeds();
    let host = rustix::system::uname();
    let host = host.nodename().to_str().unwrap();
    assert_eq!(
        name().unwrap(),
        format!("amqp-declare-queue@{host}:{process}")
    );
}

#[test]
fn a_name_that_fits_no_frame_is_a_usage_error() {
    let test = Test::on("amqp://localhost:1");
    test.run(&format!(
        "amqp-get -q a --connection-name {}",
        "x".repeat(1025)
    ))
    .stderr_contains("--connection-name is longer than 1024 bytes\n")
    .exits(1);
}

#[test]
fn a_url_limits_frames_and_channels() {
    let (server, introductions) = broker();
    let address = server.address();
    let test = Test::on(&format!("amqp://{address}"));
    for (parameters, frame_max, channel_max) in [
        ("", 131_072, 2047),
        ("?frame_max=8192&channel_max=5", 8192, 5),
        ("?frame_max=0&channel_max=0", 131_072, 2047),
        ("?frame_max=1000000&channel_max=60000", 131_072, 2047),
    ] {
        test.run(&format!(
            "amqp-declare-queue -q a -u 'amqp://{address}{parameters}'"
        ))
        .stdout("a\n")
        .succeeds();
        let (_, frames, channels) = introductions.recv().unwrap();
        assert_eq!((frames, channels), (frame_max, channel_max), "{parameters}");
    }
}

#[test]
fn much_goes_through_small_frames() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let body = "x".repeat(100_000);
    test.run("amqp-publish -r {queue} -u '{url}?frame_max=8192&channel_max=2'")
        .stdin(&body)
        .succeeds();
    test.run("amqp-get -q {queue} -u '{url}?frame_max=8192'")
        .stdout(&body)
        .succeeds();
    queue.holds(0);
}

#[test]
fn a_parameter_that_is_not_known_is_a_warning() {
    let test = Test::new();
    test.run("amqp-declare-queue -d -q {queue} -u '{url}?depth=3&heartbeat=5'")
        .stdout("{queue}\n")
        .stderr("warning: the URL's parameter 'depth' is not known here, and counts for nothing\n")
        .succeeds();
}

//! amqp-publish and what can only be done to a node of one's own: restart it, fill its memory, limit its messages.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use testbroker::{Broker, Options};

use crate::support::{Signal, Test, eventually};

/// 100 MiB, which older releases of RabbitMQ allow by default and newer ones do not.
const LARGEST_MESSAGE: usize = 100 << 20;

/// The node, for one test at a time.
fn node() -> MutexGuard<'static, Broker> {
    static NODE: OnceLock<Mutex<Broker>> = OnceLock::new();
    let start = || {
        let options = Options::new().configure(format!("max_message_size = {LARGEST_MESSAGE}"));
        Mutex::new(Broker::start(&options).unwrap())
    };
    NODE.get_or_init(start)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn with_retry_a_seed_outlives_the_broker() {
    const LINES: u32 = 20_000;
    let mut node = node();
    let test = Test::on(&node.url());
    test.queue("queue").declare();
    node.write_definitions_down().unwrap();
    let lines: String = (1..=LINES)
        .flat_map(|number| [number.to_string(), "\n".to_owned()])
        .collect();
    test.file("lines", &lines);
    let mut publish = test
        .run("amqp-publish -r {queue} -p -l --chomp --retry 3m --json -")
        .within(Duration::from_secs(180))
        .stdin_stays_open()
        .stdout_contains(&format!("{{\"published\":{LINES},\"confirmed\":{LINES},"))
        .stderr_contains("; connecting again\n")
        .spawn();
    let (first, rest) = lines.split_at(lines.len() / 2);
    publish.write(first);
    eventually("some are there", || test.queue("queue").depth() > 0);
    node.kill();
    publish.has_complained("connecting again");
    node.resume().unwrap();
    publish.write(rest);
    publish.close_stdin();
    publish.succeeds();

    let texts = test
        .run("amqp-get -q {queue} -c 1000000 --json")
        .any_stdout()
        .within(Duration::from_secs(120))
        .succeeds()
        .stdout_text();
    let bodies: BTreeSet<&str> = texts
        .lines()
        .filter_map(|line| line.split('"').nth(3))
        .collect();
    assert_eq!(bodies.len(), LINES as usize);
}

#[test]
fn messages_as_large_as_the_broker_takes_are_published_and_larger_ones_named() {
    let node = node();
    let test = Test::on(&node.url());
    test.queue("queue").declare();
    test.file("largest", vec![b'x'; LARGEST_MESSAGE]);
    test.run("amqp-publish -r {queue} largest")
        .within(Duration::from_secs(120))
        .succeeds();
    let message = test.queue("queue").take().unwrap();
    assert!(message.body == vec![b'x'; LARGEST_MESSAGE]);
    test.file("larger", vec![b'x'; LARGEST_MESSAGE + 1]);
    test.file("small", "small");
    test.run("amqp-publish -r {queue} small larger small")
        .within(Duration::from_secs(120))
        .stderr_contains("basic.publish: server channel error 406, message: PRECONDITION_FAILED")
        .stderr_contains("\n1 message confirmed; the first unconfirmed is larger:1\n")
        .exits(1);
}

#[test]
fn a_blocked_connection_is_said_to_be_blocked_and_can_be_interrupted() {
    let node = node();
    let test = Test::on(&node.url());
    test.queue("queue").declare();
    let publish = |progress: &str, standard_error: &str| {
        test.run("amqp-publish -r {queue} -l --progress")
            .arg(progress)
            .stdin_stays_open()
            .within(Duration::from_secs(120))
            .stderr_contains(standard_error)
            .spawn()
    };
    let blocked = "blocked by the broker: low on memory";
    let mut patient = publish("always", blocked);
    let mut without_bar = publish("never", "basic.publish: the broker takes messages again\n");
    let mut interrupted = publish(
        "always",
        "interrupted; 0 messages confirmed; the first unconfirmed is -:1",
    );
    set_memory_limit(&node, "0");
    for publish in [&mut patient, &mut without_bar, &mut interrupted] {
        publish.write("1\n");
        publish.has_complained(blocked);
    }
    interrupted.signal(Signal::INT);
    interrupted.has_complained("interrupted");
    interrupted.exits(130);
    set_memory_limit(&node, "0.4");
    for mut publish in [patient, without_bar] {
        publish.close_stdin();
        publish.succeeds();
    }
    // The broker may have read the interrupted one's message too, when its memory was free again.
    assert!(test.queue("queue").depth() >= 2);
}

fn set_memory_limit(node: &Broker, fraction: &str) {
    node.rabbitmqctl(&["set_vm_memory_high_watermark", fraction])
        .unwrap();
}

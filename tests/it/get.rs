//! amqp-get: what it takes, what it leaves, and that nothing is lost when it cannot write.

use std::io::Write as _;

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::{self, AMQPProperties};

use crate::support::{Proxy, Test};
use crate::wire::{Server, body, header, method, read_frame, serve_login};

#[test]
fn several_messages_are_written_one_after_the_other() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a", "b", "c"]);
    test.run("amqp-get -q {queue} -c 2").stdout("ab").succeeds();
    test.run("amqp-get -q {queue} --count=5")
        .stdout("c")
        .succeeds();
    test.run("amqp-get -q {queue} -c 5").exits(2);
}

#[test]
fn what_is_only_looked_at_stays_in_its_place() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b", "c"]);
    test.run("amqp-get -q {queue} -c 2 --requeue")
        .stdout("ab")
        .succeeds();
    queue.holds(3);
    test.run("amqp-get -q {queue} -c 9 --requeue")
        .stdout("abc")
        .succeeds();
    queue.holds(3);
    assert_eq!(queue.take_texts(), ["a", "b", "c"]);
    test.run("amqp-get -q {queue} --requeue").exits(2);
}

#[test]
fn json_is_an_envelope_a_line() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a\nb", "\u{e9}"]);
    test.run("amqp-get -q {queue} -c 2 --json")
        .stdout(
            "{\"body\":\"a\\nb\",\"exchange\":\"\",\"routing_key\":\"{queue}\",\"redelivered\":false}\n\
             {\"body\":\"\u{e9}\",\"exchange\":\"\",\"routing_key\":\"{queue}\",\"redelivered\":false}\n",
        )
        .succeeds();
}

#[test]
fn what_cannot_be_written_stays_in_the_queue() {
    for line in ["amqp-get -q {queue} -c 2", "amqp-get -q {queue} --json"] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        queue.publish(["a", "b"]);
        test.run(line)
            .stdout_to("/dev/full")
            .stderr_line("it stays in the queue")
            .exits(1);
        test.run(line)
            .stdout_closed()
            .stderr_line("it stays in the queue")
            .exits(1);
        queue.holds(2);
    }
}

#[test]
fn counts_that_are_none_are_refused() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    for count in ["0", "-1", "x", "99999999999999999999"] {
        test.run("amqp-get -q {queue} -c")
            .arg(count)
            .stderr_contains("--count")
            .exits(1);
    }
    test.queue("queue").holds(1);
}

/// A channel passes on no more than 32 acknowledgements that a quorum queue has not answered, and drops the rest when it
/// is closed.
#[test]
fn many_are_acknowledged_on_several_channels() {
    for arguments in ["", "--queue-type quorum"] {
        let test = Test::new();
        test.run(&format!("amqp-declare-queue -d {arguments} {{queue}}"))
            .any_stdout()
            .succeeds();
        let queue = test.queue("queue");
        queue.publish(numbers(100));
        let proxy = Proxy::before(&test);
        test.run("amqp-get -q {queue} -c 1000 --json")
            .env("AMQP_URL", &proxy.url())
            .any_stdout()
            .succeeds();
        queue.holds(0);
        // Four to connect and to close, a get each and one in vain, a channel closed and one opened after each 32.
        assert_eq!(proxy.round_trips(), 4 + 101 + 2 * 3);
    }
}

#[test]
fn many_that_are_looked_at_are_back_in_their_order_when_it_ends() {
    for arguments in [
        "",
        "-a x-dead-letter-exchange=amq.fanout -a x-max-length=5000",
        "--queue-type quorum -a x-dead-letter-exchange=amq.fanout -a x-max-length=5000",
    ] {
        for count in [200, 1100] {
            let test = Test::new();
            test.run(&format!("amqp-declare-queue -d {arguments} {{queue}}"))
                .any_stdout()
                .succeeds();
            let queue = test.queue("queue");
            let bodies: Vec<_> = numbers(count).collect();
            queue.publish(&bodies);
            test.run("amqp-get -q {queue} -c 1000000 --requeue")
                .stdout(&bodies.concat())
                .succeeds();
            assert_eq!(queue.take_texts(), bodies, "{arguments} {count}");
        }
    }
}

fn numbers(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("{number} "))
}

#[test]
fn a_connection_that_is_lost_leaves_word_of_what_was_done() {
    let server = Server::start(|client| {
        serve_login(client)?;
        for tag in 1..=3 {
            client.write_all(&get_ok(tag))?;
            while !matches!(
                read_frame(client)?,
                AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Get(_)))
            ) {}
        }
        Ok(())
    });
    Test::new()
        .run(&format!(
            "amqp-get -q queue -c 5 --retry 1h -u amqp://{}",
            server.address()
        ))
        .stdout("xxx")
        .stderr_line("3 written, 2 acknowledged for certain: basic.get: connection lost: ")
        .exits(1);
}

/// A message with the body `x` as the answer to basic.get.
fn get_ok(delivery_tag: u64) -> Vec<u8> {
    let get_ok = basic::AMQPMethod::GetOk(basic::GetOk {
        delivery_tag,
        redelivered: false,
        exchange: String::new(),
        routing_key: "queue".to_owned(),
        message_count: 9,
    });
    [
        method(1, &AMQPClass::Basic(get_ok)),
        header(1, &AMQPProperties::default()),
        body(b"x"),
    ]
    .concat()
}

/// RabbitMQ 4.0 to 4.2 counts each look at a quorum queue's message as a delivery, and drops the message after 20.
#[test]
fn looks_that_a_quorum_queue_counts_are_warned_of() {
    if std::env::var(testbroker::BROKER_VARIABLE).as_deref() != Ok("rabbitmq-4.0") {
        println!("skipped: only quorum queues of RabbitMQ 4.0 to 4.2 count looks");
        return;
    }
    let test = Test::new();
    test.run("amqp-declare-queue --queue-type quorum -d {queue}")
        .any_stdout()
        .succeeds();
    test.queue("queue").publish(["a"]);
    for _ in 0..10 {
        test.run("amqp-get -q {queue} --requeue")
            .stdout("a")
            .succeeds();
    }
    test.run("amqp-get -q {queue} --requeue")
        .stdout("a")
        .stderr_line("warning: a quorum queue of this RabbitMQ counts each --requeue as a delivery")
        .succeeds();
}

//! amqp-declare-queue and amqp-delete-queue.

use amiquip::{AmqpValue, ExchangeType, FieldTable};

use crate::support::{Kind, Test, eventually, rabbitmqs};

#[test]
fn a_declared_queue_is_there_and_its_name_is_printed() {
    let test = Test::new();
    test.run("amqp-declare-queue -q {queue} -d")
        .stdout("{queue}\n")
        .succeeds();
    assert_eq!(test.queue("queue").kind(), Some(Kind::Durable));
}

#[test]
fn operands_are_names_and_each_is_declared_once() {
    let test = Test::new();
    test.run("amqp-declare-queue -d -q {b} {a} {b} {c} {a}")
        .stdout("{b}\n{a}\n{c}\n")
        .succeeds();
    for name in ["a", "b", "c"] {
        assert_eq!(test.queue(name).kind(), Some(Kind::Durable));
    }
}

#[test]
fn a_queue_named_by_the_broker_can_be_used_by_its_name() {
    let test = Test::new();
    let name = test
        .run("amqp-declare-queue -d -q ''")
        .stdout_contains(rabbitmqs("amq.gen-"))
        .succeeds()
        .stdout_text();
    let queue = test.adopt(name.trim_end());
    test.run("amqp-publish -b a -r")
        .arg(queue.name())
        .succeeds();
    queue.holds(1);
}

#[test]
fn auto_delete_and_arguments_make_the_queue_they_say() {
    let test = Test::new();
    test.run("amqp-declare-queue --auto-delete {queue}")
        .stdout("{queue}\n")
        .succeeds();
    assert_eq!(test.queue("queue").kind(), Some(Kind::AutoDelete));

    let declare = "amqp-declare-queue -d {short} -a x-max-length=1 -a x-overflow=reject-publish";
    test.run(declare).stdout("{short}\n").succeeds();
    test.run(declare).stdout("{short}\n").succeeds();
    test.run("amqp-declare-queue -d {short} -a x-max-length=2 -a x-overflow=reject-publish")
        .stderr_line("inequivalent arg 'x-max-length' for queue '{short}' in vhost '/': received '2' but current is '1'")
        .exits(1);
}

#[test]
fn a_quorum_queue_is_durable_by_itself() {
    let test = Test::new();
    test.run("amqp-declare-queue --queue-type quorum -d {queue}")
        .stdout("{queue}\n")
        .succeeds();
    test.run("amqp-declare-queue -a x-queue-type=quorum -d {queue}")
        .stdout("{queue}\n")
        .succeeds();
    test.run("amqp-publish -p -r {queue} -b a").succeeds();
    test.run("amqp-get -q {queue}").stdout("a").succeeds();
}

#[test]
fn a_bound_queue_gets_what_its_exchange_does() {
    let test = Test::new();
    test.queue("other")
        .declare()
        .bind_to(&ExchangeType::Direct, &test.name("exchange"), "unused");
    test.run("amqp-declare-queue -d {queue} --bind {exchange}:red --bind {exchange}:green")
        .stdout("{queue}\n")
        .succeeds();
    for key in ["red", "blue", "green"] {
        test.run("amqp-publish -e {exchange}")
            .args(["-r", key, "-b", key])
            .succeeds();
    }
    assert_eq!(test.queue("queue").take_texts(), ["red", "green"]);
    test.run("amqp-declare-queue -d {queue} --bind {missing}:key")
        .any_stdout()
        .stderr_refusal(
            "queue.bind: server channel error 404, message: ",
            "NOT_FOUND - no exchange '{missing}'",
        )
        .exits(1);
}

#[test]
fn passive_only_looks() {
    let test = Test::new();
    test.run("amqp-declare-queue --passive {queue}")
        .stderr_line("queue.declare: server channel error 404")
        .exits(1);
    test.queue("queue").declare();
    test.run("amqp-declare-queue --passive {queue}")
        .stdout("{queue}\n")
        .succeeds();
}

#[test]
fn json_tells_how_much_is_in_a_queue_and_how_many_read_it() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    test.run("amqp-declare-queue -d {queue} --json")
        .stdout("{\"queue\":\"{queue}\",\"messages\":2,\"consumers\":0}\n")
        .succeeds();
    let empty = test.queue("empty").declare();
    empty.consume_without_reading();
    test.run("amqp-declare-queue -d {empty} --json")
        .stdout("{\"queue\":\"{empty}\",\"messages\":0,\"consumers\":1}\n")
        .succeeds();
}

#[test]
fn deleting_prints_how_many_messages_were_in_each_queue() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a", "b", "c"]);
    test.queue("other").declare();
    test.run("amqp-delete-queue -q {queue} {other} {missing}")
        .stdout("3\n0\n0\n")
        .succeeds();
    assert!(!test.queue("queue").exists());
    assert!(!test.queue("other").exists());
}

#[test]
fn purging_keeps_the_queue() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    test.run("amqp-delete-queue -q {queue} --purge")
        .stdout("2\n")
        .succeeds();
    queue.holds(0);
}

#[test]
fn conditions_keep_what_is_used_or_full() {
    let test = Test::new();
    let full = test.queue("full").declare();
    full.publish(["a"]);
    test.run("amqp-delete-queue -e {full}")
        .stderr_refusal(
            "queue.delete: server channel error 406, message: ",
            "PRECONDITION_FAILED",
        )
        .exits(1);
    let used = test.queue("used").declare();
    used.consume_without_reading();
    test.run("amqp-delete-queue --if-unused {used}")
        .stderr_refusal(
            "queue.delete: server channel error 406, message: ",
            "PRECONDITION_FAILED",
        )
        .exits(1);
    assert!(full.exists() && used.exists());
}

#[test]
fn deleting_tells_in_json_too() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    test.run("amqp-delete-queue {queue} --json")
        .stdout("{\"queue\":\"{queue}\",\"messages\":1}\n")
        .succeeds();
}

#[test]
fn nothing_is_done_that_could_not_be_told() {
    let test = Test::new();
    test.shell("amqp-declare-queue -d {queue} >&-")
        .stderr("standard output: it is closed\n")
        .exits(1);
    assert!(!test.queue("queue").exists());
    let queue = test.queue("queue").declare();
    for what in ["", "--purge"] {
        queue.publish(["a"]);
        test.shell(&format!("amqp-delete-queue {what} {{queue}} >&-"))
            .stderr("standard output: it is closed\n")
            .exits(1);
    }
    queue.holds(2);
    test.shell("amqp-get --help >&-")
        .stderr_line("standard output: it is closed")
        .exits(1);
}

/// RabbitMQ refuses such a queue from 4.3 on, unless it is told not to.
#[test]
fn where_a_queue_must_be_durable_the_flag_is_named() {
    let test = Test::new();
    for names in ["{queue}", "''"] {
        let declared = test.run(&format!("amqp-declare-queue {names}")).ends();
        let said = declared.stderr_text();
        assert!(
            said.is_empty() || said.ends_with("; this broker takes durable queues alone: add -d\n"),
            "{said}"
        );
        let name = declared.stdout_text();
        if !name.is_empty() {
            test.adopt(name.trim_end());
        }
    }
}

#[test]
fn a_stream_that_is_not_empty_is_kept_by_if_empty() {
    let test = Test::new();
    let arguments = FieldTable::from([(
        "x-queue-type".to_owned(),
        AmqpValue::LongString("stream".to_owned()),
    )]);
    let queue = test.queue("queue").declare_with(arguments);
    test.run("amqp-publish -r {queue} -b a").succeeds();
    // The broker's count is some seconds old.
    eventually("the stream's count", || queue.depth() == 1);
    test.run("amqp-delete-queue --if-empty {queue}")
        .stderr("queue.delete: queue '{queue}' is a stream and not empty, and the broker deletes streams that are not; it was not asked\n")
        .exits(1);
    assert_eq!(queue.depth(), 1);
}

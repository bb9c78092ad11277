//! Failed messages that wait in the broker before they are tried again (`retry:DURATION`).

use amiquip::{AmqpProperties, AmqpValue, FieldTable};
use rustix::process::Signal;

use super::{has_lines, lines};
use crate::support::{Queue, Test, eventually};

/// The queue in which messages of `queue` wait for that time.
fn waiting<'test>(test: &'test Test, queue: &Queue<'_>, time: &str) -> Queue<'test> {
    test.adopt(&format!("{}.retry.{time}", queue.name()))
}

fn quorum() -> FieldTable {
    let kind = AmqpValue::LongString("quorum".to_owned());
    FieldTable::from([("x-queue-type".to_owned(), kind)])
}

#[test]
fn a_task_that_fails_three_times_survives_its_worker() {
    let test = Test::new();
    let queue = test.queue("queue").declare_with(quorum());
    let waiting = waiting(&test, &queue, "1s");
    queue.publish(["a"]);
    test.script(
        "fourth",
        "read -r body; [ $body = a ] || { >acknowledged; exit 0; }; \
         echo $AMQP_ATTEMPT >>runs; [ $(wc -l <runs) = 4 ]",
    );
    let line = "amqp-consume --quiet -q {queue} --on-failure retry:1s ./fourth";
    let first = test.run(line).spawn();
    has_lines(&test, "runs", 2);
    waiting.holds(1);
    // With a prefetch of one, this comes when the failed message is acknowledged.
    queue.publish(["next"]);
    test.wait_for_file("acknowledged");
    first.signal(Signal::KILL);
    first.dies_of(Signal::KILL);
    let second = test.run(line).spawn();
    has_lines(&test, "runs", 4);
    queue.holds(0);
    second.signal(Signal::TERM);
    second.exits(143);
    assert_eq!(lines(&test, "runs"), ["1", "2", "3", "4"]);
    assert!(waiting.exists());
    waiting.holds(0);
    queue.holds(0);
}

#[test]
fn a_drained_queue_waits_for_what_comes_back() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let waiting = waiting(&test, &queue, "1500ms");
    queue.publish(["a", "b"]);
    test.script(
        "second-time",
        "echo $AMQP_ATTEMPT >>runs; [ $AMQP_ATTEMPT = 2 ]",
    );
    test.run(
        "amqp-consume --quiet -q {queue} --idle-timeout 0s --on-failure retry:1.5s ./second-time",
    )
    .succeeds();
    assert_eq!(lines(&test, "runs"), ["1", "1", "2", "2"]);
    waiting.holds(0);
    queue.holds(0);
}

#[test]
fn a_message_that_waits_has_failed_and_holds_nothing_up() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let waiting = waiting(&test, &queue, "3600s");
    queue.publish(["bad", "good", "untried"]);
    test.script("picky", super::PICKY);
    test.run("amqp-consume --quiet -q {queue} -c 2 --on-exit 7=retry:1h ./picky")
        .exits(7);
    assert_eq!(lines(&test, "runs"), ["bad", "good"]);
    waiting.holds(1);
    queue.holds(1);
}

#[test]
fn attempts_come_to_an_end_in_the_parking_queue() {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let queue = test.queue("queue").declare();
    let waiting = waiting(&test, &queue, "100ms");
    queue.publish(["a"]);
    test.run(
        "amqp-consume --quiet -q {queue} --idle-timeout 0s --on-failure retry:100ms --max-attempts 3 --park {parking} \
         sh -c 'echo $AMQP_ATTEMPT >>runs; exit 7'",
    )
    .succeeds();
    assert_eq!(lines(&test, "runs"), ["1", "2", "3"]);
    parking.holds(1);
    waiting.holds(0);
    let headers = parking
        .take()
        .unwrap()
        .properties
        .headers()
        .clone()
        .unwrap();
    assert_eq!(headers["x-attempts"], AmqpValue::LongInt(3));
}

#[test]
fn a_message_does_not_expire_while_it_waits() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let waiting = waiting(&test, &queue, "3600s");
    let properties = AmqpProperties::default().with_expiration("60000".to_owned());
    queue.publish_with("a", &properties);
    test.run("amqp-consume --quiet -q {queue} -c 1 --on-failure retry:1h false")
        .exits(1);
    waiting.holds(1);
    let message = waiting.take().unwrap();
    assert_eq!(message.properties.expiration(), &None);
    let headers = message.properties.headers().clone().unwrap();
    let kept = AmqpValue::LongString("60000".to_owned());
    assert_eq!(headers["x-original-expiration"], kept);
}

#[test]
fn what_forbids_the_queue_to_wait_in_is_an_error_before_any_command() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let _other = waiting(&test, &queue, "1s").declare();
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 --on-failure retry:1s touch ran")
        .stderr_contains("queue.declare: server channel error 406")
        .exits(1);
    let name = "n".repeat(250);
    let long = test.adopt(&name).declare();
    test.run("amqp-consume -c 1 --on-failure retry:1s -q")
        .args([&*name, "touch", "ran"])
        .stderr_contains("AMQP allows 255")
        .exits(1);
    test.run("amqp-consume -x -e amq.fanout -c 1 --on-failure retry:1s touch ran")
        .stderr_contains("403")
        .exits(1);
    assert!(!test.path("ran").exists());
    queue.holds(1);
    drop(long);
}

#[test]
fn a_queue_to_wait_in_that_is_deleted_is_declared_again() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let waiting = waiting(&test, &queue, "100ms");
    queue.publish(["a"]);
    test.script(
        "delete",
        "echo $AMQP_ATTEMPT >>runs; [ $AMQP_ATTEMPT = 2 ] || { amqp-delete-queue --url=$BROKER_URL $AMQP_QUEUE.retry.100ms >&2; exit 7; }",
    );
    let tool = test
        .run("amqp-consume -q {queue} --on-failure retry:100ms ./delete")
        .stderr_contains("no queue")
        .spawn();
    has_lines(&test, "runs", 2);
    eventually("the queue is there again", || waiting.exists());
    queue.holds(0);
    tool.signal(Signal::TERM);
    tool.exits(143);
    assert_eq!(lines(&test, "runs"), ["1", "2"]);
}

#[test]
fn each_message_of_a_batch_waits() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let waiting = waiting(&test, &queue, "100ms");
    queue.publish(["a", "b"]);
    test.script("second-time", "cat >>runs; [ $(wc -l <runs) -gt 2 ]");
    test.run("amqp-consume --quiet -q {queue} --idle-timeout 0s --batch 2 --framing lines --on-failure retry:100ms ./second-time")
        .succeeds();
    assert_eq!(super::sorted_lines(&test, "runs"), ["a", "a", "b", "b"]);
    waiting.holds(0);
    queue.holds(0);
}

#[test]
fn answers_of_a_coprocess_make_messages_wait() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let waiting = waiting(&test, &queue, "100ms");
    queue.publish(["a", "b"]);
    test.script(
        "work",
        "while read -r line; do echo $line >>runs; [ $(grep -cx $line runs) = 2 ]; echo $? >&3; done",
    );
    test.run("amqp-consume --quiet -q {queue} --idle-timeout 0s -p 2 --coprocess --framing lines --on-exit 1=retry:100ms ./work")
        .succeeds();
    assert_eq!(super::sorted_lines(&test, "runs"), ["a", "a", "b", "b"]);
    waiting.holds(0);
    queue.holds(0);
}

#[test]
fn output_and_reply_are_those_of_the_last_attempt() {
    let test = Test::new();
    let next = test.queue("next").declare();
    let replies = test.queue("replies").declare();
    let queue = test.queue("queue").declare();
    let _waiting = waiting(&test, &queue, "100ms");
    let properties = AmqpProperties::default().with_reply_to(replies.name().to_owned());
    queue.publish_with("a", &properties);
    test.run(
        "amqp-consume --quiet -q {queue} --idle-timeout 0s --output-queue {next} --reply --on-failure retry:100ms --joblog log \
         sh -c 'echo $AMQP_ATTEMPT; [ $AMQP_ATTEMPT = 2 ]'",
    )
    .succeeds();
    assert_eq!(next.take_texts(), ["2\n"]);
    assert_eq!(replies.take_texts(), ["2\n"]);
    assert_eq!(lines(&test, "log").len(), 3);
}

#[test]
fn a_message_that_expired_in_its_queue_before_comes_back() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let _waiting = waiting(&test, &queue, "100ms");
    let string = |value: &str| AmqpValue::LongString(value.to_owned());
    let death = FieldTable::from([
        ("queue".to_owned(), string(queue.name())),
        ("reason".to_owned(), string("expired")),
        ("exchange".to_owned(), string("")),
        ("count".to_owned(), AmqpValue::LongLongInt(1)),
        (
            "routing-keys".to_owned(),
            AmqpValue::FieldArray(vec![string(queue.name())]),
        ),
    ]);
    let deaths = AmqpValue::FieldArray(vec![AmqpValue::FieldTable(death)]);
    let headers = FieldTable::from([("x-death".to_owned(), deaths)]);
    queue.publish_with("a", &AmqpProperties::default().with_headers(headers));
    test.run(
        "amqp-consume --quiet -q {queue} --idle-timeout 0s --on-failure retry:100ms \
         sh -c 'echo $AMQP_ATTEMPT >>runs; [ $AMQP_ATTEMPT = 2 ]'",
    )
    .succeeds();
    assert_eq!(lines(&test, "runs"), ["1", "2"]);
}

#[test]
fn a_run_whose_time_is_over_says_what_still_waits() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let waiting = waiting(&test, &queue, "3600s");
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} --idle-timeout 0s --max-time 1s --on-failure retry:1h sh -c 'exit 7'")
        .stderr_contains("did not come back")
        .exits(7);
    waiting.holds(1);
}

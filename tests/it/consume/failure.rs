//! What becomes of failed messages: retries in place, policies, attempts, parking.

use std::collections::BTreeMap;

use amiquip::{AmqpProperties, AmqpValue, FieldTable};
use testbroker::{Broker, Options};

use super::{PICKY, has_lines, lines, nobody_is_left};
use crate::support::{Message, Queue, Signal, Test, eventually};

fn quorum() -> FieldTable {
    let kind = AmqpValue::LongString("quorum".to_owned());
    FieldTable::from([("x-queue-type".to_owned(), kind)])
}

/// Arguments by which rejected messages go to the queue of that name.
fn dead_letters_to(queue: &str) -> FieldTable {
    [
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", queue),
    ]
    .map(|(name, value)| (name.to_owned(), AmqpValue::LongString(value.to_owned())))
    .into()
}

fn headers(message: &Message) -> BTreeMap<String, AmqpValue> {
    message
        .properties
        .headers()
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect()
}

#[track_caller]
fn header(message: &Message, name: &str) -> AmqpValue {
    headers(message)
        .remove(name)
        .unwrap_or_else(|| panic!("no header {name} in {message:?}"))
}

/// The one message of a queue, once it is there.
#[track_caller]
fn the_message_of(queue: &Queue<'_>) -> Message {
    queue.holds(1);
    queue.take().unwrap()
}

#[test]
fn retries_run_the_command_again_before_the_message_counts_as_failed() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script(
        "third-time",
        "echo $AMQP_ATTEMPT >>runs; [ $AMQP_ATTEMPT = 3 ] && cat",
    );
    test.run("amqp-consume --quiet -q {queue} -c 1 --retries 2 --retry-delay 10ms ./third-time")
        .stdout("a")
        .succeeds();
    assert_eq!(lines(&test, "runs"), ["1", "2", "3"]);
    queue.holds(0);
}

#[test]
fn retries_come_to_an_end() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["bad"]);
    test.script("picky", PICKY);
    test.run("amqp-consume --quiet -q {queue} -c 1 --retries 2 --retry-delay 1ms ./picky")
        .exits(7);
    assert_eq!(lines(&test, "runs"), ["bad", "bad", "bad"]);
    queue.holds(1);
}

#[test]
fn a_signal_ends_the_wait_for_a_retry() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["bad"]);
    test.script("picky", PICKY);
    let tool = test
        .run("amqp-consume --quiet -q {queue} --retries 1 --retry-delay 1h --joblog log ./picky")
        .spawn();
    super::has_lines(&test, "log", 2);
    tool.signal(Signal::TERM);
    tool.exits(143);
    queue.holds(1);
}

#[test]
fn failed_messages_go_where_the_policy_says() {
    // --on-failure, --on-exit, the command's status; what is left in the queue and among the dead letters
    for (flags, status, left, dead) in [
        ("", 3, 1, 0),
        ("--on-failure requeue", 3, 1, 0),
        ("--on-failure reject", 3, 0, 1),
        ("--on-failure ack", 3, 0, 0),
        ("--on-exit 3=reject", 3, 0, 1),
        ("--on-exit 3=reject", 4, 1, 0),
        ("--on-exit 1-5,9=ack", 5, 0, 0),
        ("--on-exit 1-5,9=ack", 9, 0, 0),
        ("--on-exit 1-5,9=ack", 6, 1, 0),
        ("--on-exit 1-255=reject --on-exit 75=requeue", 75, 1, 0),
        ("--on-exit 1-255=reject --on-exit 75=requeue", 76, 0, 1),
        ("--on-failure reject --on-exit 75=requeue", 75, 1, 0),
        ("--on-failure requeue --max-attempts 1", 3, 0, 1),
        ("--on-failure reject --max-attempts 5", 3, 0, 1),
    ] {
        let test = Test::new();
        let dead_letters = test.queue("dead").declare();
        let queue = test
            .queue("queue")
            .declare_with(dead_letters_to(dead_letters.name()));
        queue.publish(["a"]);
        test.run(&format!(
            "amqp-consume --quiet -q {{queue}} -c 1 {flags} sh -c 'exit {status}'"
        ))
        .exits(status);
        queue.holds(left);
        dead_letters.holds(dead);
    }
}

#[test]
fn rules_apply_to_commands_that_were_killed_or_ran_too_long() {
    for (command, rule, status) in [
        ("sh -c 'kill -9 $$'", "137=ack", 137),
        ("--timeout 10ms sleep 1000", "124=ack", 124),
    ] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        queue.publish(["a"]);
        test.run(&format!(
            "amqp-consume -q {{queue}} -c 1 --on-exit {rule} {command}"
        ))
        .any_stderr()
        .exits(status);
        queue.holds(0);
    }
}

/// A bad message among good ones, three attempts, parked: the good ones are done and the bad one is where it should be.
#[track_caller]
fn poison_is_parked(arguments: FieldTable) {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let queue = test.queue("queue").declare_with(arguments);
    queue.publish(["a"]);
    let properties = AmqpProperties::default()
        .with_content_type("text/plain".to_owned())
        .with_message_id("m1".to_owned())
        .with_delivery_mode(2);
    queue.publish_with("bad", &properties);
    queue.publish(["b", "c"]);
    test.script(
        "picky",
        &format!("echo $AMQP_ATTEMPT >>attempts-$AMQP_MESSAGE_ID; {PICKY}"),
    );
    test.run("amqp-consume --quiet -q {queue} --idle-timeout 0s --max-attempts 3 --park {parking} ./picky")
        .succeeds();
    assert_eq!(lines(&test, "attempts-m1"), ["1", "2", "3"]);
    assert_eq!(super::sorted_lines(&test, "done"), ["a", "b", "c"]);
    queue.holds(0);
    let parked = the_message_of(&parking);
    assert_eq!(parked.text(), "bad");
    assert_eq!(
        parked.properties.content_type().as_deref(),
        Some("text/plain")
    );
    assert_eq!(parked.properties.message_id().as_deref(), Some("m1"));
    assert_eq!(*parked.properties.delivery_mode(), Some(2));
    assert_eq!(header(&parked, "x-exit-status"), AmqpValue::LongInt(7));
    assert_eq!(header(&parked, "x-attempts"), AmqpValue::LongInt(3));
    assert!(matches!(
        header(&parked, "x-failed-at"),
        AmqpValue::Timestamp(_)
    ));
    assert!(matches!(
        header(&parked, "x-failed-on"),
        AmqpValue::LongString(_)
    ));
    assert_eq!(
        header(&parked, "x-original-routing-key"),
        AmqpValue::LongString(queue.name().to_owned())
    );
}

#[test]
fn poison_in_a_classic_queue_is_parked() {
    poison_is_parked(FieldTable::new());
}

#[test]
fn poison_in_a_quorum_queue_is_parked() {
    poison_is_parked(quorum());
}

#[test]
fn attempts_are_counted_across_runs() {
    for arguments in [FieldTable::new(), quorum()] {
        let counts = arguments.contains_key("x-queue-type");
        let test = Test::new();
        let parking = test.queue("parking").declare();
        let queue = test.queue("queue").declare_with(arguments);
        queue.publish(["a"]);
        let line = "amqp-consume --quiet -q {queue} -c 1 --max-attempts 3 --park {parking} \
                    sh -c 'echo $AMQP_ATTEMPT ${AMQP_DELIVERY_COUNT-} >>runs; exit 5'";
        for _ in 0..3 {
            parking.holds(0);
            queue.holds(1);
            test.run(line).exits(5);
        }
        let expected = if counts {
            ["1", "2 1", "3 2"]
        } else {
            ["1", "2", "3"]
        };
        assert_eq!(lines(&test, "runs"), expected);
        queue.holds(0);
        parking.holds(1);
    }
}

#[test]
fn a_classic_queue_gets_a_copy_with_the_count() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.bind_to_fanout(&test.name("exchange"));
    let headers = ["CC", "BCC"]
        .map(|name| {
            (
                name.to_owned(),
                AmqpValue::FieldArray(vec![AmqpValue::LongString("{queue}".to_owned())]),
            )
        })
        .into_iter()
        .chain([("mine".to_owned(), AmqpValue::Boolean(true))])
        .collect();
    let properties = AmqpProperties::default()
        .with_headers(headers)
        .with_user_id("guest".to_owned())
        .with_correlation_id("c".to_owned());
    let exchange = test.name("exchange");
    test.inspector()
        .publish((&exchange, "some.key"), ["a"], &properties)
        .unwrap();
    test.run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 9 false")
        .exits(1);
    let copy = the_message_of(&queue);
    assert!(!copy.redelivered, "it is a new message");
    assert_eq!(copy.properties.correlation_id().as_deref(), Some("c"));
    assert_eq!(header(&copy, "x-attempts"), AmqpValue::LongInt(1));
    assert_eq!(header(&copy, "mine"), AmqpValue::Boolean(true));
    let spent = headers_named(&copy, &["CC", "BCC", "x-delivery-count"]);
    assert!(spent.is_empty(), "{spent:?}");
    // The next command is told the address that the message first had.
    queue.publish_with("a", &copy.properties);
    test.run(
        "amqp-consume --quiet -q {queue} -c 1 sh -c 'echo $AMQP_EXCHANGE $AMQP_ROUTING_KEY $AMQP_ATTEMPT'",
    )
    .stdout("{exchange} some.key 2\n")
    .succeeds();
}

fn headers_named(message: &Message, names: &[&str]) -> Vec<String> {
    let present = headers(message).into_keys();
    present
        .filter(|name| names.contains(&name.as_str()))
        .collect()
}

#[test]
fn attempts_without_a_parking_place_end_in_the_dead_letters() {
    let test = Test::new();
    let dead_letters = test.queue("dead").declare();
    let queue = test
        .queue("queue")
        .declare_with(dead_letters_to(dead_letters.name()));
    queue.publish(["bad"]);
    test.script("picky", PICKY);
    test.run("amqp-consume --quiet -q {queue} --idle-timeout 0s --max-attempts 2 ./picky")
        .succeeds();
    assert_eq!(lines(&test, "runs"), ["bad", "bad"]);
    assert_eq!(the_message_of(&dead_letters).text(), "bad");
}

#[test]
fn a_parking_place_must_exist() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 --max-attempts 1 --park {parking} false")
        .stderr_line("'{parking}'")
        .exits(1);
    assert!(!queue.take().unwrap().redelivered);
}

#[test]
fn where_parking_fails_the_message_goes_back() {
    let test = Test::new();
    test.queue("parking").declare();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 1 --park {parking} \
              sh -c 'amqp-delete-queue -q {parking} >/dev/null; exit 5'")
        .stderr_line("basic.publish: no queue '{parking}'; the failed message of queue '{queue}' is held and tried again")
        .exits(5);
    assert!(the_message_of(&queue).redelivered);
}

/// The headers of a copy are more than those of the message, and a frame holds no more than 128 KiB of them.
#[test]
fn a_message_whose_headers_nearly_fill_a_frame_is_held() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.queue("parked").declare();
    for flags in [
        "--max-attempts 1 --park {parked} -c 2",
        "--max-attempts 1 --park {parked} --idle-timeout 0s",
        "--max-attempts 9 -c 2",
        "--max-attempts 9 --idle-timeout 0s",
    ] {
        let large = AmqpValue::LongString("y".repeat(131_072 - 100));
        let headers = FieldTable::from([("header".to_owned(), large)]);
        let properties = AmqpProperties::default().with_headers(headers);
        queue.publish_with("large", &properties);
        queue.publish(["small"]);
        test.run(&format!("amqp-consume -q {{queue}} {flags} grep small"))
            .stdout("small\n")
            .stderr_contains("cannot be copied with more headers than it has")
            .exits(1);
        assert_eq!(queue.take_texts(), ["large"], "{flags}");
    }
}

#[test]
fn a_full_parking_place_refuses() {
    let test = Test::new();
    let limits = FieldTable::from([
        ("x-max-length".to_owned(), AmqpValue::LongInt(1)),
        (
            "x-overflow".to_owned(),
            AmqpValue::LongString("reject-publish".to_owned()),
        ),
    ]);
    let parking = test.queue("parking").declare_with(limits);
    parking.publish(["full"]);
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 1 --park {parking} false")
        .stderr_line("basic.publish: queue '{parking}' does not take it")
        .exits(1);
    queue.holds(1);
    parking.holds(1);
}

#[test]
fn many_are_parked_at_once() {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let queue = test.queue("queue").declare();
    queue.publish((0..100).map(|number| number.to_string()));
    test.run(
        "amqp-consume --quiet -q {queue} -j 4 --idle-timeout 0s --max-attempts 1 --park {parking} false",
    )
    .succeeds();
    queue.holds(0);
    parking.holds(100);
}

#[test]
fn failed_messages_cost_no_credit() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let bad = std::iter::repeat_n("bad", 20);
    queue.publish(bad.chain(["a", "b"]));
    test.script("picky", PICKY);
    // All twenty are held to the end, though the broker hands over no more than one at a time.
    test.run("amqp-consume --quiet -q {queue} -c 22 -p 1 ./picky")
        .exits(7);
    assert_eq!(lines(&test, "done"), ["a", "b"]);
    queue.holds(20);
}

#[test]
fn an_idle_end_with_failed_messages_is_no_success() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["bad", "a"]);
    test.script("picky", PICKY);
    test.run("amqp-consume --quiet -q {queue} --idle-timeout 0s ./picky")
        .exits(7);
    assert_eq!(lines(&test, "done"), ["a"]);
    queue.holds(1);
}

#[test]
fn a_stopped_command_does_not_count_as_failed() {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let tool = test
        .run("amqp-consume -q {queue} --max-attempts 1 --park {parking} sh -c 'touch ready; exec sleep 1000'")
        .spawn();
    test.wait_for_file("ready");
    tool.signal(Signal::TERM);
    queue.has_consumers(0);
    tool.signal(Signal::TERM);
    tool.exits(143);
    queue.holds(1);
    parking.holds(0);
    nobody_is_left(&test);
}

#[test]
fn the_broker_is_not_asked_about_the_queue_of_a_message_that_is_counted_already() {
    let broker = Broker::start(&Options::new()).unwrap();
    let test = Test::on(&broker.url());
    let complaints = || broker.log().matches("inequivalent arg").count();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    // The first failure of a message that says nothing; then two that are counted in its header.
    for _ in 0..3 {
        test.run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 9 false")
            .exits(1);
    }
    let asked_about = test.queue("asked_about").declare();
    asked_about.publish(["c"]);
    test.run("amqp-consume --quiet -q {asked_about} -c 1 --max-attempts 9 false")
        .exits(1);
    // The broker logs in order: when the last question is there, all are.
    eventually("two refusals in the log", || complaints() >= 2);
    assert_eq!(complaints(), 2, "{}", broker.log());
}

#[test]
fn a_parked_message_does_not_expire() {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let properties = AmqpProperties::default().with_expiration("3600000".to_owned());
    test.queue("queue").declare().publish_with("a", &properties);
    test.run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 1 --park {parking} false")
        .exits(1);
    let parked = the_message_of(&parking);
    assert_eq!(*parked.properties.expiration(), None);
    assert_eq!(
        header(&parked, "x-original-expiration"),
        AmqpValue::LongString("3600000".to_owned())
    );
}

#[test]
fn a_message_that_is_moved_back_from_parking_has_all_its_attempts_again() {
    for arguments in [FieldTable::new(), quorum()] {
        let test = Test::new();
        let parking = test.queue("parking").declare();
        test.queue("queue").declare_with(arguments).publish(["a"]);
        test.script("fail", r#"echo "$AMQP_ATTEMPT" >>attempts; exit 7"#);
        for _ in 0..2 {
            test.run("amqp-consume --quiet -q {queue} --idle-timeout 0s --max-attempts 2 --park {parking} ./fail")
                .succeeds();
            parking.holds(1);
            test.shell("amqp-get -q {parking} --json | amqp-publish --jsonl -e '' -r {queue}")
                .succeeds();
        }
        assert_eq!(lines(&test, "attempts"), ["1", "2", "1", "2"]);
    }
}

#[test]
fn a_retry_that_is_never_due_can_be_waited_for() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let tool = test
        .run("amqp-consume --quiet -q {queue} -c 1 --retries 1 --retry-delay 9223372036854775807 --joblog log false")
        .spawn();
    has_lines(&test, "log", 2);
    tool.signal(Signal::TERM);
    tool.exits(143);
    queue.holds(1);
}

#[test]
fn a_queue_to_wait_in_that_the_broker_refuses_is_an_error_before_any_command() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let _other = test.adopt(&format!("{}.retry.1s", queue.name())).declare();
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 --on-exit 75=retry:1s touch ran")
        .stderr_contains("queue.declare: server ")
        .exits(1);
    assert!(!test.path("ran").exists());
    queue.holds(1);
}

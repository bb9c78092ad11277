//! amqp-move: what arrives and what stays, whatever happens on the way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use amiquip::{AmqpProperties, AmqpValue, ExchangeType, FieldTable};

use crate::support::{Proxy, Queue, Signal, Test, eventually, eventually_some};

fn quorum() -> FieldTable {
    argument("x-queue-type", "quorum")
}

fn argument(name: &str, value: &str) -> FieldTable {
    let value = AmqpValue::LongString(value.to_owned());
    [(name.to_owned(), value)].into_iter().collect()
}

fn headers(headers: &[(&str, AmqpValue)]) -> FieldTable {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn text(text: &str) -> AmqpValue {
    AmqpValue::LongString(text.to_owned())
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Each kind of queue, as source and as target.
fn of_each_kind(check: impl Fn(&Test, Queue<'_>, Queue<'_>)) {
    for kind in [FieldTable::new(), quorum()] {
        let test = Test::new();
        let source = test.queue("source").declare_with(kind.clone());
        let target = test.queue("target").declare_with(kind);
        check(&test, source, target);
    }
}

#[test]
fn all_that_is_there_is_moved() {
    of_each_kind(|test, source, target| {
        source.publish(numbers(1..=2500));
        // A quorum queue counts deliveries that a cancelled subscription gave back, and that count is told to be left out.
        test.run("amqp-move -q {source} -r {target}")
            .any_stderr()
            .succeeds();
        assert_eq!((source.depth(), target.depth()), (0, 2500));
        // A quorum queue may deliver later what a cancelled subscription gave back.
        let moved: BTreeSet<u32> = numbers_in(test, "{target}").into_iter().collect();
        assert!(moved.into_iter().eq(1..=2500));
        test.run("amqp-move -q {source} -r {target}").succeeds();
    });
}

#[test]
fn a_copy_is_what_the_message_was() {
    let test = Test::new();
    let source = test.queue("source").declare();
    let target = test.queue("target").declare();
    let properties = AmqpProperties::default()
        .with_content_type("text/plain".to_owned())
        .with_delivery_mode(2)
        .with_priority(3)
        .with_correlation_id("correlation".to_owned())
        .with_reply_to("replies".to_owned())
        .with_message_id("id".to_owned())
        .with_expiration("3600000".to_owned())
        .with_timestamp(1_700_000_000)
        .with_type_("kind".to_owned())
        .with_app_id("app".to_owned())
        .with_user_id("guest".to_owned())
        .with_headers(headers(&[("mine", AmqpValue::LongInt(7))]));
    source.publish_with(b"\x00\xff", &properties);
    test.run("amqp-move -q {source} -r {target} --json")
        .stdout("{\"message_id\":\"id\",\"exchange\":\"\",\"routing_key\":\"{target}\"}\n")
        .succeeds();
    let copy = target.take().unwrap();
    assert_eq!(copy.body, b"\x00\xff");
    assert_eq!(copy.properties, properties);
    assert!(!copy.redelivered);
}

#[test]
fn what_is_the_brokers_is_taken_off_and_told_once() {
    let test = Test::new();
    let source = test.queue("source").declare();
    let target = test.queue("target").declare();
    let other = test.queue("other").declare();
    let copied = headers(&[
        ("CC", AmqpValue::FieldArray(vec![text(other.name())])),
        ("mine", text("a")),
    ]);
    for body in ["a", "b"] {
        source.publish_with(
            body,
            &AmqpProperties::default().with_headers(copied.clone()),
        );
    }
    assert_eq!(other.take_all().len(), 2);
    test.run("amqp-move -q {source} -r {target}")
        .stderr_line("CC taken off the copy")
        .succeeds();
    assert_eq!(other.depth(), 0);
    let copy = target.take().unwrap();
    let left = copy.properties.headers().clone();
    assert_eq!(left, Some(headers(&[("mine", text("a"))])));
}

#[test]
fn no_more_than_the_count_is_moved_and_the_rest_stays_in_its_place() {
    of_each_kind(|test, source, target| {
        source.publish(numbers(1..=100));
        test.run("amqp-move -q {source} -r {target} -c 3")
            .succeeds();
        assert_eq!(target.take_texts(), numbers(1..=3));
        source.holds(97);
        assert_eq!(source.take_texts(), numbers(4..=100));
    });
}

#[test]
fn an_exchange_gets_each_with_its_own_routing_key_or_the_given_one() {
    let test = Test::new();
    let source = test.queue("source").declare();
    let target = test.queue("target").declare();
    target.bind_to(&ExchangeType::Direct, &test.name("exchange"), source.name());
    source.publish(["a"]);
    test.run("amqp-move -q {source} -e {exchange} --json")
        .stdout("{\"message_id\":null,\"exchange\":\"{exchange}\",\"routing_key\":\"{source}\"}\n")
        .succeeds();
    let copy = target.take().unwrap();
    assert_eq!(copy.exchange, test.name("exchange"));
    assert_eq!(copy.routing_key, source.name());
    source.publish(["b"]);
    test.run("amqp-move -q {source} -e {exchange} -r nowhere")
        .stderr("basic.publish: exchange '{exchange}' routes 'nowhere' to no queue\n")
        .exits(1);
    source.holds(1);
    assert_eq!(target.depth(), 0);
}

#[test]
fn queues_that_are_not_there_are_told() {
    let test = Test::new();
    test.queue("source").declare().publish(["a"]);
    for line in [
        "amqp-move -q {source} -r {missing}",
        "amqp-move -q {missing} -r {source}",
    ] {
        test.run(line)
            .stderr_refusal(
                "queue.declare: server channel error 404",
                ", message: NOT_FOUND - no queue '{missing}' in vhost '/'\n",
            )
            .exits(1);
    }
    test.queue("source").holds(1);
    test.run("amqp-move -q {source} -e {missing}")
        .stderr_contains("basic.publish: server channel error 404")
        .exits(1);
    test.queue("source").holds(1);
}

/// A queue that takes five messages; each one is in one of the two, and none in both.
#[test]
fn a_copy_that_is_refused_ends_it_and_its_message_stays() {
    for kind in [FieldTable::new(), quorum()] {
        let test = Test::new();
        let source = test.queue("source").declare_with(kind);
        let mut arguments = argument("x-overflow", "reject-publish");
        arguments.insert("x-max-length".to_owned(), AmqpValue::LongInt(5));
        let target = test.queue("target").declare_with(arguments);
        source.publish(numbers(1..=40));
        test.run("amqp-move -q {source} -r {target}")
            .stderr_contains("basic.publish: the broker rejected a message")
            .stderr_contains("\n5 messages moved\n")
            .exits(1);
        source.holds(35);
        assert_eq!(target.take_texts(), numbers(1..=5));
        // A quorum queue may give what came back before the rest.
        let mut left = source.take_texts();
        left.sort_by_key(|text| text.parse::<u32>().ok());
        assert_eq!(left, numbers(6..=40));
    }
}

#[test]
fn parked_messages_go_back_as_they_were() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let parked = test.queue("parked").declare();
    let properties = AmqpProperties::default()
        .with_expiration("3600000".to_owned())
        .with_headers(headers(&[("mine", text("a"))]));
    queue.publish_with("a", &properties);
    queue.bind_to_fanout(&test.name("exchange"));
    test.run("amqp-publish -e {exchange} -r key -b b")
        .succeeds();
    test.run("amqp-consume -q {queue} -c 2 --max-attempts 1 --park {parked} false")
        .any_stderr()
        .ends();
    parked.holds(2);
    test.run("amqp-move -q {parked} --back").succeeds();
    assert_eq!(parked.depth(), 0);
    let first = queue.take().unwrap();
    assert_eq!((first.text().as_str(), first.exchange.as_str()), ("a", ""));
    assert_eq!(first.properties, properties);
    let second = queue.take().unwrap();
    assert_eq!(second.exchange, test.name("exchange"));
    assert_eq!(second.routing_key, "key");
    assert_eq!(*second.properties.headers(), None);
}

#[test]
fn what_does_not_tell_its_origin_stays_and_ends_it() {
    let test = Test::new();
    let source = test.queue("source").declare();
    let queue = test.queue("queue").declare();
    let origin = headers(&[
        ("x-original-exchange", text("")),
        ("x-original-routing-key", text(queue.name())),
    ]);
    source.publish_with("good", &AmqpProperties::default().with_headers(origin));
    source.publish(["bad", "later"]);
    test.run("amqp-move -q {source} --back")
        .stderr_contains("a message in the queue does not tell in x-original-exchange")
        .stderr_contains("\n1 message moved\n")
        .exits(1);
    assert_eq!(queue.take_texts(), ["good"]);
    source.holds(2);
    assert_eq!(source.take_texts(), ["bad", "later"]);
}

#[test]
fn who_follows_waits_for_more_until_a_signal() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let test = Test::new();
        let source = test.queue("source").declare();
        let target = test.queue("target").declare();
        let moving = test
            .run("amqp-move -q {source} -r {target} --follow")
            .stderr("interrupted; 30 messages moved\n")
            .spawn();
        source.has_consumers(1);
        for number in 1..=30 {
            source.publish([number.to_string()]);
            target.holds(number);
        }
        moving.signal(signal);
        moving.exits(status);
        assert_eq!(source.depth(), 0);
        assert_eq!(target.take_texts(), numbers(1..=30));
    }
}

#[test]
fn copies_are_spaced_evenly_by_a_rate() {
    let test = Test::new();
    test.queue("source").declare().publish(numbers(1..=6));
    let target = test.queue("target").declare();
    let began = Instant::now();
    test.run("amqp-move -q {source} -r {target} --rate 10")
        .succeeds();
    assert!(began.elapsed() >= Duration::from_millis(490));
    assert_eq!(target.take_texts(), numbers(1..=6));
    test.queue("source").publish(["a", "b"]);
    let mut moving = test
        .run("amqp-move -q {source} -r {target} --rate 1/h")
        .stderr("interrupted; 1 message moved\n")
        .spawn();
    target.holds(1);
    assert!(!moving.has_ended());
    moving.signal(Signal::TERM);
    moving.exits(143);
    test.queue("source").holds(1);
}

#[test]
fn messages_that_another_consumer_has_for_itself_are_told() {
    let test = Test::new();
    let single = AmqpValue::Boolean(true);
    let source = test.queue("source").declare_with(
        [("x-single-active-consumer".to_owned(), single)]
            .into_iter()
            .collect(),
    );
    test.queue("target").declare();
    let holder = test
        .run("amqp-consume -q {source} -p 1 sleep 1000")
        .any_stderr()
        .spawn();
    source.has_consumers(1);
    source.publish(["held", "waiting"]);
    source.holds(1);
    test.run("amqp-move -q {source} -r {target}")
        .stderr_line("the queue has 1 messages and delivers none")
        .exits(1);
    holder.signal(Signal::KILL);
    source.holds(2);
}

#[test]
fn large_messages_are_moved_a_few_at_a_time() {
    let test = Test::new();
    let source = test.queue("source").declare();
    let target = test.queue("target").declare();
    let bodies = (1..=12_u8).map(|number| vec![number; 3 << 20]);
    source.publish(bodies.clone());
    test.run("amqp-move -q {source} -r {target}").succeeds();
    assert!(
        target
            .take_all()
            .into_iter()
            .map(|copy| copy.body)
            .eq(bodies)
    );
}

#[test]
fn a_queue_that_ends_with_its_last_consumer_loses_nothing() {
    let test = Test::new();
    let source = test.queue("source");
    test.run("amqp-declare-queue -d --auto-delete {source}")
        .stdout("{source}\n")
        .succeeds();
    let target = test.queue("target").declare();
    source.publish(numbers(1..=3000));
    test.run("amqp-move -q {source} -r {target}").succeeds();
    assert_eq!(target.depth(), 3000);
    assert!(numbers_in(&test, "{target}").into_iter().eq(1..=3000));
}

#[test]
fn lines_that_cannot_be_written_end_it() {
    let test = Test::new();
    test.queue("source").declare().publish(numbers(1..=50));
    let target = test.queue("target").declare();
    test.run("amqp-move -q {source} -r {target} --json")
        .stdout_to("/dev/full")
        .stderr_contains("writing to standard output: No space left on device")
        .exits(1);
    let moved = target.depth();
    test.queue("source").holds(50 - moved);
    test.shell("amqp-move -q {source} -r {target} --json >&-")
        .stderr_contains("standard output")
        .exits(1);
    assert_eq!(target.depth(), moved);
}

#[test]
fn progress_is_shown_where_it_is_asked_for() {
    let test = Test::new();
    test.queue("source").declare().publish(numbers(1..=5));
    test.queue("target").declare();
    test.run("amqp-move -q {source} -r {target} --progress always")
        .stderr_contains("100%  5 of 5 messages")
        .succeeds();
}

/// The numbers of the messages in the queue, in order, which are taken out.
fn numbers_in(test: &Test, queue: &str) -> Vec<u32> {
    let lines = test
        .run(&format!("amqp-consume -q {queue} --json --idle-timeout 0s"))
        .any_stdout()
        .within(Duration::from_secs(120))
        .succeeds()
        .stdout_text();
    let body = |line: &str| line.split('"').nth(3).unwrap().parse().unwrap();
    lines.lines().map(body).collect()
}

/// How many different messages there are in the queues.
fn different(test: &Test, queues: &[&str]) -> usize {
    let all: BTreeSet<u32> = queues
        .iter()
        .flat_map(|queue| numbers_in(test, queue))
        .collect();
    all.len()
}

#[test]
fn killed_twenty_times_it_loses_nothing() {
    const ALL: u32 = 20_000;
    of_each_kind(|test, source, target| {
        source.publish(numbers(1..=ALL));
        for kill in 1..=20 {
            let before = target.depth();
            let mut moving = test
                .run("amqp-move -q {source} -r {target}")
                .any_stderr()
                .spawn();
            eventually("it moves", || {
                target.depth() > before + 37 * (kill % 4) || moving.has_ended()
            });
            moving.signal(Signal::KILL);
            moving.ends();
        }
        test.run("amqp-move -q {source} -r {target}")
            .any_stderr()
            .within(Duration::from_secs(60))
            .succeeds();
        // What the last but one held may come back only now.
        eventually_some("the source is empty", || {
            test.run("amqp-move -q {source} -r {target}")
                .any_stderr()
                .ends();
            (source.depth() == 0).then_some(())
        });
        assert_eq!(different(test, &["{source}", "{target}"]), ALL as usize);
    });
}

#[test]
fn with_retry_it_goes_on_after_the_connection_breaks() {
    const ALL: u32 = 10_000;
    of_each_kind(|test, source, target| {
        source.publish(numbers(1..=ALL));
        let proxy = Proxy::before(test);
        let mut moving = test
            .run("amqp-move -q {source} -r {target} --retry 1m")
            .env("AMQP_URL", &proxy.url())
            .within(Duration::from_secs(90))
            .stderr_contains("connecting again")
            .spawn();
        let mut cuts = 0;
        for step in 1..=5 {
            eventually("it moves", || {
                target.depth() > step * ALL / 7 || moving.has_ended()
            });
            if moving.has_ended() {
                break;
            }
            proxy.cut();
            cuts += 1;
        }
        assert!(cuts > 0);
        moving.succeeds();
        assert_eq!(different(test, &["{target}"]), ALL as usize);
        source.holds(0);
    });
}

#[test]
fn without_retry_a_broken_connection_ends_it_and_the_doubt_is_told() {
    let test = Test::new();
    let source = test.queue("source").declare();
    let target = test.queue("target").declare();
    source.publish(numbers(1..=20));
    let proxy = Proxy::before(&test);
    let moving = test
        .run("amqp-move -q {source} -r {target} --follow")
        .env("AMQP_URL", &proxy.url())
        .stderr_contains("connection lost")
        .stderr_contains("it is not known whether their acknowledgement arrived")
        .spawn();
    target.holds(20);
    proxy.cut();
    moving.exits(1);
    assert_eq!(different(&test, &["{source}", "{target}"]), 20);
}

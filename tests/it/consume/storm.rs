//! Everything at once: many messages and commands, failures, kills, and a broker that is restarted in the middle.

use std::collections::BTreeSet;
use std::time::Duration;

use testbroker::Service;

use super::{has_lines, lines, nobody_is_left};
use crate::support::{Running, Signal, Test, eventually};

const MESSAGES: usize = 1000;

/// Fails at its first try on every seventh message, and is killed at that on every eleventh.
const WORK: &str = r#"
    read -r number
    if mkdir "tried/$number" 2>/dev/null; then
        [ $((number % 7)) != 0 ] || exit 9
        [ $((number % 11)) != 0 ] || kill -9 $$
    fi
    echo "$number" >>done"#;

fn worker(test: &Test) -> Running<'_> {
    test.run("amqp-consume -q {queue} -j 8 -p 20 --retry 2m --heartbeat 5 ./work")
        .any_stderr()
        .within(Duration::from_secs(180))
        .spawn()
}

fn done(test: &Test) -> BTreeSet<String> {
    lines(test, "done").into_iter().collect()
}

#[test]
fn every_message_is_done_in_the_end() {
    let mut broker = Service::private().unwrap();
    let test = Test::on(&broker.url());
    test.script("work", WORK);
    std::fs::create_dir(test.path("tried")).unwrap();
    let queue = test.queue("queue").declare();
    let persistent = amiquip::AmqpProperties::default().with_delivery_mode(2);
    let bodies = (0..MESSAGES).map(|number| format!("{number}\n"));
    test.inspector()
        .publish(("", queue.name()), bodies, &persistent)
        .unwrap();

    let first = worker(&test);
    has_lines(&test, "done", MESSAGES / 4);
    first.signal(Signal::KILL);
    first.dies_of(Signal::KILL);
    let second = worker(&test);
    has_lines(&test, "done", MESSAGES / 2);
    broker.stop().unwrap();
    broker.resume().unwrap();

    eventually("every message done", || done(&test).len() == MESSAGES);
    assert_eq!(unreaped_children(&second), 0);
    second.signal(Signal::TERM);
    second.exits(143);
    nobody_is_left(&test);
    queue.holds(0);
}

/// How many of the tool's children have ended and wait to be reaped, once all have ended.
fn unreaped_children(tool: &Running<'_>) -> usize {
    let id = tool.id();
    let children = format!("/proc/{id}/task/{id}/children");
    let mut left = String::new();
    eventually("children that have ended", || {
        left = std::fs::read_to_string(&children).unwrap_or_default();
        left.trim().is_empty()
    });
    left.split_whitespace().count()
}

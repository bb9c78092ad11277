//! `--retry`: how long a broker that is away is waited for, and what is never waited for.

use std::time::Duration;

use amiquip::AmqpProperties;
use testbroker::Service;

use crate::support::{Proxy, Test, eventually};

/// A broker stops and starts, on a machine that is busy.
const RESTART: Duration = Duration::from_secs(120);

#[test]
fn a_broker_that_comes_back_in_time_is_connected_to() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    proxy.refuse();
    let url = proxy.url();
    let address = proxy.address();
    let mut running = test
        .run(&format!(
            "amqp-declare-queue -d -q {{queue}} -u {url} --retry 1h"
        ))
        .stdout("{queue}\n")
        .any_stderr()
        .spawn();
    let waiting = format!(
        "opening socket to {address}: the server closed the connection; retrying for 3600s\n"
    );
    running.has_complained(&waiting);
    proxy.resume();
    let ended = running.succeeds();
    let said = ended.stderr_text();
    let rest = said.strip_prefix(&waiting).unwrap();
    assert!(
        rest.starts_with(&format!("connected to {address} after ")),
        "{said}"
    );
    assert_eq!(rest.lines().count(), 1, "{said}");
}

#[test]
fn a_broker_that_stays_away_is_given_up_on() {
    Test::new()
        .run("amqp-get -q queue -u amqp://127.0.0.1:1 --retry 300ms")
        .stderr(
            "opening socket to 127.0.0.1:1: Connection refused; retrying for 300ms\n\
             opening socket to 127.0.0.1:1: Connection refused (gave up after 300ms)\n",
        )
        .exits(1);
}

#[test]
fn without_retry_it_fails_at_once() {
    Test::new()
        .run("amqp-get -q queue -u amqp://127.0.0.1:1")
        .stderr("opening socket to 127.0.0.1:1: Connection refused\n")
        .exits(1);
}

#[test]
fn a_name_that_does_not_resolve_is_an_error_with_the_name() {
    Test::new()
        .run("amqp-get -q queue -u amqp://name.invalid")
        .stderr_line("opening socket to name.invalid:5672: ")
        .exits(1);
}

#[test]
fn a_consumer_goes_on_where_the_connection_was_lost() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let queue = test.queue("queue").declare();
    queue.publish(["one"]);
    let mut running = test
        .run(&format!(
            "amqp-consume -q {{queue}} -c 2 --retry 1h --idle-timeout 5s -u {} cat",
            proxy.url()
        ))
        .stdout("onetwo")
        .any_stderr()
        .spawn();
    running.has_printed("one");
    queue.has_consumers(1);
    proxy.cut();
    eventually("no second connection", || proxy.connections() == 2);
    queue.publish(["two"]);
    // The acknowledgement of the first may have been lost with the connection, so a third is waited for.
    running.succeeds();
    queue.holds(0);
}

#[test]
fn a_broker_that_restarts_is_waited_for() {
    let mut broker = Service::private().unwrap();
    let test = Test::on(&broker.url());
    let (tasks, seeds) = (test.queue("tasks").declare(), test.queue("seeds").declare());
    let persistent = AmqpProperties::default().with_delivery_mode(2);
    tasks.publish_with("one", &persistent);
    let mut worker = test
        // The acknowledgement of the first may be in doubt, so a third would be waited for.
        .run("amqp-consume -q {tasks} -c 2 --retry 2m --idle-timeout 5s cat")
        .stdout("onetwo")
        .any_stderr()
        .within(RESTART)
        .spawn();
    let mut seeder = test
        .run("amqp-publish -r {seeds} -l -p --retry 2m")
        .stdin_stays_open()
        .any_stderr()
        .within(RESTART)
        .spawn();
    worker.has_printed("one");
    seeder.write("1\n");
    seeds.holds(1);
    broker.stop().unwrap();
    broker.resume().unwrap();
    tasks.publish(["two"]);
    seeder.write("2\n");
    seeder.close_stdin();
    seeder.succeeds();
    worker.succeeds();
    let mut texts = seeds.take_texts();
    // The confirm of the first may have been lost with the connection; then it is published again.
    texts.dedup();
    assert_eq!(texts, ["1\n", "2\n"]);
}

//! `--retry`: how long a broker that is away is waited for, and what is never waited for.

use crate::support::{Proxy, Test, eventually};

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

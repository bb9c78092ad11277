//! Several URLs: the nodes of one broker, tried in turn.

use crate::support::Test;
use crate::wire::Server;

/// Nothing listens there: it is below what anyone may open.
const CLOSED: &str = "amqp://127.0.0.1:1";

#[test]
fn the_first_node_that_answers_is_taken() {
    let test = Test::new();
    for urls in [
        "-u {url}",
        "-u amqp://127.0.0.1:1 -u {url}",
        "-u amqp://127.0.0.1:1 -u amqp://127.0.0.1:2 -u {url} -u amqp://127.0.0.1:3",
    ] {
        test.run(&format!("amqp-declare-queue -d -q {{queue}} {urls}"))
            .stdout("{queue}\n")
            .succeeds();
    }
}

#[test]
fn amqp_url_may_hold_a_list() {
    let test = Test::new();
    for list in [
        "{url}",
        "amqp://127.0.0.1:1,{url}",
        "amqp://127.0.0.1:1, {url},\n",
    ] {
        test.run("amqp-declare-queue -d -q {queue}")
            .env("AMQP_URL", list)
            .stdout("{queue}\n")
            .succeeds();
    }
}

#[test]
fn where_none_answers_each_ones_reason_is_told() {
    Test::new()
        .run(&format!(
            "amqp-get -q queue -u {CLOSED} -u amqp://127.0.0.1:2"
        ))
        .stderr(
            "opening socket to 127.0.0.1:1: Connection refused; \
             opening socket to 127.0.0.1:2: Connection refused\n",
        )
        .exits(1);
}

#[test]
fn a_server_that_is_no_broker_is_passed_over() {
    let test = Test::new();
    let web = Server::start(|client| {
        use std::io::Write as _;
        client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    });
    test.run(&format!(
        "amqp-declare-queue -d -q {{queue}} -u amqp://{} -u {{url}}",
        web.address()
    ))
    .stdout("{queue}\n")
    .succeeds();
}

#[test]
fn a_refusal_is_the_brokers_last_word() {
    let test = Test::new();
    test.run(
        "amqp-declare-queue -d -q {queue} -u amqp://guest:wrong@{host}:{port} -u {url} --retry 1h",
    )
    .stderr_refusal(
        "logging in to AMQP server: server connection error ",
        "403, message: ACCESS_REFUSED",
    )
    .exits(1);
    test.run(
        "amqp-declare-queue -d -q {queue} -u amqp://{host}:{port}/{vhost} -u {url} --retry 1h",
    )
    .stderr_refusal(
        "logging in to AMQP server: server connection error ",
        "530, message: NOT_ALLOWED",
    )
    .exits(1);
    assert!(!test.queue("queue").exists());
}

#[test]
fn each_url_has_its_own_parameters() {
    let test = Test::new();
    let silent = Server::start(|client| std::io::copy(client, &mut std::io::sink()).map(drop));
    let silent = format!("amqp://{}?connection_timeout=200", silent.address());
    test.run(&format!(
        "amqp-declare-queue -d -q {{queue}} -u {silent} -u {{url}}"
    ))
    .stdout("{queue}\n")
    .succeeds();
    test.run(&format!(
        "amqp-declare-queue -d -q {{queue}} -u {silent} --retry 1ms"
    ))
    .stderr_contains("no answer within 200ms; retrying for 1ms\n")
    .stderr_contains("no answer within 200ms (gave up after 1ms)\n")
    .exits(1);
}

//! amqp-declare-exchange and amqp-delete-exchange, and the bindings of queues and exchanges.

use crate::support::{Test, rabbitmqs};

/// Publishes a message for each key, whose body is the key.
fn publish(test: &Test, keys: &[&str]) {
    for key in keys {
        test.run("amqp-publish -e {exchange}")
            .args(["-r", key, "-b", key])
            .succeeds();
    }
}

#[test]
fn a_declared_exchange_is_there_and_its_name_is_printed() {
    let test = Test::new();
    test.run("amqp-declare-exchange -t fanout -d {other} -e {exchange} {other}")
        .stdout("{exchange}\n{other}\n")
        .succeeds();
    test.run("amqp-declare-queue -d {queue} --bind {exchange}")
        .stdout("{queue}\n")
        .succeeds();
    publish(&test, &["any", "key"]);
    assert_eq!(test.queue("queue").take_texts(), ["any", "key"]);
    test.run("amqp-declare-exchange --passive {exchange} --json")
        .stdout("{\"exchange\":\"{exchange}\"}\n")
        .succeeds();
}

#[test]
fn an_exchange_is_direct_unless_it_is_said_otherwise() {
    let test = Test::new();
    test.run("amqp-declare-exchange {exchange}")
        .stdout("{exchange}\n")
        .succeeds();
    test.run("amqp-declare-exchange -t direct {exchange}")
        .stdout("{exchange}\n")
        .succeeds();
    test.run("amqp-declare-queue -d {queue} --bind {exchange}:red")
        .stdout("{queue}\n")
        .succeeds();
    publish(&test, &["red", "blue"]);
    assert_eq!(test.queue("queue").take_texts(), ["red"]);
}

#[test]
fn an_exchange_that_stands_otherwise_is_told() {
    let test = Test::new();
    test.run("amqp-declare-exchange -t topic {exchange}")
        .any_stdout()
        .succeeds();
    test.run("amqp-declare-exchange -t direct {exchange}")
        .stderr_refusal(
            "exchange.declare: server ",
            "channel error 406, message: PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{exchange}' \
             in vhost '/': received 'direct' but current is 'topic'\n",
        )
        .exits(1);
    test.run("amqp-declare-exchange -t bogus {unmade}")
        .stderr_line("unknown exchange type 'bogus'")
        .exits(1);
    test.run("amqp-declare-exchange --passive {unmade}")
        .stderr_line("exchange.declare: server channel error 404, message: ")
        .exits(1);
}

#[test]
fn what_no_queue_wants_goes_to_the_alternate_exchange() {
    let test = Test::new();
    test.run("amqp-declare-exchange -t fanout -d {alternate}")
        .any_stdout()
        .succeeds();
    test.run("amqp-declare-queue -d {queue} --bind {alternate}")
        .any_stdout()
        .succeeds();
    test.run("amqp-declare-exchange -t topic -d {exchange} -a alternate-exchange={alternate}")
        .any_stdout()
        .succeeds();
    publish(&test, &["unwanted"]);
    assert_eq!(test.queue("queue").take_texts(), ["unwanted"]);
}

#[test]
fn an_internal_exchange_takes_nothing_from_publishers() {
    let test = Test::new();
    test.run("amqp-declare-exchange --internal --auto-delete {exchange}")
        .any_stdout()
        .succeeds();
    test.run("amqp-publish -e {exchange} -b a")
        .stderr_line("basic.publish: server channel error 403, message: ")
        .exits(1);
}

#[test]
fn an_exchange_gets_what_it_is_bound_to() {
    let test = Test::new();
    test.run("amqp-declare-exchange -t topic {exchange}")
        .any_stdout()
        .succeeds();
    let audit = "amqp-declare-exchange -t fanout {audit}";
    test.run(audit)
        .args(["--bind", &test.fill("{exchange}:user.#")])
        .args(["--bind", &test.fill("{exchange}:order.#")])
        .any_stdout()
        .succeeds();
    test.run("amqp-declare-queue -d {queue} --bind {audit}")
        .any_stdout()
        .succeeds();
    publish(&test, &["user.new", "file.new", "order.new"]);
    assert_eq!(test.queue("queue").take_texts(), ["user.new", "order.new"]);

    test.run(audit)
        .args(["--unbind", &test.fill("{exchange}:user.#")])
        .any_stdout()
        .succeeds();
    publish(&test, &["user.new", "order.new"]);
    assert_eq!(test.queue("queue").take_texts(), ["order.new"]);
}

#[test]
fn a_binding_that_ends_brings_nothing_more() {
    let test = Test::new();
    test.run("amqp-declare-exchange {exchange}")
        .any_stdout()
        .succeeds();
    test.run("amqp-declare-queue -d {queue} --bind {exchange}:red --bind {exchange}:green")
        .stdout("{queue}\n")
        .succeeds();
    let unbind =
        "amqp-declare-queue --passive {queue} --unbind {exchange}:red --unbind {exchange}:never";
    for _ in 0..2 {
        test.run(unbind).stdout("{queue}\n").succeeds();
    }
    publish(&test, &["red", "green"]);
    assert_eq!(test.queue("queue").take_texts(), ["green"]);
}

#[test]
fn a_headers_exchange_goes_by_the_bindings_arguments() {
    let test = Test::new();
    test.run("amqp-declare-exchange -t headers {exchange}")
        .any_stdout()
        .succeeds();
    test.run("amqp-declare-queue -d {all} --bind {exchange} --bind-argument kind=invoice --bind-argument paid=true")
        .stdout("{all}\n")
        .succeeds();
    test.run("amqp-declare-queue -d {any} --bind {exchange} --bind-argument x-match=any --bind-argument kind=invoice --bind-argument paid=true")
        .stdout("{any}\n")
        .succeeds();
    let bodies = [
        r#"{"headers":{"kind":"invoice","paid":true},"body":"both"}"#,
        r#"{"headers":{"kind":"invoice"},"body":"one"}"#,
        r#"{"headers":{"kind":"letter"},"body":"none"}"#,
    ];
    let publish = || {
        test.run("amqp-publish -e {exchange} --jsonl")
            .stdin(bodies.join("\n"))
            .succeeds();
    };
    publish();
    assert_eq!(test.queue("all").take_texts(), ["both"]);
    assert_eq!(test.queue("any").take_texts(), ["both", "one"]);

    test.run("amqp-declare-queue -d {any} --unbind {exchange} --bind-argument x-match=any --bind-argument kind=invoice --bind-argument paid=true")
        .stdout("{any}\n")
        .succeeds();
    publish();
    test.queue("all").holds(1);
    test.queue("any").holds(0);
}

/// The type of an exchange is asked for where a binding has neither key nor arguments, and nothing is changed by that.
#[test]
fn a_binding_that_matches_everything_by_mistake_is_warned_of() {
    let test = Test::new();
    let everything =
        "every message matches, since the exchange goes by headers and the binding names none";
    test.run("amqp-declare-exchange -t headers {exchange}")
        .any_stdout()
        .succeeds();
    test.run("amqp-declare-exchange -t fanout {fanout} --bind {exchange}")
        .stdout("{fanout}\n")
        .stderr_line(rabbitmqs(&format!(
            "warning: --bind {{exchange}}: {everything}"
        )))
        .succeeds();
    test.run("amqp-declare-queue -d {queue} {other} --bind {exchange} --bind {fanout}")
        .stdout("{queue}\n{other}\n")
        .stderr_line(rabbitmqs(&format!(
            "warning: --bind {{exchange}}: {everything}"
        )))
        .succeeds();
    test.run("amqp-declare-queue -d {queue} --bind amq.match --bind amq.headers --bind amq.fanout")
        .stdout("{queue}\n")
        .stderr_contains(rabbitmqs("warning: --bind amq.headers: "))
        .stderr_contains(rabbitmqs("warning: --bind amq.match: "))
        .succeeds();
    publish(&test, &["a"]);
    test.queue("queue").holds(1);
}

#[test]
fn deleting_prints_nothing_and_keeps_the_queues() {
    let test = Test::new();
    test.run("amqp-declare-exchange {exchange} {other}")
        .any_stdout()
        .succeeds();
    test.run("amqp-declare-queue -d {queue} --bind {exchange}:key")
        .any_stdout()
        .succeeds();
    test.run("amqp-delete-exchange --if-unused {exchange}")
        .stderr_refusal(
            "exchange.delete: server channel error 406, message: ",
            "PRECONDITION_FAILED",
        )
        .exits(1);
    test.run("amqp-delete-exchange -e {exchange} {other}")
        .succeeds();
    assert!(test.queue("queue").exists());
    for gone in ["exchange", "other"] {
        test.run(&format!("amqp-declare-exchange --passive {{{gone}}}"))
            .stderr_line("exchange.declare: server channel error 404, message: ")
            .exits(1);
    }
}

#[test]
fn an_exchange_that_does_not_exist_is_deleted_already() {
    Test::new().run("amqp-delete-exchange {missing}").succeeds();
}

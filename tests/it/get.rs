//! amqp-get: what it takes, what it leaves, and that nothing is lost when it cannot write.

use crate::support::Test;

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

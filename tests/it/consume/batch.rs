//! Commands that get several messages each.

use std::time::Duration;

use rustix::process::Signal;

use super::coprocess::example;
use super::{lines, nobody_is_left};
use crate::support::{Test, eventually};

/// Writes how many messages it has got and all of them, and fails if one is `bad`.
const WORK: &str = "echo $AMQP_BATCH_SIZE >>sizes; tee -a got | grep -qx bad && exit 9; exit 0";

/// The statuses in the job log.
fn logged(test: &Test) -> Vec<String> {
    let log = lines(test, "log");
    let status = |line: &String| line.split('\t').nth(3).unwrap().to_owned();
    log[1..].iter().map(status).collect()
}

#[test]
fn a_command_gets_as_many_as_it_may_and_the_rest_after_a_wait() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.script("work", WORK);
    queue.publish(["1", "2", "3", "4", "5\n"]);
    test.run("amqp-consume -q {queue} --idle-timeout 0s --batch 2 --batch-wait 100ms --framing lines --joblog log ./work")
        .succeeds();
    assert_eq!(lines(&test, "sizes"), ["2", "2", "1"]);
    assert_eq!(lines(&test, "got"), ["1", "2", "3", "4", "5"]);
    assert_eq!(logged(&test), ["0"; 5]);
    assert_eq!(queue.depth(), 0);
    nobody_is_left(&test);
}

#[test]
fn a_count_counts_messages() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.script("work", WORK);
    queue.publish(["1", "2", "3", "4", "5"]);
    // The last batch has all that the count allows, so it does not wait.
    test.run("amqp-consume -q {queue} -c 3 --batch 2 --batch-wait 1h --framing lines ./work")
        .succeeds();
    assert_eq!(lines(&test, "sizes"), ["2", "1"]);
    queue.holds(2);
}

#[test]
fn envelopes_are_lines_and_nothing_is_said_of_a_single_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a\nb", "c"]);
    test.run("amqp-consume -q {queue} -c 2 --batch 2 sh -c 'cat; env | grep ^AMQP_ | sort | grep -v ^AMQP_URL'")
        .stdout_contains(r#"{"body":"a\nb","exchange":"","routing_key":"{queue}""#)
        .stdout_contains("false}\nAMQP_BATCH_SIZE=2\nAMQP_QUEUE={queue}\n")
        .succeeds();
}

#[test]
fn a_batch_fails_as_a_whole() {
    let test = Test::new();
    let (queue, park) = (test.queue("queue").declare(), test.queue("park").declare());
    test.script("work", &format!("echo wrong >&2; {WORK}"));
    queue.publish(["1", "bad", "3"]);
    test.run("amqp-consume --quiet -q {queue} -c 3 --batch 3 --framing lines --max-attempts 1 --park {park} --joblog log ./work")
        .stderr("wrong\n")
        .exits(9);
    assert_eq!(logged(&test), ["9"; 3]);
    queue.holds(0);
    park.holds(3);
    test.run("amqp-get -q {park} -c 3 --json")
        .stdout_contains(r#""x-error":"wrong\n""#)
        .stdout_contains(r#"{"body":"bad""#)
        .succeeds();
}

#[test]
fn a_batch_that_is_split_fails_only_where_it_is_bad() {
    let test = Test::new();
    let (queue, park) = (test.queue("queue").declare(), test.queue("park").declare());
    test.script("work", WORK);
    queue.publish(["1", "2", "3", "bad", "5"]);
    test.run("amqp-consume --quiet -q {queue} -c 5 --batch 5 --split --framing lines --max-attempts 1 --park {park} ./work")
        .exits(9);
    assert_eq!(lines(&test, "sizes"), ["5", "3", "2", "1", "1"]);
    queue.holds(0);
    assert_eq!(park.take_texts(), ["bad"]);
}

#[test]
fn retries_come_before_the_batch_is_split() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.script(
        "work",
        &format!("[ -e tried ] || {{ touch tried; exit 1; }}; {WORK}"),
    );
    queue.publish(["1", "2"]);
    test.run("amqp-consume --quiet -q {queue} -c 2 --batch 2 --split --retries 1 --retry-delay 0s --framing lines ./work")
        .succeeds();
    assert_eq!(lines(&test, "sizes"), ["2"]);
}

#[test]
fn a_body_that_does_not_fit_is_in_no_batch() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.script("work", WORK);
    queue.publish(["1", "2\n2", "3"]);
    test.run("amqp-consume -q {queue} -c 3 --batch 3 --framing lines --on-exit 65=ack ./work")
        .stderr_contains("does not fit the framing")
        .exits(65);
    assert_eq!(lines(&test, "got"), ["1", "3"]);
    queue.holds(0);
}

#[test]
fn the_output_of_a_batch_is_one_message() {
    let test = Test::new();
    let (queue, next) = (test.queue("queue").declare(), test.queue("next").declare());
    test.run("amqp-publish -r {queue} --message-id one --priority 3 -b 1")
        .succeeds();
    test.run("amqp-publish -r {queue} --message-id two --priority 3 -b 2")
        .succeeds();
    test.run("amqp-publish -r {queue} --message-id three --priority 3 -b 3")
        .succeeds();
    test.run("amqp-consume -q {queue} -c 3 --batch 2 --framing lines --output-queue {next} cat")
        .succeeds();
    queue.holds(0);
    test.run("amqp-get -q {next} --json")
        .stdout(
            r#"{"body":"1\n2\n","exchange":"","routing_key":"{next}","delivery_mode":2,"redelivered":false}
"#,
        )
        .succeeds();
    test.run("amqp-get -q {next} --json")
        .stdout_contains(r#""correlation_id":"three""#)
        .stdout_contains(r#""priority":3"#)
        .succeeds();
    next.holds(0);
}

#[test]
fn a_signal_lets_a_batch_finish_and_gives_the_rest_back() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.script(
        "work",
        "cat >>got; touch started; while [ ! -e go ]; do sleep 0.05; done",
    );
    queue.publish(["1", "2", "3"]);
    let running = test
        .run("amqp-consume -q {queue} --batch 2 --batch-wait 1h --framing lines ./work")
        .spawn();
    eventually("the command", || test.path("started").exists());
    running.signal(Signal::TERM);
    test.file("go", "");
    running.exits(143);
    assert_eq!(lines(&test, "got"), ["1", "2"]);
    queue.holds(1);
}

#[test]
fn a_batch_that_takes_too_long_is_ended() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["1", "2"]);
    test.run("amqp-consume --quiet -q {queue} -c 2 --batch 2 --timeout 200ms sleep 60")
        .within(Duration::from_secs(20))
        .exits(124);
    queue.holds(2);
}

#[test]
fn what_does_not_go_together_is_a_usage_error() {
    let test = Test::new();
    for (flags, said) in [
        ("--batch 2 --coprocess", "--coprocess"),
        ("--batch 2 --reply", "--reply"),
        (
            "--batch 3 -j 2 -p 5",
            "--prefetch-count 5 is too few for --batch: 6",
        ),
        ("--batch 0", "--batch"),
        ("--split", "--batch"),
        ("--batch-wait 1s", "--batch"),
        ("--framing null", "--framing needs --batch or --coprocess"),
    ] {
        test.run(&format!("amqp-consume -q queue {flags} true"))
            .stderr_contains(said)
            .exits(1);
    }
}

#[test]
fn the_guides_examples_work() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["1", "2", "3"]);
    test.file("load.py", example("load.py"));
    test.run("amqp-consume -q {queue} -c 3 --batch 500 --batch-wait 100ms python3 load.py")
        .succeeds();
    let sum = "import sqlite3; print(*sqlite3.connect('results.db').execute('select sum(body) from results'))";
    test.run("python3 -c").arg(sum).stdout("(6,)\n").succeeds();
    queue.publish(["4", "5"]);
    test.run("amqp-consume -q {queue} -c 2 --batch 100 --framing null xargs -0 -n 1 echo got")
        .stdout("got 4\ngot 5\n")
        .succeeds();
    queue.holds(0);
}

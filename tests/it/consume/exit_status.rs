//! The exit status tells what became of the messages, and a message whose command failed is not lost.

use amiquip::ExchangeType;

use super::{PICKY, end_all, lines};
use crate::support::{Test, eventually};

#[test]
fn the_tutorials_line_works_as_pasted() {
    let test = Test::new();
    test.shell("amqp-declare-queue --url=$BROKER_URL -q {queue} -d {queue}")
        .stdout("{queue}\n")
        .succeeds();
    test.shell("amqp-publish --url=$BROKER_URL -r {queue} -p -b Hello")
        .succeeds();
    test.shell("amqp-consume --url=$BROKER_URL -q {queue} -c 1 cat && echo Hello")
        .stdout("HelloHello\n")
        .succeeds();
}

#[test]
fn a_failed_command_is_a_failed_run_and_its_message_goes_back() {
    for (command, status, complaint) in [
        ("sh -c 'exit 3'", 3, ""),
        ("sh -c 'exit 255'", 255, ""),
        ("sh -c 'kill -9 $$'", 137, ""),
        ("sh -c 'kill -TERM $$'", 143, ""),
        ("sh -c 'kill -34 $$'", 162, ""), // a real-time signal
        ("./missing", 127, "./missing: No such file or directory\n"),
        (
            "missing-everywhere",
            127,
            "missing-everywhere: No such file or directory\n",
        ),
        (
            "./file",
            126,
            "./file: Permission denied\n./file is a file without the permission to execute it; chmod +x ./file gives it\n",
        ),
        (
            "./empty",
            126,
            "./empty: Exec format error\n./empty does not begin with a line such as #!/bin/sh\n",
        ),
        (".", 126, ".: Permission denied\n"),
    ] {
        let test = Test::new();
        test.file("file", "");
        test.script("empty", "");
        // Written over, it stays executable.
        std::fs::write(test.path("empty"), "").unwrap();
        let queue = test.queue("queue").declare();
        queue.publish(["a"]);
        test.run(&format!("amqp-consume --quiet -q {{queue}} -c 1 {command}"))
            .stderr(complaint)
            .exits(status);
        queue.holds(1);
    }
}

#[test]
fn the_first_failure_is_the_status_of_many() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["0", "3", "0", "4"]);
    test.run("amqp-consume --quiet -q {queue} -c 4 sh -c 'exit $(cat)'")
        .exits(3);
    queue.holds(2);
    assert_eq!(queue.take_texts(), ["3", "4"]);
}

#[test]
fn one_bad_message_cannot_use_up_the_count() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["bad", "a", "b", "c"]);
    test.script("picky", PICKY);
    test.run("amqp-consume --quiet -q {queue} -c 3 ./picky")
        .exits(7);
    assert_eq!(lines(&test, "runs"), ["bad", "a", "b"]);
    queue.holds(2);
}

#[test]
fn all_good_is_status_0_and_an_empty_queue() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b", "c", "d"]);
    test.run("amqp-consume -q {queue} -c 3 cat")
        .stdout("abc")
        .succeeds();
    assert_eq!(queue.take_texts(), ["d"]);
}

#[test]
fn a_count_of_0_takes_nothing_and_leaves_no_trace() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} -c 0 cat").succeeds();
    assert!(!queue.take().unwrap().redelivered);
    test.run("amqp-consume -q {missing} -c 0 cat")
        .stderr_line("server channel error 404")
        .exits(1);
}

#[test]
fn a_command_need_not_read_its_input() {
    for command in [
        "true",
        "sh -c 'exec <&-; sleep 0.01'",
        "sh -c 'head -c 10 >/dev/null'",
    ] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        queue.publish([vec![b'x'; 1 << 20], Vec::new()]);
        test.run(&format!("amqp-consume -q {{queue}} -c 2 {command}"))
            .succeeds();
        queue.holds(0);
    }
}

#[test]
fn a_large_body_comes_through_whole() {
    let test = Test::new();
    let body: Vec<u8> = (0..=250).cycle().take(15 << 20).collect();
    test.file("expected", &body);
    test.queue("queue").declare().publish([&body]);
    test.run("amqp-consume -q {queue} -c 1 cmp - expected")
        .succeeds();
}

#[test]
fn what_a_command_leaves_running_holds_nothing_up() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish([vec![b'x'; 1 << 20]]);
    test.script("leave", "sleep 1000 >/dev/null 2>&1 <&0 &");
    test.run("amqp-consume -q {queue} -c 1 ./leave").succeeds();
    queue.holds(0);
    end_all(&test);
}

#[test]
fn without_a_count_the_tool_stays_and_failures_go_round() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["bad", "a", "b"]);
    test.script("picky", PICKY);
    let tool = test.run("amqp-consume --quiet -q {queue} ./picky").spawn();
    // The bad one at the head is out of the way at once, and comes again after a second.
    eventually("a second run of the bad message", || {
        lines(&test, "runs") == ["bad", "a", "b", "bad"]
    });
    tool.signal(crate::support::Signal::TERM);
    tool.exits(143);
    assert_eq!(queue.take_texts(), ["bad"]);
}

#[test]
fn wrong_usage_is_status_1_and_takes_nothing() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    for (line, complaint) in [
        ("-q {queue}", "consuming command not specified"),
        ("-q {queue} -j 0 cat", "'--jobs <N>'"),
        (
            "-q {queue} -r key cat",
            "--routing-key option requires an exchange name",
        ),
        (
            "-q {queue} --on-exit 0=ack cat",
            "'0' is no exit status of a failure",
        ),
        ("-q {queue} --on-exit 65 cat", "expected CODES=ACTION"),
        ("-q {queue} --on-failure drop cat", "'drop'"),
        ("-q {queue} --park bad cat", "--park needs --max-attempts"),
        ("-q {queue} --on-failure park cat", "needs --park"),
        ("-q {queue} --on-exit 3=park cat", "needs --park"),
        ("-q {queue} --halt 0 cat", "--halt"),
        ("-q {queue} --rate fast cat", "expected a rate"),
        ("-q {queue} --error-status 0 cat", "--error-status"),
        ("-q {queue} --json --halt 3", "--halt"),
        (
            "-q {queue} --max-attempts 2 --park {queue} cat",
            "--park must name another queue",
        ),
        (
            "-q {queue} --max-attempts 2 --park= cat",
            "--park needs the name",
        ),
        (
            "-q {queue} -A --on-failure ack cat",
            "--on-failure and --no-ack",
        ),
        ("-q {queue} --idle-status 3 cat", "--idle-timeout"),
        ("-q {queue} --timeout soon cat", "expected a duration"),
        ("-q {queue} --json cat", "'--json'"),
        (
            "-q {queue} --json --max-attempts 2",
            "--max-attempts and --json",
        ),
        (
            "-q {queue} --joblog /no/such/folder/log cat",
            "opening the job log /no/such/folder/log",
        ),
    ] {
        test.run(&format!("amqp-consume {line}"))
            .stderr_contains(complaint)
            .exits(1);
    }
    assert!(!queue.take().unwrap().redelivered);
}

#[test]
fn empty_routing_keys_between_others_are_skipped() {
    for (keys, bound, not_bound) in [
        ("one,,two,", ["one", "two"], ""),
        ("", ["", ""], "one"),
        (",", ["", ""], "one"),
    ] {
        let test = Test::new();
        let exchange = test.name("exchange");
        let other = test.queue("other").declare();
        other.bind_to(&ExchangeType::Direct, &exchange, "other");
        let tool = test
            .run("amqp-consume -q {queue} -e {exchange} -c 2 -r")
            .args([keys, "cat"])
            .stdout("aa")
            .spawn();
        let queue = test.queue("queue");
        eventually("the queue", || queue.exists());
        queue.has_consumers(1);
        test.run("amqp-publish -e {exchange} --mandatory -b a -r")
            .arg(not_bound)
            .any_stderr()
            .exits(1);
        for key in bound {
            test.run("amqp-publish -e {exchange} --mandatory -b a -r")
                .arg(key)
                .succeeds();
        }
        tool.succeeds();
    }
}

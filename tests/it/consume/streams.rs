//! Streams: where reading begins and ends, and what becomes of a failure where nothing can be given back.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use amiquip::{AmqpValue, FieldTable};
use crossbeam_channel::unbounded;
use rustix::process::Signal;

use super::{PICKY, has_lines, lines, sorted_lines};
use crate::monitoring::{ANY_PORT, address_of, becomes};
use crate::support::{Proxy, Queue, Test, eventually};
use crate::wire::{Server, pass_on};

/// Reads all that is there.
const READ: &str = "amqp-consume -q {stream} --offset first --idle-timeout 0s --quiet";

/// A stream with these messages.
fn stream<'test>(test: &'test Test, bodies: &[&str]) -> Queue<'test> {
    let kind = AmqpValue::LongString("stream".to_owned());
    let arguments = FieldTable::from([("x-queue-type".to_owned(), kind)]);
    let stream = test.queue("stream").declare_with(arguments);
    stream.publish(bodies);
    stream
}

#[test]
fn a_stream_is_read_from_where_it_is_said() {
    let test = Test::new();
    let _stream = stream(&test, &["a\n", "b\n", "c\n"]);
    for (offset, expected) in [
        ("first", "a\nb\nc\n"),
        ("0", "a\nb\nc\n"),
        ("2", "c\n"),
        ("10m", "a\nb\nc\n"),
        ("2020-01-31T12:00:00Z", "a\nb\nc\n"),
        ("2100-01-31T12:00:00+01:00", ""),
        ("next", ""),
        ("3", ""),
    ] {
        test.run(&format!(
            "amqp-consume -q {{stream}} --offset {offset} --idle-timeout 0s cat"
        ))
        .stdout(expected)
        .succeeds();
    }
}

/// The broker's count of its messages is up to 5 s old.
#[test]
fn the_end_of_a_stream_is_seen_at_once_and_all_before_it_is_read() {
    let test = Test::new();
    let stream = stream(&test, &[]);
    let bodies: Vec<String> = (0..3000).map(|number| format!("{number}\n")).collect();
    stream.publish(&bodies);
    let read = "amqp-consume -q {stream} --offset first --idle-timeout 0s -p 7 --json";
    let ended = test.run(read).any_stdout().succeeds();
    assert_eq!(ended.stdout_text().lines().count(), 3000);
}

/// Each command publishes another message: the end would never come nearer.
#[test]
fn what_comes_into_a_stream_after_the_run_began_is_left_to_the_next() {
    let test = Test::new();
    let stream = stream(&test, &["a", "b", "c"]);
    test.run(&format!(
        "{READ} -p 2 sh -c 'cat >>seen; amqp-publish -r {} -b more'",
        stream.name()
    ))
    .succeeds();
    assert_eq!(test.read("seen"), "abc");
    test.run("amqp-consume -q {stream} --offset 3 --idle-timeout 0s cat")
        .stdout("moremoremore")
        .succeeds();
}

/// The broker's count of a new stream is 0 for some seconds.
#[test]
fn a_stream_that_is_not_read_is_not_taken_for_an_empty_queue() {
    let test = Test::new();
    let _stream = stream(&test, &["a", "b"]);
    test.run("amqp-consume -q {stream} --idle-timeout 0s cat")
        .stderr_contains("--offset first")
        .exits(1);
}

/// The wait is as long as it was to be, so the status is that of a run without messages.
#[test]
fn who_waits_for_new_messages_of_a_stream_in_vain_is_told_what_is_read() {
    let test = Test::new();
    let _stream = stream(&test, &["a", "b"]);
    for limit in ["--idle-timeout 100ms", "--max-time 100ms"] {
        test.run(&format!(
            "amqp-consume -q {{stream}} {limit} --idle-status 9 cat"
        ))
        .stderr_contains(
            "'{stream}' is a stream, of which only new messages are read without --offset",
        )
        .exits(9);
    }
    test.queue("queue").declare();
    test.run("amqp-consume -q {queue} --idle-timeout 100ms cat")
        .succeeds();
}

#[test]
fn a_signal_ends_a_run_that_asks_whether_its_queue_is_a_stream() {
    let test = Test::new();
    let _stream = stream(&test, &["a"]);
    let broker = test.fill("{host}:{port}");
    let (sender, asked) = unbounded();
    let connections = AtomicUsize::new(0);
    let server = Server::start(move |client| {
        if connections.fetch_add(1, Ordering::SeqCst) == 0 {
            return pass_on(client, &broker);
        }
        sender.send(()).unwrap();
        io::copy(client, &mut io::sink()).map(drop)
    });
    let tool = test
        .run("amqp-consume -q {stream} --idle-timeout 100ms --connect-timeout 1h cat")
        .env("AMQP_URL", &format!("amqp://{}", server.address()))
        .spawn();
    asked.recv().unwrap();
    tool.signal(Signal::TERM);
    tool.succeeds();
}

#[test]
fn an_empty_stream_is_no_message() {
    let test = Test::new();
    let _stream = stream(&test, &[]);
    test.run(&format!("{READ} --idle-status 9 cat")).exits(9);
}

#[test]
fn the_first_failure_ends_the_run_and_names_where_to_go_on() {
    let test = Test::new();
    let _stream = stream(&test, &["good", "bad", "good", "bad"]);
    test.script("picky", PICKY);
    for options in [
        "",
        "--on-failure stop",
        "-c 4",
        "--retries 1 --retry-delay 0s",
    ] {
        test.run(&format!("{READ} {options} ./picky"))
            .stderr_contains("with --offset 1\n")
            .exits(7);
    }
    test.run("amqp-consume -q {stream} --offset 2 --idle-timeout 0s ./picky")
        .stderr_contains("the command failed with exit status 7; the run ends\n")
        .stderr_contains("with --offset 3\n")
        .exits(7);
}

/// The broker says with the first delivery that it is a stream.
#[test]
fn a_stream_is_known_without_being_said() {
    let test = Test::new();
    let _stream = stream(&test, &["good", "bad", "good"]);
    test.script("picky", PICKY);
    let read = "amqp-consume -q {stream} --consumer-argument x-stream-offset=first";
    test.run(&format!("{read} --idle-timeout 0s ./picky"))
        .stderr_contains("with --offset 1\n")
        .exits(7);
    for (options, named) in [
        ("--on-failure requeue", "--on-failure requeue"),
        ("--on-exit 9=reject", "--on-exit CODES=reject"),
        ("--on-failure retry:1s", "--on-failure retry:DURATION"),
        ("--max-attempts 3", "--max-attempts"),
        ("-A", "--no-ack"),
    ] {
        test.run(&format!("{read} {options} sh -c '>ran'"))
            .stderr_contains("the queue is a stream")
            .stderr_contains(named)
            .exits(1);
    }
    assert!(!test.path("ran").exists());
    test.run(&format!(
        "{read} --idle-timeout 0s --quiet --on-failure ack ./picky"
    ))
    .succeeds();
}

#[test]
fn failures_are_read_past_or_parked() {
    let test = Test::new();
    let parking = test.queue("parking").declare();
    let _stream = stream(&test, &["good", "bad", "good"]);
    test.script("picky", PICKY);
    test.run(&format!("{READ} --on-failure ack ./picky"))
        .succeeds();
    test.run(&format!("{READ} --on-failure ack -c 3 ./picky"))
        .stderr_contains("with --offset 3\n")
        .exits(7);
    test.run(&format!(
        "{READ} --on-failure park --park {{parking}} ./picky"
    ))
    .succeeds();
    assert_eq!(lines(&test, "done").len(), 6);
    // What is parked is a message of a queue again.
    test.run(
        "amqp-consume -q {parking} --idle-timeout 0s -c 1 --quiet --on-failure requeue ./picky",
    )
    .exits(7);
    let parked = parking.take().unwrap();
    let headers = parked.properties.headers().clone().unwrap();
    assert!(!headers.contains_key("x-stream-offset"), "{headers:?}");
}

#[test]
fn what_runs_beside_a_failure_is_finished_and_the_lowest_offset_is_named() {
    let test = Test::new();
    let _stream = stream(&test, &["slow", "bad", "untried", "untried"]);
    test.script(
        "work",
        "read -r body; case $body in \
         slow) while [ ! -e bad-ran ]; do sleep 0.05; done; sleep 0.3; >done; exit $SLOW;; \
         bad) >bad-ran; exit 70;; *) >tried; esac",
    );
    for (slow, offset) in [("0", 1), ("9", 0)] {
        test.run(&format!("{READ} -j 2 ./work"))
            .env("SLOW", slow)
            .stderr_contains(&format!("with --offset {offset}\n"))
            .exits(70);
        assert!(test.path("done").exists() && !test.path("tried").exists());
    }
}

#[test]
fn a_command_that_takes_too_long_or_is_killed_has_failed() {
    let test = Test::new();
    let _stream = stream(&test, &["a", "b"]);
    test.run(&format!("{READ} --timeout 200ms sleep 60"))
        .stderr_contains("with --offset 0\n")
        .exits(124);
    test.run(&format!("{READ} sh -c 'kill -9 $$'"))
        .stderr_contains("with --offset 0\n")
        .exits(137);
    test.run(&format!("{READ} ./missing"))
        .stderr_contains("with --offset 0\n")
        .exits(127);
}

#[test]
fn a_batch_that_fails_names_its_first_message() {
    let test = Test::new();
    let _stream = stream(&test, &["good", "good", "bad", "good"]);
    let batch = "--batch 2 --batch-wait 100ms --framing lines sh -c '! grep bad'";
    test.run(&format!("{READ} {batch}"))
        .stdout("bad\n")
        .stderr_contains("with --offset 2\n")
        .exits(1);
    test.run(&format!(
        "amqp-consume -q {{stream}} --offset 1 --idle-timeout 0s --split {batch}"
    ))
    .stdout("bad\nbad\n")
    .stderr_contains("with --offset 2\n")
    .exits(1);
}

#[test]
fn a_child_that_answers_with_a_failure_ends_the_run() {
    let test = Test::new();
    let _stream = stream(&test, &["good", "bad", "good", "good"]);
    test.script(
        "child",
        "while read -r body; do echo $body >>seen; [ $body = bad ] && echo 7 >&3 || echo 0 >&3; done",
    );
    test.run(&format!("{READ} --coprocess --framing lines ./child"))
        .stderr_contains("with --offset 1\n")
        .exits(7);
    assert_eq!(lines(&test, "seen"), ["good", "bad"]);
}

#[test]
fn a_signal_lets_commands_finish_and_names_where_to_go_on() {
    let test = Test::new();
    let _stream = stream(&test, &["a", "b", "c", "d"]);
    let tool = test
        .run("amqp-consume -q {stream} --offset 1 -p 3 sh -c '>ran; while [ ! -e go ]; do sleep 0.05; done'")
        .stderr_contains("with --offset 2\n")
        .spawn();
    eventually("a command", || test.path("ran").exists());
    tool.signal(Signal::TERM);
    test.file("go", "");
    tool.exits(143);
}

#[test]
fn a_line_that_cannot_be_written_is_where_to_go_on() {
    let test = Test::new();
    let _stream = stream(&test, &["a", "b"]);
    test.run("amqp-consume -q {stream} --offset first --json")
        .stdout_to("/dev/full")
        .stderr_contains("with --offset 0\n")
        .exits(1);
}

#[test]
fn a_lost_connection_is_no_reason_to_begin_anew_and_the_count_stays_right() {
    for (options, runs) in [
        ("--idle-timeout 0s", "0 1 2 2 3 4 5"),
        ("-c 4", "0 1 2 2 3"),
    ] {
        let test = Test::new();
        let _stream = stream(&test, &["0", "1", "2", "3", "4", "5"]);
        let proxy = Proxy::before(&test);
        test.script(
            "work",
            "read -r body; echo $body >>runs; [ $body != 2 ] || while [ ! -e go ]; do sleep 0.05; done",
        );
        let tool = test
            .run(&format!(
                "amqp-consume -q {{stream}} --offset first {options} --retry 1m ./work"
            ))
            .env("AMQP_URL", &proxy.url())
            .stderr_contains("connecting anew")
            .spawn();
        has_lines(&test, "runs", 3);
        proxy.cut();
        eventually("a new connection", || proxy.connections() > 1);
        test.file("go", "");
        tool.succeeds();
        assert_eq!(lines(&test, "runs").join(" "), runs, "{options}");
    }
}

/// The prefetch limit keeps the last message that came among the first ones.
#[test]
fn another_stream_of_the_same_name_is_not_read_on() {
    let test = Test::new();
    test.script(
        "work",
        "read -r body; echo $body >>runs; [ $body != 3 ] || while [ ! -e go ]; do sleep 0.05; done",
    );
    for bodies in [&["a"][..], &["a", "b", "c", "d", "e", "f", "g"][..]] {
        let old = stream(&test, &["0", "1", "2", "3", "4", "5"]);
        let proxy = Proxy::before(&test);
        let tool = test
            .run("amqp-consume -q {stream} --offset first -p 1 --idle-timeout 5s --retry 1m ./work")
            .env("AMQP_URL", &proxy.url())
            .stderr_contains("connecting anew")
            .stderr_contains("is another one than before the connection was lost")
            .stderr_contains("--offset 3")
            .spawn();
        has_lines(&test, "runs", 4);
        proxy.refuse();
        old.delete();
        let new = stream(&test, bodies);
        proxy.resume();
        test.file("go", "");
        tool.exits(1);
        assert_eq!(lines(&test, "runs"), ["0", "1", "2", "3"]);
        new.delete();
        for file in ["runs", "go"] {
            std::fs::remove_file(test.path(file)).unwrap();
        }
    }
}

#[test]
fn a_failure_that_comes_again_after_a_lost_connection_counts_once() {
    let test = Test::new();
    let _stream = stream(&test, &["0", "1", "2", "3", "4", "5"]);
    let proxy = Proxy::before(&test);
    test.script(
        "work",
        "read -r body; echo $body >>runs; [ $body != 1 ] || exit 7; while [ ! -e go ]; do sleep 0.05; done",
    );
    let tool = test
        .run("amqp-consume -q {stream} --offset first -j 2 -c 4 --on-failure ack --quiet --retry 1m ./work")
        .env("AMQP_URL", &proxy.url())
        .stderr_contains("connecting anew")
        .spawn();
    has_lines(&test, "runs", 3);
    proxy.cut();
    eventually("a new connection", || proxy.connections() > 1);
    test.file("go", "");
    tool.exits(7);
    assert_eq!(
        sorted_lines(&test, "runs"),
        ["0", "0", "1", "1", "2", "2", "3"]
    );
}

#[test]
fn what_comes_while_the_connection_is_lost_is_not_skipped() {
    // The last chunk of an empty stream is that of the next message.
    for (offset, before) in [("next", &["old"][..]), ("last", &[])] {
        reads_what_comes_meanwhile(offset, before);
    }
}

fn reads_what_comes_meanwhile(offset: &str, before: &[&str]) {
    let test = Test::new();
    let stream = stream(&test, before);
    let proxy = Proxy::before(&test);
    let mut tool = test
        .run(&format!(
            "amqp-consume -q {{stream}} --offset {offset} --retry 1m"
        ))
        .args(ANY_PORT)
        .args(["sh", "-c", "cat >>seen; echo >>seen"])
        .env("AMQP_URL", &proxy.url())
        .stderr_contains("connecting anew")
        .spawn();
    let address = address_of(&mut tool);
    becomes(&address, "/readyz", 200);
    proxy.refuse();
    becomes(&address, "/readyz", 503);
    for body in ["new", "newer"] {
        stream.publish([body]);
    }
    proxy.resume();
    has_lines(&test, "seen", 2);
    tool.signal(Signal::TERM);
    tool.exits(143);
    assert_eq!(lines(&test, "seen"), ["new", "newer"]);
}

/// Messages that were copied from a stream to a queue may have its header.
#[test]
fn the_header_of_a_stream_makes_no_queue_a_stream() {
    let test = Test::new();
    let quorum = AmqpValue::LongString("quorum".to_owned());
    let arguments = FieldTable::from([("x-queue-type".to_owned(), quorum)]);
    for arguments in [FieldTable::new(), arguments] {
        let queue = test.queue("queue").declare_with(arguments);
        for header in ["5", "5", "3"] {
            test.run(&format!(
                "amqp-publish -r {{queue}} -p -b a --typed-header x-stream-offset={header}"
            ))
            .succeeds();
        }
        queue.publish(["b"]);
        // In a stream, a message that came before would not count, and the fourth would be missed.
        test.run("amqp-consume -q {queue} -c 1 --on-failure requeue --quiet false")
            .exits(1);
        test.run("amqp-consume -q {queue} -c 4 sh -c 'cat >>seen; echo >>seen'")
            .succeeds();
        assert_eq!(sorted_lines(&test, "seen"), ["a", "a", "a", "b"]);
        std::fs::remove_file(test.path("seen")).unwrap();
        queue.holds(0);
        queue.delete();
    }
}

#[test]
fn a_queue_is_no_stream() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume -q {queue} --offset first sh -c '>ran'")
        .any_stderr()
        .exits(1);
    assert!(!test.path("ran").exists());
    queue.holds(1);
}

#[test]
fn what_is_not_for_streams_is_a_usage_error() {
    let test = Test::new();
    for (options, complaint) in [
        (
            "--offset first --on-failure requeue",
            "--on-failure requeue and --offset cannot",
        ),
        (
            "--offset first --on-exit 9=retry:1s",
            "--on-exit CODES=retry:DURATION and --offset",
        ),
        (
            "--offset first --max-attempts 2",
            "--max-attempts and --offset cannot",
        ),
        ("--offset first -A", "--no-ack and --offset cannot"),
        ("--offset first -x", "--offset is for a stream that exists"),
        (
            "--offset first --consumer-argument x-stream-offset=3",
            "--consumer-argument x-stream-offset and --offset",
        ),
        ("--offset soon", "2026-01-31T12:00:00Z"),
    ] {
        test.run(&format!("amqp-consume -q s {options} cat"))
            .stderr_contains(complaint)
            .exits(1);
    }
}

//! amqp-publish --checkpoint: after whatever ended a run, the same command goes on where all before is confirmed.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::support::{Proxy, Running, Signal, Test, eventually, eventually_some};

/// A test with a queue, `{queue}`, and a file `lines` of so many lines.
fn with_lines(count: u32) -> Test {
    let test = Test::new();
    test.queue("queue").declare();
    let lines: String = (1..=count)
        .flat_map(|number| [number.to_string(), "\n".to_owned()])
        .collect();
    test.file("lines", lines);
    test
}

const SEED: &str = "amqp-publish -r {queue} -l --chomp lines --checkpoint checkpoint";

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Up to which record the checkpoint says that all are confirmed.
fn record_in(test: &Test, checkpoint: &str) -> u64 {
    let saved = test.read(checkpoint);
    let Some((_, place)) = saved.split_once("\"record\":") else {
        return 0;
    };
    let digits: String = place.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn after_a_complete_run_nothing_is_published_again() {
    let test = with_lines(3000);
    test.run(SEED).succeeds();
    test.queue("queue").holds(3000);
    test.run(SEED)
        .arg("--json")
        .stdout_contains("{\"published\":0,\"confirmed\":0,")
        .succeeds();
    test.queue("queue").holds(3000);
}

#[test]
fn an_empty_input_has_no_place() {
    let test = with_lines(0);
    test.run(SEED).succeeds();
    test.run(SEED).succeeds();
    test.queue("queue").holds(0);
}

#[test]
fn a_run_that_failed_goes_on_behind_what_is_confirmed() {
    for (kind, records) in [
        ("-l", "1\n2\n3\n4\n"),
        ("-0", "1\x002\x003\x004"),
        (
            "--jsonl",
            "{\"body\":\"1\"}\n{\"body\":\"2\"}\n{\"body\":\"3\"}\n{\"body\":\"4\"}\n",
        ),
    ] {
        let test = Test::new();
        test.file("a", records);
        test.file("b", "");
        test.file("c", records);
        let seed = format!("amqp-publish -r {{queue}} {kind} --checkpoint checkpoint a b c");
        test.run(&seed).any_stderr().exits(1);
        test.queue("queue").declare();
        fs::rename(test.path("c"), test.path("hidden")).unwrap();
        test.run(&seed)
            .stderr(
                "reading c: No such file or directory\n\
                 4 messages confirmed; the first unconfirmed is c:1\n",
            )
            .exits(1);
        fs::rename(test.path("hidden"), test.path("c")).unwrap();
        test.run(&seed).succeeds();
        test.queue("queue").holds(8);
        test.run(&seed).succeeds();
        test.queue("queue").holds(8);
    }
}

#[test]
fn whole_files_are_gone_on_with_too() {
    let test = Test::new();
    test.queue("queue").declare();
    test.file("a", "a");
    test.file("b", "b");
    let seed = "amqp-publish -r {queue} --checkpoint checkpoint a b missing";
    test.run(seed)
        .stderr(
            "reading missing: No such file or directory\n\
             2 messages confirmed; the first unconfirmed is missing:1\n",
        )
        .exits(1);
    test.file("list", "a\nb\n");
    for list in ["--files-from list", "--files-from -"] {
        let seed = format!("amqp-publish -r {{queue}} {list} --checkpoint listed");
        test.run(&seed).stdin("a\nb\n").succeeds();
    }
    assert_eq!(test.queue("queue").take_texts(), ["a", "b", "a", "b"]);
}

#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let test = with_lines(200);
    let lines = fs::read_to_string(test.path("lines")).unwrap();
    let seed = "amqp-publish -r {queue} -l --chomp --checkpoint checkpoint -";
    let mut publish = test
        .run(seed)
        .stdin_stays_open()
        .stderr_contains("interrupted; 120 ")
        .spawn();
    let (begun, _) = lines.split_at(lines.find("121\n").unwrap());
    publish.write(begun);
    eventually("the checkpoint is written while nothing comes", || {
        record_in(&test, "checkpoint") == 120
    });
    publish.signal(Signal::TERM);
    publish.has_complained("interrupted");
    publish.exits(143);
    test.run(seed).stdin(&lines).succeeds();
    assert_eq!(test.queue("queue").take_texts(), numbers(1..=200));
}

#[test]
fn another_stream_is_refused_by_what_was_confirmed_last() {
    let test = Test::new();
    test.queue("queue").declare();
    let seed = "amqp-publish -r {queue} -l --checkpoint checkpoint";
    test.run(seed).stdin("1\n2\n3\n").succeeds();
    test.run(seed)
        .stdin("1\n2\nx\n4\n")
        .stderr_contains(
            "the input was edited: what is in - up to record 3 is not what is confirmed",
        )
        .exits(1);
    test.run(seed)
        .stdin("1\n")
        .stderr_contains("the input was cut: - ends before record 3, up to which all is confirmed")
        .exits(1);
    test.run(seed).stdin("1\n2\n3\n4\n").succeeds();
    assert_eq!(
        test.queue("queue").take_texts(),
        ["1\n", "2\n", "3\n", "4\n"]
    );
}

/// What is asked for besides the checkpoint, and the complaint.
#[test]
fn a_checkpoint_of_another_subject_is_refused() {
    let test = with_lines(9);
    test.run(SEED).succeeds();
    let before = test.read("checkpoint");
    for (what, complaint) in [
        ("-r {queue} -0 lines", "another kind of record"),
        ("-r {queue} lines", "another kind of record"),
        ("-r {queue} -l lines", "another kind of record"),
        (
            "-r {queue} -l --chomp lines -p",
            "another set of properties",
        ),
        (
            "-r {queue} -l --chomp lines --auto-message-id",
            "another set of properties",
        ),
        ("-r {other} -l --chomp lines", "another routing key"),
        (
            "-e amq.direct -r {queue} -l --chomp lines",
            "another exchange",
        ),
        (
            "-r {queue} -l --chomp lines -u amqp://localhost:1",
            "another host or port",
        ),
        (
            "-r {other} -l lines -u amqp://localhost:1/v",
            "another host or port and another virtual host and another routing key and another kind of record",
        ),
    ] {
        test.run(&format!("amqp-publish --checkpoint checkpoint {what}"))
            .stderr_line(&format!(
                "checkpoint checkpoint: it was made for {complaint}"
            ))
            .exits(1);
    }
    assert_eq!(test.read("checkpoint"), before);
    test.queue("queue").holds(9);
}

#[test]
fn a_file_that_can_be_no_checkpoint_is_refused() {
    let test = with_lines(9);
    test.file("other", "1\n");
    test.file(
        "old",
        "{\"amqp-publish checkpoint\":1,\"inputs\":1,\"identity\":\"0\",\"records\":\"lines\"}\n",
    );
    for (file, complaint) in [
        ("other", "not a file that amqp-publish has written"),
        ("old", "an older amqp-publish has written it"),
        (".", "Is a directory"),
        ("no/where", "No such file or directory"),
        ("/dev/full", "not a file that amqp-publish has written"),
    ] {
        test.run("amqp-publish -r {queue} -l lines --checkpoint")
            .arg(file)
            .stderr_line(complaint)
            .exits(1);
    }
    test.queue("queue").holds(0);
}

#[test]
fn an_input_that_was_edited_or_cut_is_refused() {
    let test = with_lines(9);
    test.run(SEED).succeeds();
    let before = test.read("checkpoint");
    for (lines, complaint) in [
        (
            "7\n2\n3\n4\n5\n6\n7\n8\n9\n",
            "the input was edited: what is in lines up to record 9 is not what is confirmed",
        ),
        (
            "1\n2\n3\n4\n5\n6\n7\n9\n8\n10\n",
            "the input was edited: what is in lines up to record 9 is not what is confirmed",
        ),
        (
            "1\n2\n3\n4\n5\n6\n7\n8\n9",
            "the input was cut: lines ends before record 9, up to which all is confirmed",
        ),
        ("", "the input was cut: lines ends before record 9"),
    ] {
        test.file("lines", lines);
        test.run(SEED).stderr_line(complaint).exits(1);
    }
    test.file("same", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    test.run("amqp-publish -r {queue} -l --chomp same --checkpoint checkpoint")
        .stderr_line("the input was edited: what is in same up to record 9")
        .exits(1);
    assert_eq!(test.read("checkpoint"), before);
    test.queue("queue").holds(9);
}

#[test]
fn an_input_that_was_appended_to_is_gone_on_with() {
    let test = with_lines(3);
    test.run(SEED).succeeds();
    test.file("lines", "1\n2\n3\n4\n5");
    test.run(SEED).succeeds();
    test.file("more", "6\n");
    let both = "amqp-publish -r {queue} -l --chomp lines more --checkpoint checkpoint";
    test.run(both).succeeds();
    assert_eq!(test.queue("queue").take_texts(), numbers(1..=6));
    // What comes before the place may not change any more, and a record that ended with its file may not go on.
    test.file("lines", "1\n2\n3\n4\n5\n5.5\n");
    test.run(both)
        .stderr_line("the input was edited: what is in more up to record 1")
        .exits(1);
    test.file("lines", "1\n2\n3\n4\n5");
    test.file("more", "6\n7");
    test.run(both).succeeds();
    test.file("more", "6\n78\n");
    test.run(both)
        .stderr_line("the input was edited: more goes on in record 2")
        .exits(1);
    test.run(SEED)
        .stderr_line("the input was cut: there is 1 input, and 2 are confirmed or begun")
        .exits(1);
    assert_eq!(test.queue("queue").take_texts(), ["7"]);
}

#[test]
fn whole_files_may_not_change_but_there_may_be_more() {
    let test = Test::new();
    test.queue("queue").declare();
    for (name, text) in [("a", "a"), ("empty", ""), ("b", "b"), ("c", "c")] {
        test.file(name, text);
    }
    let seed = |files: &str| {
        test.run(&format!(
            "amqp-publish -r {{queue}} --checkpoint checkpoint {files}"
        ))
    };
    seed("a empty").succeeds();
    seed("a empty").succeeds();
    seed("a empty b").succeeds();
    seed("a b empty")
        .stderr_line("the input was cut: empty ends before record 1")
        .exits(1);
    test.file("b", "bb");
    seed("a empty b c")
        .stderr_line("the input was edited: b goes on in record 1")
        .exits(1);
    assert_eq!(test.queue("queue").take_texts(), ["a", "", "b"]);
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_the_run_before_anything_is_sent() {
    let test = with_lines(9);
    // Files may not grow, as on a full disk; a write that would make one grow fails.
    test.shell(
        "trap '' XFSZ; ulimit -f 0; exec amqp-publish -r {queue} -l lines --checkpoint checkpoint",
    )
    .stderr_line("checkpoint checkpoint: File too large")
    .exits(1);
    test.queue("queue").holds(0);
    // What that left behind is no obstacle.
    test.run(SEED).succeeds();
    test.queue("queue").holds(9);
}

#[test]
fn a_checkpoint_serves_one_run_at_a_time() {
    let test = with_lines(0);
    let seed = "amqp-publish -r {queue} -l --checkpoint checkpoint";
    let mut first = test.run(seed).stdin_stays_open().spawn();
    first.write("1\n");
    test.queue("queue").holds(1);
    test.run(seed)
        .stderr_line("another amqp-publish is using it")
        .exits(1);
    first.close_stdin();
    first.succeeds();
}

/// How many messages may be unconfirmed, or confirmed without the checkpoint's knowing it.
const WINDOW: u64 = 40;
const LINES: u32 = 5000;
const KILLS: u64 = 20;

#[test]
fn killed_at_any_moment_nothing_is_lost_and_little_is_sent_twice() {
    let test = with_lines(LINES);
    // A slow way to the broker, so that a run is still under way when it is to be killed.
    let proxy = Proxy::before(&test);
    proxy.delay(Duration::from_millis(5));
    let seed = format!("{SEED} --max-in-flight {WINDOW} --url {}", proxy.url());
    let stride = u64::from(LINES) / (KILLS + 10);
    for kill in 1..=KILLS {
        let mut publish = test.run(&seed).any_stderr().spawn();
        // Anywhere within the next stride: the moments differ with the machine's mood as well.
        let moment = kill * stride + kill * 37 % stride;
        wait_until_confirmed(&test, &mut publish, moment);
        publish.signal(Signal::KILL);
        publish.dies_of(Signal::KILL);
    }
    test.run(&seed).succeeds();
    test.run(&seed)
        .arg("--json")
        .stdout_contains("{\"published\":0,")
        .succeeds();

    let mut copies: BTreeMap<String, u64> = BTreeMap::new();
    let queue = test.queue("queue");
    for line in test
        .run("amqp-get -q {queue} -c 1000000 --json")
        .any_stdout()
        .succeeds()
        .stdout_text()
        .lines()
    {
        *copies.entry(line.to_owned()).or_default() += 1;
    }
    queue.holds(0);
    for number in numbers(1..=LINES) {
        let line = test.fill(&format!(
            "{{\"body\":\"{number}\",\"exchange\":\"\",\"routing_key\":\"{{queue}}\",\"delivery_mode\":1,\"redelivered\":false}}"
        ));
        assert!(copies.contains_key(&line), "{number} is lost");
    }
    assert_eq!(copies.len(), LINES as usize);
    let duplicates = copies.values().sum::<u64>() - u64::from(LINES);
    assert!(duplicates <= KILLS * WINDOW, "{duplicates} were sent twice");
}

#[track_caller]
fn wait_until_confirmed(test: &Test, publish: &mut Running<'_>, record: u64) {
    eventually_some("the checkpoint proceeds", || {
        let reached = record_in(test, "checkpoint") >= record;
        (reached || publish.has_ended()).then_some(())
    });
    assert!(!publish.has_ended(), "it ended before {record}");
}

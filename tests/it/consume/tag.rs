//! Lines of many commands, told apart.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use amiquip::AmqpProperties;

use super::end_all;
use crate::support::{Signal, Test};

#[test]
fn each_line_says_which_message_it_is_of() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let properties = AmqpProperties::default().with_message_id("first\nid".to_owned());
    queue.publish_with("a\nb", &properties);
    queue.publish(["c\n"]);
    test.run("amqp-consume -q {queue} -c 2 --tag sh -c 'cat; echo complaint >&2'")
        .stdout("first id\ta\nfirst id\tb\n2\tc\n")
        .stderr("first id\tcomplaint\n2\tcomplaint\n")
        .succeeds();
}

#[test]
fn lines_of_several_commands_are_whole() {
    const SIZE: usize = 1 << 20;
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let mut lines = String::new();
    for number in 0.. {
        let _ = writeln!(lines, "{number} {}", "x".repeat(number % 300));
        if lines.len() > SIZE {
            break;
        }
    }
    test.file("lines", &lines);
    for job in ["1", "2", "3", "4"] {
        let properties = AmqpProperties::default().with_message_id(job.to_owned());
        queue.publish_with("", &properties);
    }
    // Pieces of an odd size on both streams, so that their lines meet in the middle.
    let finished = test
        .run("amqp-consume -q {queue} -j 4 -c 4 --tag sh -c 'dd if=lines bs=997 status=none & dd if=lines bs=1009 status=none >&2; wait'")
        .any_stdout()
        .any_stderr()
        .succeeds();
    for text in [finished.stdout_text(), finished.stderr_text()] {
        let mut by_job: BTreeMap<&str, String> = BTreeMap::new();
        for line in text.split_inclusive('\n') {
            let (job, line) = line.split_once('\t').unwrap();
            by_job.entry(job).or_default().push_str(line);
        }
        assert_eq!(by_job.keys().collect::<Vec<_>>(), [&"1", &"2", &"3", &"4"]);
        assert!(by_job.values().all(|written| *written == lines));
    }
}

#[test]
fn both_streams_may_be_one_file() {
    let test = Test::new();
    test.queue("queue").declare().publish(["1", "2"]);
    let written = test
        .shell("exec amqp-consume -q {queue} -j 2 -c 2 --tag sh -c 'yes | head -n 50000; yes no | head -n 50000 >&2' 2>&1")
        .any_stdout()
        .succeeds()
        .stdout_text();
    let whole = ["1\ty", "1\tno", "2\ty", "2\tno"];
    assert!(written.lines().all(|line| whole.contains(&line)));
    assert_eq!(written.lines().count(), 200_000);
}

#[test]
fn standard_error_is_tagged_where_the_output_is_published() {
    let test = Test::new();
    let next = test.queue("next").declare();
    test.queue("queue").declare().publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 --tag --output-queue {next} sh -c 'cat; echo word >&2'")
        .stderr("1\tword\n")
        .succeeds();
    assert_eq!(next.take_texts(), ["a"]);
}

#[test]
fn the_end_of_a_command_does_not_wait_for_ever_for_readers_of_standard_error() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish((0..60).map(|number| number.to_string()));
    test.run("amqp-consume -q {queue} -c 60 --tag sh -c 'echo complaint >&2'")
        .stderr_full()
        .succeeds();
    queue.holds(0);
}

#[test]
fn signals_are_heard_though_nobody_reads() {
    for stream in ["", " >&2"] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        queue.publish(["a"]);
        let worker = test
            .run(&format!(
                "amqp-consume -q {{queue}} --grace 100ms --tag sh -c 'touch begun; yes{stream}'"
            ))
            .stdout_unread()
            .stderr_full()
            .spawn();
        test.wait_for_file("begun");
        worker.signal(Signal::TERM);
        worker.exits(143);
        queue.holds(1);
        end_all(&test);
    }
}

#[test]
fn a_command_fails_whose_output_cannot_be_written() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --tag cat")
        .stdout_to("/dev/full")
        .stderr_line("writing to standard output: No space left on device; commands that write there fail from now on")
        .exits(1);
    queue.holds(1);
}

#[test]
fn a_command_that_writes_nothing_has_no_need_of_standard_output() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b", "c"]);
    test.run("amqp-consume --quiet -q {queue} -c 3 --tag sed -n /a/p")
        .stdout_to("/dev/full")
        .stderr_line("writing to standard output: No space left on device; commands that write there fail from now on")
        .exits(1);
    queue.holds(1);
}

#[test]
fn a_command_learns_that_nobody_reads_its_output() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    test.run("amqp-consume --quiet -q {queue} -c 1 --tag yes")
        .stdout_closed()
        .stderr_line(
            "writing to standard output: Broken pipe; commands that write there fail from now on",
        )
        .exits(141);
}

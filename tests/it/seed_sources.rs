//! amqp-publish: files, lists of files, and the records in them.

use std::time::Duration;

use amiquip::FieldTable;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Proxy, Signal, Test, eventually};

/// A test with a queue, `{queue}`.
fn with_queue() -> Test {
    let test = Test::new();
    test.queue("queue").declare();
    test
}

#[test]
fn each_file_is_a_message() {
    let test = with_queue();
    test.file("a", "one\ntwo\n");
    test.file("b", "");
    test.file("c", b"\0\xff");
    test.run("amqp-publish -r {queue} a b c").succeeds();
    let bodies: Vec<Vec<u8>> = bodies(&test);
    assert_eq!(bodies, [&b"one\ntwo\n"[..], b"", b"\0\xff"]);
}

fn bodies(test: &Test) -> Vec<Vec<u8>> {
    let messages = test.queue("queue").take_all();
    messages.into_iter().map(|message| message.body).collect()
}

fn texts(test: &Test) -> Vec<String> {
    test.queue("queue").take_texts()
}

#[test]
fn each_line_of_each_file_is_a_message() {
    let test = with_queue();
    test.file("a", "1\n\n2");
    test.file("b", "3\r\n4\n");
    test.run("amqp-publish -r {queue} -l a b").succeeds();
    assert_eq!(texts(&test), ["1\n", "\n", "2", "3\r\n", "4\n"]);
    test.run("amqp-publish -r {queue} -l --chomp a b")
        .succeeds();
    assert_eq!(texts(&test), ["1", "", "2", "3\r", "4"]);
}

#[test]
fn what_is_between_nuls_is_a_message() {
    let test = with_queue();
    test.file("a", "1\n\0\0last");
    test.run("amqp-publish -r {queue} -0 a -")
        .stdin("x\0y\0")
        .succeeds();
    assert_eq!(texts(&test), ["1\n", "", "last", "x", "y"]);
    test.run("amqp-publish -r {queue} --null")
        .stdin("z")
        .succeeds();
    assert_eq!(texts(&test), ["z"]);
}

#[test]
fn standard_input_may_stand_among_the_files() {
    let test = with_queue();
    test.file("a", "a");
    test.file("-", "never read");
    test.run("amqp-publish -r {queue} a - ./-")
        .stdin("in")
        .succeeds();
    assert_eq!(texts(&test), ["a", "in", "never read"]);
}

#[test]
fn files_may_be_named_in_a_list() {
    let test = with_queue();
    test.file("a", "a");
    test.file("b c", "b");
    test.file("d\ne", "d");
    test.file("list", "a\nb c");
    test.file("list0", "d\ne\0a\0");
    test.run("amqp-publish -r {queue} --files-from list")
        .succeeds();
    test.run("amqp-publish -r {queue} --files-from -")
        .stdin("a\n")
        .succeeds();
    test.run("amqp-publish -r {queue} --files0-from list0")
        .succeeds();
    test.shell("find . -name 'b*' -print0 | amqp-publish -r {queue} --files0-from=-")
        .succeeds();
    assert_eq!(texts(&test), ["a", "b", "a", "d", "a", "b"]);
}

#[test]
fn a_list_with_an_empty_name_is_an_error_at_its_line() {
    let test = with_queue();
    test.file("a", "a");
    test.run("amqp-publish -r {queue} --files-from -")
        .stdin("a\n\na\n")
        .stderr("reading -:2: an empty file name\n1 message confirmed\n")
        .exits(1);
    assert_eq!(texts(&test), ["a"]);
}

#[test]
fn a_list_of_the_other_kind_is_told_from_a_long_name() {
    let test = with_queue();
    test.run("amqp-publish -r {queue} --files-from -")
        .stdin("a\0b\0")
        .stderr_contains("reading -:1: a NUL")
        .stderr_contains("--files0-from")
        .exits(1);
    assert_eq!(texts(&test), [""; 0]);
}

#[test]
fn a_file_that_cannot_be_read_stops_the_run_before_anything_of_it_is_sent() {
    let test = with_queue();
    test.file("a", "1\n2\n");
    test.run("amqp-publish -r {queue} -l a missing a")
        .stderr(
            "reading missing: No such file or directory\n\
             2 messages confirmed; the first unconfirmed is missing:1\n",
        )
        .exits(1);
    test.run("amqp-publish -r {queue} . a")
        .stderr("reading .: is a directory\n0 messages confirmed; the first unconfirmed is .:1\n")
        .exits(1);
    assert_eq!(texts(&test), ["1\n", "2\n"]);
}

#[test]
fn a_line_is_sent_as_soon_as_it_is_read() {
    let test = with_queue();
    let mut publish = test
        .run("amqp-publish -r {queue} -l")
        .stdin_stays_open()
        .spawn();
    for (count, line) in (1..).zip(["one\n", "two\nthree", " and a half\nbegun"]) {
        publish.write(line);
        test.queue("queue").holds(count);
    }
    publish.close_stdin();
    publish.succeeds();
    assert_eq!(
        texts(&test),
        ["one\n", "two\n", "three and a half\n", "begun"]
    );
}

#[test]
fn a_writer_that_dies_ends_the_input() {
    let test = with_queue();
    test.shell("sh -c 'echo one; printf two; kill -9 $$' | amqp-publish -r {queue} -l")
        .any_stderr()
        .succeeds();
    assert_eq!(texts(&test), ["one\n", "two"]);
}

#[test]
fn its_writer_learns_that_it_has_failed() {
    let test = Test::new();
    // The shell's status is that of amqp-publish; `yes` ends because its pipe is closed.
    test.shell("yes | amqp-publish -r {queue} -l")
        .stderr_contains("basic.publish: no queue '{queue}'\n")
        .stderr_contains("0 messages confirmed; the first unconfirmed is -:1\n")
        .exits(1);
}

#[test]
fn a_named_pipe_is_read_as_it_is_written() {
    let test = with_queue();
    mknodat(CWD, test.path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let publish = test.run("amqp-publish -r {queue} -l pipe").spawn();
    test.shell("exec >pipe; echo one; echo two").succeeds();
    publish.succeeds();
    assert_eq!(texts(&test), ["one\n", "two\n"]);
}

#[test]
fn records_may_be_of_any_size() {
    let test = with_queue();
    let lengths = [
        128_usize << 10,
        256 << 10,
        1 << 20,
        (1 << 20) + 1,
        5 << 20,
        3,
    ];
    let line = |(length, filler)| [&vec![filler; length - 1][..], b"\n"].concat();
    let lines: Vec<Vec<u8>> = lengths.into_iter().zip(b'a'..).map(line).collect();
    test.file("lines", lines.concat());
    for line in [
        "amqp-publish -r {queue} -l lines",
        "amqp-publish -r {queue} -l --retry 1m lines",
        "amqp-publish -r {queue} -l --no-confirm lines",
    ] {
        test.run(line).succeeds();
        // A failure that shows all of them cannot be read.
        assert!(bodies(&test) == lines, "{line}");
    }
}

#[test]
fn many_small_files_are_many_messages() {
    let test = with_queue();
    for number in 0..500 {
        test.file(&format!("file{number:03}"), number.to_string());
    }
    test.shell("amqp-publish -r {queue} file*").succeeds();
    let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(texts(&test), expected);
}

#[test]
fn all_properties_can_be_set() {
    let test = with_queue();
    test.run(
        "amqp-publish -r {queue} -b x -p -C text/plain -E gzip -t replies -H 'k: 7' --priority 9",
    )
    .args([
        "--expiration",
        "60000000",
        "--correlation-id",
        "c",
        "--message-id=m",
    ])
    .args([
        "--type",
        "t",
        "--app-id",
        "a",
        "--user-id",
        "guest",
        "--timestamp",
        "1700000000",
    ])
    .succeeds();
    let message = test.queue("queue").take().unwrap();
    let mut headers = FieldTable::new();
    headers.insert(
        "k".to_owned(),
        amiquip::AmqpValue::LongString("7".to_owned()),
    );
    let expected = amiquip::AmqpProperties::default()
        .with_content_type("text/plain".to_owned())
        .with_content_encoding("gzip".to_owned())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(9)
        .with_correlation_id("c".to_owned())
        .with_reply_to("replies".to_owned())
        .with_expiration("60000000".to_owned())
        .with_message_id("m".to_owned())
        .with_timestamp(1_700_000_000)
        .with_type_("t".to_owned())
        .with_user_id("guest".to_owned())
        .with_app_id("a".to_owned());
    assert_eq!(message.properties, expected);
}

#[test]
fn command_lines_that_contradict_themselves_publish_nothing() {
    let test = with_queue();
    test.file("a", "a");
    for (line, complaint) in [
        (
            "amqp-publish -b x",
            "neither exchange nor routing key specified",
        ),
        ("amqp-publish -r {queue} -b x a", "--body"),
        ("amqp-publish -r {queue} -b x -0", "--body"),
        ("amqp-publish -r {queue} -b x --jsonl", "--body"),
        ("amqp-publish -r {queue} -b x --files-from a", "--body"),
        ("amqp-publish -r {queue} -l -0 a", "--line-buffered"),
        ("amqp-publish -r {queue} -l --jsonl a", "--line-buffered"),
        ("amqp-publish -r {queue} -0 --jsonl a", "--null"),
        (
            "amqp-publish -r {queue} --chomp a",
            "--chomp needs --line-buffered",
        ),
        ("amqp-publish -r {queue} --files-from a a", "--files-from"),
        (
            "amqp-publish -r {queue} --files-from a --files0-from a",
            "--files-from",
        ),
        (
            "amqp-publish -r {queue} - a -",
            "standard input (-) can be read only once",
        ),
        (
            "amqp-publish -r {queue} --max-in-flight 0 a",
            "--max-in-flight",
        ),
        (
            "amqp-publish -r {queue} --max-in-flight 5 --no-confirm a",
            "--max-in-flight",
        ),
        (
            "amqp-publish -r {queue} --checkpoint c --no-confirm a",
            "--checkpoint",
        ),
        (
            "amqp-publish -r {queue} --checkpoint c -b a",
            "--checkpoint",
        ),
        ("amqp-publish -r {queue} --priority 256 a", "--priority"),
        ("amqp-publish -r {queue} --expiration 1s a", "--expiration"),
        ("amqp-publish -r {queue} --timestamp now a", "--timestamp"),
        ("amqp-publish -r {queue} --progress perhaps a", "--progress"),
        ("amqp-publish -r {queue} -H key a", "--header"),
    ] {
        test.run(line)
            .stderr_contains(complaint)
            .stderr_contains("\nUsage: amqp-publish ")
            .exits(1);
    }
    test.run("amqp-publish -b a -r")
        .arg("x".repeat(256))
        .stderr("routing key is 256 bytes long; AMQP allows 255\n")
        .exits(1);
    test.queue("queue").holds(0);
}

#[test]
fn an_interrupted_run_says_how_far_it_came() {
    let test = with_queue();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut publish = test
            .run("amqp-publish -r {queue} -l --json")
            .stdin_stays_open()
            .stdout_contains("\"confirmed\":2,")
            .stderr("interrupted; 2 messages confirmed\n")
            .spawn();
        publish.write("a\nb\n");
        test.queue("queue").holds(2);
        publish.signal(signal);
        publish.has_complained("interrupted");
        publish.exits(status);
        test.queue("queue").take_all();
    }
}

#[test]
fn an_interrupted_run_does_not_wait_for_a_silent_broker() {
    let test = with_queue();
    let proxy = Proxy::before(&test);
    let mut publish = test
        .run("amqp-publish -r {queue} -l")
        .args(["--url", &proxy.url()])
        .stdin_stays_open()
        .stderr_line("interrupted; ")
        .within(Duration::from_secs(60))
        .spawn();
    publish.write("a\n");
    test.queue("queue").holds(1);
    proxy.stall();
    publish.write("b\nc\n");
    publish.signal(Signal::INT);
    publish.has_complained("interrupted");
    publish.exits(130);
}

#[test]
fn progress_is_shown_only_where_it_is_wanted_and_never_on_standard_output() {
    let test = with_queue();
    test.file("lines", "a\nb\nc\n");
    test.run("amqp-publish -r {queue} -l lines").succeeds();
    test.run("amqp-publish -r {queue} -l lines --progress never")
        .succeeds();
    test.run("amqp-publish -r {queue} -l lines --progress always")
        .stderr_contains("100%  6 B of 6 B  3 messages  ")
        .succeeds();
    test.shell("cat lines | amqp-publish -r {queue} -l --progress=always")
        .stderr_contains("6 B  3 messages  ")
        .succeeds();
}

/// The headers and the ids of all messages in the queue.
fn properties(test: &Test) -> Vec<(String, Option<String>)> {
    let printed = test
        .run("amqp-get -q {queue} -c 100 --json")
        .any_stdout()
        .succeeds()
        .stdout_text();
    printed
        .lines()
        .map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = message["message_id"].as_str().map(str::to_owned);
            (message["headers"].to_string(), id)
        })
        .collect()
}

#[test]
fn the_names_of_files_can_be_headers() {
    let test = Test::new();
    test.queue("queue").declare();
    test.file("a.txt", "a\nb\n");
    test.run("amqp-publish -r {queue} -l -H 'k: \tv' -H 'file: other' --file-header file a.txt ./a.txt -")
        .stdin("c\n")
        .succeeds();
    let headers: Vec<String> = properties(&test)
        .into_iter()
        .map(|(headers, _)| headers)
        .collect();
    let named = |name: &str| format!("{{\"file\":\"{name}\",\"k\":\"\\tv\"}}");
    assert_eq!(
        headers,
        ["a.txt", "a.txt", "./a.txt", "./a.txt", "-"].map(named)
    );
}

#[test]
fn headers_can_have_types() {
    let test = Test::new();
    test.queue("queue").declare();
    test.run("amqp-publish -r {queue} -b a -H 'n: 1' --typed-header x-delay=5000 --typed-header yes=true --typed-header text=1s")
        .succeeds();
    assert_eq!(
        properties(&test),
        [(
            r#"{"n":"1","text":"1s","x-delay":{"!int64":5000},"yes":true}"#.to_owned(),
            None
        )]
    );
}

#[test]
fn ids_are_the_same_whenever_the_same_is_published() {
    let test = Test::new();
    test.queue("queue").declare();
    test.file("a", "1\n1\n2\n");
    test.file("b", "1\n1\n2\n");
    let ids = |line: &str| -> Vec<String> {
        test.run(line).succeeds();
        let properties = properties(&test).into_iter();
        properties.map(|(_, id)| id.unwrap()).collect()
    };
    let seed = "amqp-publish -r {queue} -l --chomp --auto-message-id a b";
    let first = ids(seed);
    assert_eq!(first, ids(seed));
    let mut different = first.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 6, "{first:?}");

    test.file("a", "1\n3\n2\n");
    let edited = ids(seed);
    let same: Vec<bool> = (0..6).map(|index| first[index] == edited[index]).collect();
    assert_eq!(same, [true, false, true, true, true, true]);
    test.file("envelopes", "{\"body\":\"1\",\"message_id\":\"own\"}\n");
    assert_ne!(
        ids("amqp-publish -r {queue} --jsonl --auto-message-id envelopes"),
        ["own"]
    );
}

#[test]
fn a_rate_is_not_exceeded() {
    let test = Test::new();
    test.queue("queue").declare();
    let began = std::time::Instant::now();
    test.run("amqp-publish -r {queue} -l --rate 20")
        .stdin("1\n2\n3\n4\n5\n")
        .succeeds();
    assert!(began.elapsed() >= std::time::Duration::from_millis(4 * 50 - 1));
    // The first is sent at once, and nothing is waited for behind the last.
    test.run("amqp-publish -r {queue} -b 6 --rate 1/h")
        .succeeds();
    test.run("amqp-publish -r {queue} -b 7 --rate 1/h --no-confirm")
        .succeeds();
    test.queue("queue").holds(7);
}

#[test]
fn a_file_that_becomes_shorter_is_an_error_and_no_torn_record_is_sent() {
    const LINE: usize = 16 << 10;
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let line = "x".repeat(LINE - 1) + "\n";
    let file = test.file("lines", line.repeat(20));
    let publish = test
        .run("amqp-publish -r {queue} -l --rate 2 lines")
        .stderr(
            "reading lines: it became shorter while it was read\n\
             18 messages confirmed; the first unconfirmed is lines:19\n",
        )
        .spawn();
    eventually("one is there", || queue.depth() > 0);
    let file = std::fs::File::options().write(true).open(file).unwrap();
    // In the 19th line, which has not been read by then.
    file.set_len(18 * LINE as u64 + 100).unwrap();
    publish.exits(1);
    assert!(queue.take_texts().iter().all(|text| *text == line));
}

#[test]
fn a_closed_standard_input_is_an_error() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for options in ["", "-l", "-0", "--jsonl", "- lines", "--files-from -"] {
        test.shell(&format!("amqp-publish -r {{queue}} {options} <&-"))
            .stderr_contains("reading -: standard input is closed\n")
            .exits(1);
    }
    queue.holds(0);
    test.shell("amqp-publish -r {queue} -b body <&-").succeeds();
    queue.holds(1);
}

#[test]
fn nothing_is_published_whose_result_could_not_be_told() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.shell("amqp-publish -r {queue} -b body --json >&-")
        .stderr("standard output: it is closed\n")
        .exits(1);
    queue.holds(0);
}

#[test]
fn a_terminal_is_said_to_be_waited_for() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.run("script -qec 'amqp-publish -r {queue} -l' /dev/null")
        .stdin("typed\n")
        .stdout_contains("reading standard input, which is a terminal; Ctrl-D ends it")
        .succeeds();
    assert_eq!(queue.take_texts(), ["typed\n"]);
}

//! The job log: a whole line a command, tab-separated behind a header, or JSON.

use std::io::Read as _;

use amiquip::AmqpProperties;
use serde_json::Value;

use super::lines;
use crate::support::{Proxy, Signal, Test};

#[test]
fn each_command_has_a_line() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let properties = AmqpProperties::default().with_message_id("tab\there".to_owned());
    queue.publish_with("0", &properties);
    queue.publish(["3", "kill"]);
    test.script(
        "work",
        r#"read -r x; [ "$x" = kill ] && kill -9 $$; exit $x"#,
    );
    test.run("amqp-consume --quiet -q {queue} -c 3 --joblog log ./work")
        .exits(3);
    test.run("amqp-consume --quiet -q {queue} -c 1 --joblog log ./missing")
        .any_stderr()
        .exits(127);
    let log = lines(&test, "log");
    assert_eq!(
        log[0],
        "Seq\tStarttime\tJobRuntime\tExitval\tSignal\tRoutingKey\tMessageId\tRedelivered"
    );
    let key = queue.name();
    let expected = [
        format!("1 0 0 {key} 'tab here' 0"),
        format!("2 3 0 {key} '' 0"),
        format!("3 137 9 {key} '' 0"),
        format!("1 127 0 {key} '' 1"),
    ];
    let found: Vec<String> = log[1..].iter().map(|line| without_times(line)).collect();
    assert_eq!(found, expected);
}

/// Sequence, status, signal, key, 'id' and redelivered, once the times are known to be times.
fn without_times(line: &str) -> String {
    let fields: Vec<&str> = line.split('\t').collect();
    let [
        sequence,
        start,
        run_time,
        status,
        signal,
        key,
        id,
        redelivered,
    ] = fields[..]
    else {
        panic!("{line:?}");
    };
    assert!(start.parse::<f64>().unwrap() > 1e9, "{line:?}");
    assert!(
        (0.0..30.0).contains(&run_time.parse::<f64>().unwrap()),
        "{line:?}"
    );
    format!("{sequence} {status} {signal} {key} '{id}' {redelivered}")
}

#[test]
fn lines_of_many_stay_whole() {
    let test = Test::new();
    test.queue("queue")
        .declare()
        .publish((0..100).map(|number| number.to_string()));
    test.shell(
        "amqp-consume -q {queue} --idle-timeout 0s -j 4 --joblog log true & \
         amqp-consume -q {queue} --idle-timeout 0s -j 4 --joblog log true; wait $!",
    )
    .succeeds();
    let log = lines(&test, "log");
    assert_eq!(
        log.iter().filter(|line| !line.starts_with("Seq")).count(),
        100
    );
    assert!(
        log.iter().all(|line| line.split('\t').count() == 8),
        "{log:?}"
    );
}

#[test]
fn a_log_on_a_full_disk_stops_no_work() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    test.run("amqp-consume -q {queue} -c 2 --joblog /dev/full cat")
        .stdout("ab")
        .stderr("writing the job log: No space left on device\nlines missing in the job log: 2\n")
        .succeeds();
    queue.holds(0);
}

#[test]
fn the_log_may_be_standard_error() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 --joblog /dev/stderr true")
        .stderr_line("\t0\t0\t{queue}\t\t0")
        .succeeds();
}

#[test]
fn the_log_may_be_standard_error_that_is_a_socket() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    let (command, mut socket) = test
        .run("amqp-consume -q {queue} -c 1 --joblog /dev/stderr true")
        .stderr_to_socket();
    command.succeeds();
    let mut written = String::new();
    socket.read_to_string(&mut written).unwrap();
    let end = test.fill("\t0\t0\t{queue}\t\t0\n");
    assert!(written.ends_with(&end), "{written:?}");
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    test.shell("mkfifo log").succeeds();
    test.run("amqp-consume -q {queue} -c 1 --joblog log true")
        .stderr("lines missing in the job log: 1\n")
        .succeeds();
    let tool = test
        .run("amqp-consume -q {queue} --joblog log touch begun")
        .stderr("lines missing in the job log: 1\n")
        .spawn();
    test.wait_for_file("begun");
    tool.signal(Signal::TERM);
    tool.exits(143);
    queue.holds(0);
}

/// The job log in JSON.
fn records(test: &Test) -> Vec<Value> {
    let records = lines(test, "log");
    let parse = |line: &String| serde_json::from_str(line).unwrap();
    records.iter().map(parse).collect()
}

/// What the job log says to have become of messages, in the order of its lines.
fn decisions(test: &Test) -> Vec<String> {
    let records = records(test);
    let decision = |record: &Value| record["decision"].as_str().unwrap().to_owned();
    records.iter().map(decision).collect()
}

#[test]
fn a_line_of_json_has_all_fields() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let properties = AmqpProperties::default()
        .with_message_id("tab\there".to_owned())
        .with_correlation_id("c".to_owned());
    queue.publish_with("four", &properties);
    test.run("amqp-consume -q {queue} -c 1 --joblog log --joblog-format json true")
        .succeeds();
    let mut record = records(&test).remove(0);
    assert!(record["start"].as_f64().unwrap() > 1e9, "{record}");
    let run_time = record["run_time"].as_f64().unwrap();
    assert!((0.0..30.0).contains(&run_time), "{record}");
    let fields = record.as_object_mut().unwrap();
    fields.remove("start");
    fields.remove("run_time");
    let expected = serde_json::json!({
        "sequence": 1, "exit_status": 0, "signal": 0, "queue": queue.name(), "exchange": "",
        "routing_key": queue.name(), "message_id": "tab\there", "correlation_id": "c", "redelivered": false,
        "attempt": 1, "size": 4, "decision": "succeeded"
    });
    assert_eq!(record, expected);
}

#[test]
fn json_says_what_became_of_each_message() {
    for (options, command, expected, status) in [
        ("", "kill -9 $$", "requeued", 137),
        ("--on-failure ack", "exit 7", "ignored", 7),
        ("--on-failure park --park {parking}", "exit 7", "parked", 7),
        ("-A", "exit 7", "ignored", 7),
        (
            "--retries 2 --retry-delay 20ms",
            "[ $AMQP_ATTEMPT = 3 ]",
            "repeated repeated succeeded",
            0,
        ),
        ("--output-queue {parking}", "cat", "succeeded", 0),
        ("--coprocess", "read -r x; echo 7 >&3", "requeued", 7),
        ("--batch 2 --split", "exit 7", "requeued", 7),
    ] {
        let test = Test::new();
        test.queue("parking").declare();
        test.queue("queue").declare().publish(["a"]);
        test.script("work", command);
        let line = "amqp-consume --quiet -q {queue} -c 1 --joblog log --joblog-format json";
        test.run(&format!("{line} {options} ./work")).exits(status);
        assert_eq!(decisions(&test).join(" "), expected, "{options}");
    }
}

#[test]
fn attempts_of_several_runs_and_a_rejection_are_in_json() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.run(
        "amqp-consume --quiet -q {queue} --idle-timeout 0s --max-attempts 2 --joblog log --joblog-format json false",
    )
    .succeeds();
    let mut told: Vec<String> = records(&test)
        .iter()
        .map(|record| {
            format!(
                "{} {} {}",
                record["sequence"], record["attempt"], record["decision"]
            )
        })
        .collect();
    // A copy may be delivered, and fail, before its confirm arrives. A line is written when the decision is made.
    told.sort();
    assert_eq!(told, [r#"1 1 "requeued""#, r#"2 2 "rejected""#]);
}

#[test]
fn a_command_whose_delivery_is_lost_is_dropped() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script(
        "work",
        "[ -e once ] || { >once; while [ ! -e go ]; do sleep 0.05; done; exit 7; }",
    );
    let proxy = Proxy::before(&test);
    let mut tool = test
        .run("amqp-consume -q {queue} -c 1 --retry 1m --joblog log --joblog-format json ./work")
        .env("AMQP_URL", &proxy.url())
        .any_stderr()
        .spawn();
    test.wait_for_file("once");
    proxy.cut();
    tool.has_complained("connecting anew");
    test.file("go", "");
    tool.succeeds();
    assert_eq!(decisions(&test), ["dropped", "succeeded"]);
}

#[test]
fn the_format_of_a_log_that_is_not_asked_for_is_a_usage_error() {
    let test = Test::new();
    test.run("amqp-consume -q {queue} --joblog-format json true")
        .stderr_contains("--joblog")
        .exits(1);
}

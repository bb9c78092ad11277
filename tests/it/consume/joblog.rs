//! The job log: a header once, a whole line a command.

use std::io::Read as _;

use amiquip::AmqpProperties;

use super::lines;
use crate::support::{Signal, Test};

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
        .run("amqp-consume -q {queue} --joblog log true")
        .stderr("lines missing in the job log: 1\n")
        .spawn();
    queue.has_consumers(1);
    queue.holds(0);
    tool.signal(Signal::TERM);
    tool.exits(143);
}

//! What a command line can have wrong: status 1, one line that names it, a short usage, and the broker hears nothing.

use crate::support::{Proxy, Test};

/// Each command line with what is said about it. The broker would be there, but no connection is made.
#[track_caller]
fn are_refused(lines: &[(&str, &str)]) {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    for (line, complaint) in lines {
        let tool = line.split(' ').next().unwrap();
        let refused = test
            .run(line)
            .env("AMQP_URL", &proxy.url())
            .stdin("must not be published\n")
            .any_stderr()
            .exits(1);
        let said = refused.stderr_text();
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said.first(), Some(complaint), "{line}");
        assert!(
            said[1].starts_with(&format!("Usage: {tool} ")),
            "{line}: {said:?}"
        );
        assert_eq!(said[2], format!("Try '{tool} --help' for more."), "{line}");
        assert_eq!(said.len(), 3, "{line}: {said:?}");
    }
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn what_is_missing_is_named() {
    are_refused(&[
        ("amqp-declare-queue", "queue name not specified"),
        ("amqp-delete-queue", "queue name not specified"),
        ("amqp-get", "queue not specified"),
        ("amqp-move -r a", "queue not specified"),
        ("amqp-move -q '' -r a", "queue not specified"),
        (
            "amqp-move -q a",
            "neither exchange nor routing key specified, nor --back",
        ),
        (
            "amqp-call -b a",
            "neither exchange nor routing key specified",
        ),
        (
            "amqp-publish -b a",
            "neither exchange nor routing key specified",
        ),
        ("amqp-consume -q q", "consuming command not specified"),
        ("amqp-consume -q q --", "consuming command not specified"),
        (
            "amqp-consume -q q -r key cat",
            "--routing-key option requires an exchange name to be provided with --exchange",
        ),
    ]);
}

#[test]
fn what_is_unknown_is_named() {
    are_refused(&[
        ("amqp-get -q q --bogus", "--bogus: unknown option"),
        ("amqp-get -q q -Z", "-Z: unknown option"),
        ("amqp-get --que q", "--que: unknown option"),
        (
            "amqp-declare-queue --durabel q",
            "--durabel: unknown option",
        ),
        (
            "amqp-consume --bogus -q q cat --fine",
            "--bogus: unknown option",
        ),
        ("amqp-get -q q operand", "unexpected operand: operand"),
    ]);
}

#[test]
fn values_that_are_none_are_named() {
    are_refused(&[
        (
            "amqp-get -q",
            "a value is required for '--queue <NAME>' but none was supplied",
        ),
        (
            "amqp-publish -r q -H nocolon",
            "invalid value 'nocolon' for '--header <KEY: VALUE>': expected 'key: value', with a colon",
        ),
        (
            "amqp-publish -r q --priority 256",
            "invalid value '256' for '--priority <N>': 256 is not in 0..=255",
        ),
        (
            "amqp-get -q q --heartbeat -1",
            "invalid value '-1' for '--heartbeat <SECONDS>': -1 is not in 0..=65535",
        ),
        (
            "amqp-get -q q --port 65536",
            "invalid value '65536' for '--port <PORT>': 65536 is not in 0..=65535",
        ),
        (
            "amqp-get -q q --connect-timeout 1y",
            "invalid value '1y' for '--connect-timeout <DURATION>': expected a duration such as 500ms, 30s, 5m or 1h",
        ),
        (
            "amqp-declare-queue -q q --queue-type heap",
            "invalid value 'heap' for '--queue-type <TYPE>' [possible values: classic, quorum, stream]",
        ),
        (
            "amqp-consume -q q --on-failure drop cat",
            "invalid value 'drop' for '--on-failure <ACTION>' [possible values: requeue, reject, ack]",
        ),
    ]);
}

#[test]
fn what_excludes_each_other_is_named() {
    are_refused(&[
        (
            "amqp-get -q q -u {url} -s {host}",
            "--server and --url options cannot be used at the same time",
        ),
        (
            "amqp-get -q q -u {url} --port {port}",
            "--port and --url options cannot be used at the same time",
        ),
        (
            "amqp-get -q q -u {url} --vhost /",
            "--vhost and --url options cannot be used at the same time",
        ),
        (
            "amqp-get -q q -u {url} --username guest",
            "--username and --url options cannot be used at the same time",
        ),
        (
            "amqp-get -q q -u {url} --password guest",
            "--password and --url options cannot be used at the same time",
        ),
        (
            "amqp-get -q q -u {url} --authfile file",
            "--authfile and --url options cannot be used at the same time",
        ),
        (
            "amqp-publish -r q -b a -l",
            "the argument '--body <BODY>' cannot be used with: --line-buffered, --null, --jsonl",
        ),
        (
            "amqp-publish -r q -b a file",
            "the argument '--body <BODY>' cannot be used with '[FILE]...'",
        ),
    ]);
}

#[test]
fn urls_that_are_none_are_told_without_their_password() {
    are_refused(&[
        (
            "amqp-get -q q -u http://{host}",
            "could not parse AMQP URL: it does not begin with 'amqp://' or 'amqps://'",
        ),
        (
            "amqp-get -q q -u ''",
            "could not parse AMQP URL: it does not begin with 'amqp://' or 'amqps://'",
        ),
        (
            "amqp-get -q q -u amqp://guest:secret@{host}/a/b",
            "could not parse AMQP URL: only a vhost may follow the host; write a '/' within its name as %2F",
        ),
        (
            "amqp-get -q q -u amqp://guest:secret@{host}:65536",
            "could not parse AMQP URL: the port is not a number from 0 to 65535 \
             (write a '/' in a password as %2F, a '?' as %3F)",
        ),
    ]);
}

#[test]
fn help_and_version_are_no_errors() {
    let test = Test::new();
    for tool in [
        "amqp-publish",
        "amqp-consume",
        "amqp-get",
        "amqp-declare-queue",
        "amqp-delete-queue",
        "amqp-call",
        "amqp-move",
    ] {
        for flag in ["--help", "-?", "-h", "--usage"] {
            let usage = format!("Usage: {tool} ");
            test.run(tool).arg(flag).stdout_contains(&usage).succeeds();
        }
        for flag in ["--version", "-V"] {
            let version = format!("{tool} {}\n", env!("CARGO_PKG_VERSION"));
            test.run(tool).arg(flag).stdout(&version).succeeds();
        }
        test.run(tool)
            .arg("--help")
            .stdout_to("/dev/full")
            .stderr_line("standard output")
            .exits(1);
    }
}

#[test]
fn what_is_published_needs_a_command_and_an_acknowledgement() {
    are_refused(&[
        (
            "amqp-consume -q q --no-ack --output-queue next cat",
            "--output-queue and --no-ack cannot be used at the same time",
        ),
        (
            "amqp-consume -q q -A --reply cat",
            "--reply and --no-ack cannot be used at the same time",
        ),
        (
            "amqp-consume -q q --json --output-exchange e",
            "--output-exchange and --json cannot be used at the same time",
        ),
        (
            "amqp-consume -q q --json --tag",
            "--tag and --json cannot be used at the same time",
        ),
        (
            "amqp-consume -q q --output-limit 5 cat",
            "--output-limit needs --output-queue, --output-exchange, --output-key or --reply",
        ),
        (
            "amqp-consume -q q --output-queue= cat",
            "--output-queue needs the name of a queue",
        ),
        (
            "amqp-consume -q q --output-queue a --output-key b cat",
            "the argument '--output-queue <QUEUE>' cannot be used with '--output-key <KEY>'",
        ),
    ]);
}

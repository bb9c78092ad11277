//! What a command line can have wrong: status 1, one line that names it, a short usage, and the broker hears nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

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
        ("amqp-delete-queue -q ''", "queue name not specified"),
        ("amqp-declare-exchange", "exchange name not specified"),
        ("amqp-declare-exchange -e ''", "exchange name not specified"),
        ("amqp-delete-exchange", "exchange name not specified"),
        ("amqp-delete-exchange ''", "exchange name not specified"),
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
        ("amqp-get -q q -s ''", "--server: no host is named"),
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
        (
            "amqp-get --que q",
            "--que: unknown option (did you mean '--queue'?)",
        ),
        (
            "amqp-declare-queue --durabel q",
            "--durabel: unknown option (did you mean '--durable'?)",
        ),
        (
            "amqp-get -q q --host h",
            "--host: unknown option (the host is named by --server)",
        ),
        (
            "amqp-consume --user=u -q q cat",
            "--user: unknown option (the user is named by --username)",
        ),
        (
            "amqp-publish -q q -b a",
            "-q: unknown option (the queue is named by -r, the routing key)",
        ),
        (
            "amqp-get -q q -s amqp://{host}",
            "--server takes a host; a URL is given by --url",
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
            "invalid value '256' for '--priority <N>': expected a whole number from 0 to 255",
        ),
        (
            "amqp-get -q q --heartbeat -1",
            "invalid value '-1' for '--heartbeat <SECONDS>': expected a whole number from 0 to 65535",
        ),
        (
            "amqp-get -q q --port 65536",
            "invalid value '65536' for '--port <PORT>': expected a whole number from 0 to 65535",
        ),
        (
            "amqp-get -q q --port x",
            "invalid value 'x' for '--port <PORT>': expected a whole number from 0 to 65535",
        ),
        (
            "amqp-publish -r q --max-in-flight 0",
            "invalid value '0' for '--max-in-flight <N>': expected a number greater than 0",
        ),
        (
            "amqp-publish -r q --rate 0",
            "invalid value '0' for '--rate <N[/s|/m|/h]>': expected a rate such as 10, 10/s, 5/m or 100/h",
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
            "invalid value 'drop' for '--on-failure <ACTION>': 'drop' is none of requeue, reject, ack, park, stop, retry:DURATION",
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
            "amqp-declare-queue q --bind-argument a=b",
            "--bind-argument needs --bind or --unbind",
        ),
        (
            "amqp-publish -r q -b a --message-id i --auto-message-id",
            "the argument '--message-id <ID>' cannot be used with '--auto-message-id'",
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
            "amqp-get -q q -u amqp://guest:secret@::1",
            "could not parse AMQP URL: an IPv6 address stands in brackets, as in amqp://[::1]:5672",
        ),
        (
            "amqp-get -q q -u amqp://guest:secret@{host}:+5672",
            "could not parse AMQP URL: the port is not a number from 0 to 65535 \
             (write a '/' in a password as %2F, a '?' as %3F)",
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
        "amqp-declare-exchange",
        "amqp-declare-queue",
        "amqp-delete-exchange",
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
fn help_is_given_whatever_else_is_wrong() {
    let test = Test::new();
    for line in [
        "amqp-get --port high --help",
        "amqp-get --bogus -? operand",
        "amqp-get -q q --usage --heartbeat -1",
        "amqp-publish -b a -l --priority 300 -h",
        "amqp-consume --on-failure drop --help -q q cat",
    ] {
        let tool = line.split(' ').next().unwrap();
        test.run(line)
            .stdout_contains(&format!("Usage: {tool} "))
            .succeeds();
    }
    test.run("amqp-delete-queue --bogus -V")
        .stdout(&format!(
            "amqp-delete-queue {}\n",
            env!("CARGO_PKG_VERSION")
        ))
        .succeeds();
    for line in [
        "amqp-get --bogus -- --help",
        "amqp-consume --bogus -q q cat --help",
        "amqp-get --bogus --queue --help",
    ] {
        test.run(line)
            .stderr_contains("--bogus: unknown option\n")
            .exits(1);
    }
}

#[test]
fn a_value_that_is_not_utf_8_is_named_and_a_body_has_any_bytes() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let latin = OsStr::from_bytes(b"gr\xfcn");
    for (options, complaint) in [
        ("amqp-get -q", "--queue: the value is not UTF-8\n"),
        (
            "amqp-publish -b a -r",
            "--routing-key: the value is not UTF-8\n",
        ),
        (
            "amqp-publish -r {queue} -b a -H",
            "--header: the value is not UTF-8 (--jsonl takes any bytes, as {\"!bytes\":\"BASE64\"})\n",
        ),
        (
            "amqp-get -q {queue} --password",
            "--password: the value is not UTF-8\n",
        ),
        ("amqp-declare-queue", "operand 'gr\u{fffd}n' is not UTF-8\n"),
    ] {
        test.run(options)
            .arg(latin)
            .stderr_contains(complaint)
            .exits(1);
    }
    test.run("amqp-publish -r {queue} -b").arg(latin).succeeds();
    assert_eq!(queue.take().unwrap().body, b"gr\xfcn");
}

#[test]
fn where_there_is_no_command_the_way_out_is_told() {
    let test = Test::new();
    for line in ["amqp-consume -q q", "amqp-consume -q q --"] {
        test.run(line)
            .stderr_contains(
                "consuming command not specified\n\
                 (without one, --json prints messages, and amqp-get takes single ones)\nUsage: ",
            )
            .exits(1);
    }
}

#[test]
fn an_empty_heartbeat_is_none() {
    let test = Test::new();
    test.queue("queue").declare();
    for heartbeat in ["--heartbeat=", "--heartbeat ''"] {
        test.run(&format!("amqp-get -q {{queue}} {heartbeat}"))
            .exits(2);
    }
}

#[test]
fn control_characters_are_shown_and_not_sent_to_the_terminal() {
    let test = Test::new();
    let said = test
        .run("amqp-publish -r q")
        .args(["a\u{1b}[31m\nb", "c"])
        .any_stderr()
        .exits(1)
        .stderr_text();
    assert_eq!(
        said,
        "reading a\\u{1b}[31m\\nb: No such file or directory\n\
         0 messages confirmed; the first unconfirmed is a\\u{1b}[31m\\nb:1\n"
    );
    let said = test
        .run("amqp-get -q")
        .arg("no\u{1b}[31m")
        .any_stderr()
        .exits(1)
        .stderr_text();
    assert!(
        said.contains("no\\u{1b}[31m") && !said.contains('\u{1b}'),
        "{said}"
    );
}

#[test]
fn a_body_given_by_p_is_taken_for_a_file_and_that_is_told() {
    let test = Test::new();
    test.queue("queue").declare();
    test.run("amqp-publish -r {queue} -p 'some data'")
        .stderr(
            "reading some data: No such file or directory\n\
             'some data' is taken for the name of a file, since -p takes no value; a body is given by -b\n",
        )
        .exits(1);
}

#[test]
fn a_connection_option_behind_the_command_is_told() {
    let test = Test::new();
    test.run("amqp-consume -q q cat --url {url}")
        .env("AMQP_URL", "amqp://127.0.0.1:1")
        .stderr(
            "opening socket to 127.0.0.1:1: Connection refused\n\
             --url stands behind COMMAND and is COMMAND's own; amqp-consume's options come before COMMAND\n",
        )
        .exits(1);
}

#[test]
fn a_command_that_cannot_be_started_is_explained() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let executable = fs::Permissions::from_mode(0o755);
    for (name, text) in [("dos", "#!/bin/sh\r\ntrue\r\n"), ("bare", "true\n")] {
        let path = test.file(name, text);
        fs::set_permissions(path, executable.clone()).unwrap();
    }
    for (command, status, hint) in [
        (
            "'echo hi'",
            127,
            "'echo hi' is one word; COMMAND's arguments are words of their own, and a line of shell needs sh -c 'echo hi'\n",
        ),
        (
            "./dos",
            127,
            "./dos has Windows' line ends, so that its interpreter is not found; sed -i 's/\\r$//' ./dos mends that\n",
        ),
        (
            "./bare",
            126,
            "./bare does not begin with a line such as #!/bin/sh\n",
        ),
    ] {
        test.run(&format!("amqp-consume -q {{queue}} -c 1 {command}"))
            .stderr_contains(hint)
            .exits(status);
    }
    queue.holds(1);
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

//! Who logs in: URL, flags and `--authfile`, and no secret in any message.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Command, Test};

/// Writes an auth file that only its owner may read.
fn authfile(test: &Test, contents: &str) {
    let path = test.file("auth", contents);
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn declare<'t>(test: &'t Test, flags: &str) -> Command<'t> {
    test.run(&format!("amqp-declare-queue -d -q {{queue}} {flags}"))
        .without_env("AMQP_URL")
}

#[test]
fn an_authfile_has_the_credentials_that_a_url_or_flags_leave_out() {
    let test = Test::new();
    authfile(&test, "username:guest\npassword:guest\n");
    for rest in ["-u amqp://{host}:{port}", "-s {host} --port {port}"] {
        declare(&test, &format!("--authfile auth {rest}"))
            .stdout("{queue}\n")
            .succeeds();
    }
    declare(&test, "--authfile auth")
        .env("AMQP_URL", "amqp://{host}:{port}")
        .stdout("{queue}\n")
        .succeeds();
    authfile(&test, "username:guest\npassword:wrong\n");
    declare(&test, "--authfile auth -s {host} --port {port}")
        .stderr_refusal(
            "logging in to AMQP server: server connection error ",
            "403, message: ACCESS_REFUSED",
        )
        .exits(1);
}

#[test]
fn credentials_have_one_place() {
    let test = Test::new();
    authfile(&test, "username:guest\npassword:guest\n");
    declare(&test, "--authfile auth -u amqp://guest:guest@{host}:{port}")
        .stderr_contains("--authfile and --url options cannot be used at the same time\n")
        .exits(1);
    declare(&test, "--authfile auth -s {host} --username guest")
        .stderr_contains(
            "--authfile and --username or --password cannot be used at the same time\n",
        )
        .exits(1);
}

#[test]
fn an_authfile_is_read_strictly() {
    let test = Test::new();
    for (contents, complaint) in [
        (
            "",
            "malformed auth file auth: line 1: expected 'username:' and its value\n",
        ),
        ("username:ann\n", "line 2: expected 'password:'"),
        ("ann\nsecret\n", "line 1: expected 'username:'"),
        (
            "password:secret\nusername:ann\n",
            "line 1: expected 'username:'",
        ),
        (
            "username:ann\npassword:secret\n\n",
            "line 3: nothing may follow",
        ),
    ] {
        authfile(&test, contents);
        let ended = declare(&test, "--authfile auth")
            .stderr_line(complaint)
            .exits(1);
        assert!(
            !ended.stderr_text().contains("secret"),
            "{}",
            ended.stderr_text()
        );
    }
    declare(&test, "--authfile none")
        .stderr_line("reading the auth file none: No such file or directory")
        .exits(1);
}

#[test]
fn an_authfile_that_others_can_read_is_warned_about() {
    let test = Test::new();
    authfile(&test, "username:guest\npassword:guest\n");
    let warning = "warning: others can read the password in auth: chmod 600 auth\n";
    for (mode, said) in [
        (0o600, ""),
        (0o400, ""),
        (0o640, warning),
        (0o604, warning),
        (0o644, warning),
    ] {
        fs::set_permissions(test.path("auth"), Permissions::from_mode(mode)).unwrap();
        declare(&test, "--authfile auth -s {host} --port {port}")
            .stdout("{queue}\n")
            .stderr(said)
            .succeeds();
    }
}

#[test]
fn no_message_holds_a_secret() {
    let test = Test::new();
    for line in [
        "amqp-get -q {queue} -u amqp://guest:s3cret@{host}:{port}",
        "amqp-get -q {queue} -u amqp://guest:s3cret@127.0.0.1:1",
        "amqp-get -q {queue} -u amqp://guest:s3cret@127.0.0.1:1 --retry 1ms",
        "amqp-get -q {queue} -u amqp://guest:s3cret@{host}:{port} -u amqp://127.0.0.1:1",
        "amqp-get -q {queue} -u amqp://guest:s3cret@host:x",
        "amqp-get -q {queue} -u amqp://guest:s3cret/x@host",
        "amqp-get -q {queue} -u amqp://guest:s3cret?x@host",
        "amqp-get -q {queue} -u http://guest:s3cret@host",
        "amqp-get -q {queue} -u amqp://guest:s3cret%@host",
        "amqp-get -q {queue} amqp://guest:s3cret@host",
        "amqp-get -q {queue} --port amqp://guest:s3cret@host",
        "amqp-get -q {queue} --pasword=s3cret",
        "amqp-get -q {queue} -s {host} --port {port} --username guest --password s3cret",
    ] {
        let ended = test.run(line).any_stderr().exits(1);
        assert!(
            !ended.stderr_text().contains("s3cret"),
            "{line}: {}",
            ended.stderr_text()
        );
    }
}

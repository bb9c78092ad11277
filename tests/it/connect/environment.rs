//! The connection's options from the environment: a flag wins, and an empty value is none.

use crate::support::{Command, Test};

fn get<'t>(test: &'t Test, flags: &str) -> Command<'t> {
    test.run(&format!("amqp-get -q {{queue}} {flags}"))
}

#[test]
fn what_a_variable_says_counts_where_no_flag_says_it() {
    let test = Test::new();
    test.queue("queue").declare();
    let nobody = "amqp://127.0.0.1:1";
    get(&test, "--retry 0")
        .env("AMQP_URL", nobody)
        .env("AMQP_RETRY", "1h")
        .stderr("opening socket to 127.0.0.1:1: Connection refused\n")
        .exits(1);
    get(&test, "")
        .env("AMQP_URL", nobody)
        .env("AMQP_RETRY", "10ms")
        .stderr_contains("(gave up after ")
        .exits(1);
    for (variable, value) in [
        ("AMQP_HEARTBEAT", "30"),
        ("AMQP_CONNECT_TIMEOUT", "20s"),
        ("AMQP_RETRY", ""),
        ("AMQP_HEARTBEAT", ""),
        ("AMQP_CONNECT_TIMEOUT", ""),
        ("AMQP_AUTHFILE", ""),
        ("AMQP_CACERT", "ca.pem"),
        ("AMQP_CERT", "cert.pem"),
        ("AMQP_KEY", "key.pem"),
    ] {
        get(&test, "").env(variable, value).exits(2);
    }
}

#[test]
fn a_value_that_is_none_is_named() {
    let test = Test::new();
    for (variable, value, complaint) in [
        (
            "AMQP_HEARTBEAT",
            "often",
            "invalid value 'often' of AMQP_HEARTBEAT: expected a whole number from 0 to 65535\n",
        ),
        (
            "AMQP_RETRY",
            "1y",
            "invalid value '1y' of AMQP_RETRY: expected a duration such as 500ms, 30s, 5m or 1h\n",
        ),
        (
            "AMQP_CONNECT_TIMEOUT",
            "0",
            "the connect timeout must be longer than nothing\n",
        ),
    ] {
        get(&test, "")
            .env(variable, value)
            .stderr_contains(complaint)
            .exits(1);
    }
}

#[test]
fn an_authfile_of_the_environment_gives_way_to_the_command_line() {
    let test = Test::new();
    test.queue("queue").declare();
    test.file("right", "username:guest\npassword:guest\n");
    test.file("wrong", "username:guest\npassword:wrong\n");
    let without = "amqp://{host}:{port}";
    let with = "amqp://guest:guest@{host}:{port}";
    get(&test, "")
        .env("AMQP_URL", without)
        .env("AMQP_AUTHFILE", "right")
        .exits(2);
    get(&test, "")
        .env("AMQP_URL", without)
        .env("AMQP_AUTHFILE", "wrong")
        .stderr_contains("403")
        .exits(1);
    for flags in [
        "--authfile right -u amqp://{host}:{port}",
        "-u amqp://guest:guest@{host}:{port}",
        "-s {host} --port {port} --username guest --password guest",
    ] {
        get(&test, flags).env("AMQP_AUTHFILE", "wrong").exits(2);
    }
    get(&test, "")
        .env("AMQP_URL", with)
        .env("AMQP_AUTHFILE", "right")
        .stderr_contains(
            "AMQP_AUTHFILE and the credentials in AMQP_URL cannot be used at the same time\n",
        )
        .exits(1);
}

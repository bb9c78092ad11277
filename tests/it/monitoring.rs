//! `--status-address`: probes and metrics, as a kubelet and Prometheus ask for them.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{Proxy, Running, Signal, Test, eventually, eventually_some};

/// Has the tool listen on a port that is free.
pub(crate) const ANY_PORT: [&str; 2] = ["--status-address", "127.0.0.1:0"];

/// Where it listens, by its own word.
pub(crate) fn address_of(running: &mut Running) -> String {
    eventually_some("the status address", || {
        let said = running.stderr_so_far();
        let (_, address) = said.split_once("status address: ")?;
        let (address, _) = address.split_once('\n')?;
        Some(address.to_owned())
    })
}

/// The status and the body of a page; `None`: nobody answers.
pub(crate) fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut client = TcpStream::connect(address).ok()?;
    client
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(client, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn status_of(address: &str, path: &str) -> Option<u16> {
    get(address, path).map(|(status, _)| status)
}

#[track_caller]
pub(crate) fn becomes(address: &str, path: &str, status: u16) {
    eventually(&format!("{path} answers {status}"), || {
        status_of(address, path) == Some(status)
    });
}

/// The samples of /metrics that are whole numbers, by name and labels.
fn metrics(address: &str) -> BTreeMap<String, u64> {
    let (_, text) = get(address, "/metrics").unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let named = samples.map(|line| line.rsplit_once(' ').unwrap());
    named
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

#[test]
fn a_consumer_is_ready_while_it_is_subscribed_and_until_it_is_asked_to_end() {
    let test = Test::new();
    test.queue("queue").declare().publish(["1"]);
    let mut running = test
        .run("amqp-consume -q {queue}")
        .args(ANY_PORT)
        .args([
            "sh",
            "-c",
            "touch begun; until [ -e go ]; do sleep 0.05; done",
        ])
        .any_stderr()
        .spawn();
    let address = address_of(&mut running);
    becomes(&address, "/readyz", 200);
    test.wait_for_file("begun");
    let found = eventually_some("a command that runs", || {
        let found = metrics(&address);
        (found["amqp_consume_commands_running"] > 0).then_some(found)
    });
    assert!(found["amqp_consume_messages_unacknowledged"] > 0);
    running.signal(Signal::TERM);
    becomes(&address, "/readyz", 503);
    assert_eq!(status_of(&address, "/livez"), Some(200));
    test.file("go", "");
    running.exits(143);
}

#[test]
fn a_consumer_that_has_taken_its_last_message_is_not_ready() {
    let test = Test::new();
    test.queue("queue").declare().publish(["1", "2"]);
    let mut running = test
        .run("amqp-consume -q {queue} -c 1")
        .args(ANY_PORT)
        .args([
            "sh",
            "-c",
            "touch begun; until [ -e go ]; do sleep 0.05; done",
        ])
        .any_stderr()
        .spawn();
    let address = address_of(&mut running);
    test.wait_for_file("begun");
    becomes(&address, "/readyz", 503);
    assert_eq!(metrics(&address)["amqp_consume_commands_running"], 1);
    test.file("go", "");
    running.succeeds();
}

#[test]
fn a_consumer_of_a_missing_queue_is_never_ready() {
    let test = Test::new();
    let mut running = test
        .run("amqp-consume -q {missing} --retry 1m")
        .args(ANY_PORT)
        .arg("cat")
        .stderr_contains("404")
        .spawn();
    let address = address_of(&mut running);
    while !running.has_ended() {
        assert_ne!(status_of(&address, "/readyz"), Some(200));
    }
    running.exits(1);
}

#[test]
fn with_a_broker_that_is_silent_a_tool_is_live_and_not_ready() {
    let test = Test::new();
    test.queue("queue").declare();
    test.queue("target").declare();
    for line in [
        "amqp-consume -q {queue} cat",
        "amqp-move -q {queue} -r {target} --follow",
    ] {
        let proxy = Proxy::before(&test);
        let (tool, arguments) = line.split_once(' ').unwrap();
        let mut running = test
            .run(tool)
            .args(["--url", &proxy.url(), "--heartbeat", "2", "--retry", "1m"])
            .args(ANY_PORT)
            .args(arguments.split(' ').map(|word| test.fill(word)))
            .any_stderr()
            .spawn();
        let address = address_of(&mut running);
        becomes(&address, "/readyz", 200);
        proxy.stall();
        becomes(&address, "/readyz", 503);
        assert_eq!(status_of(&address, "/livez"), Some(200));
        proxy.cut();
        proxy.resume();
        becomes(&address, "/readyz", 200);
        let reconnects = format!("{}_reconnects_total", tool.replace('-', "_"));
        assert!(metrics(&address)[&reconnects] >= 1);
        running.signal(Signal::TERM);
        running.exits(143);
    }
}

/// How many messages came to each end.
fn outcomes(metrics: &BTreeMap<String, u64>) -> [u64; 6] {
    let outcome = |name| metrics[&format!("amqp_consume_messages_total{{outcome=\"{name}\"}}")];
    let all = [
        "succeeded",
        "requeued",
        "rejected",
        "parked",
        "delayed",
        "ignored",
    ];
    all.map(outcome)
}

/// The samples when so many messages have come to an end.
fn when_concluded(address: &str, running: &mut Running, count: u64) -> BTreeMap<String, u64> {
    eventually_some("all messages", || {
        if running.has_ended() {
            running.fail_as_unfinished();
        }
        let found = metrics(address);
        (outcomes(&found).iter().sum::<u64>() >= count).then_some(found)
    })
}

#[test]
fn metrics_count_what_became_of_each_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish((0..60).map(|number| (number % 6).to_string()));
    test.queue("park").declare();
    test.script(
        "work",
        r#"read -r x; [ "$x" = 5 ] && exec sleep 60; exit "$x""#,
    );
    let mut running = test
        .run("amqp-consume -q {queue} -j 4 --retries 1 --retry-delay 10ms --timeout 1s")
        .args(ANY_PORT)
        .args(["--joblog", "log"])
        .args(["--park", &test.name("park"), "--max-attempts", "1"])
        .args([
            "--on-exit",
            "1=reject",
            "--on-exit",
            "2=ack",
            "--on-exit",
            "3=requeue",
        ])
        .args(["--on-exit", "5=reject", "./work"])
        .any_stderr()
        .spawn();
    let address = address_of(&mut running);
    becomes(&address, "/readyz", 200);
    let found = when_concluded(&address, &mut running, 60);
    assert_eq!(outcomes(&found), [10, 0, 10, 30, 0, 10]);
    // Each that failed ran twice.
    assert_eq!(found["amqp_consume_command_duration_seconds_count"], 110);
    assert_eq!(found["amqp_consume_messages_unacknowledged"], 0);
    assert_eq!(found["amqp_consume_commands_running"], 0);
    running.signal(Signal::TERM);
    running.exits(143);
    let log = test.read("log");
    assert_eq!(log.lines().count(), 111);
}

#[test]
fn metrics_count_what_waits_in_the_broker() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let _waiting = test.adopt(&format!("{}.retry.3600s", queue.name()));
    queue.publish(["7", "0"]);
    test.script("work", "read -r x; exit $x");
    let mut running = test
        .run("amqp-consume -q {queue}")
        .args(ANY_PORT)
        .args(["--on-failure", "retry:1h", "./work"])
        .any_stderr()
        .spawn();
    let address = address_of(&mut running);
    let found = when_concluded(&address, &mut running, 2);
    assert_eq!(outcomes(&found), [1, 0, 0, 0, 1, 0]);
    running.signal(Signal::TERM);
    running.exits(143);
}

#[test]
fn metrics_count_each_answer_of_a_coprocess() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish((0..60).map(|number| (number % 3).to_string()));
    let mut running = test
        .run("amqp-consume -q {queue} -p 10 --coprocess --framing lines --on-exit 1=reject --on-exit 2=ack")
        .args(ANY_PORT)
        .args(["--joblog", "log"])
        .args(["sh", "-c", r#"while read -r x; do echo "$x" >&3; done"#])
        .any_stderr()
        .spawn();
    let address = address_of(&mut running);
    becomes(&address, "/readyz", 200);
    let found = when_concluded(&address, &mut running, 60);
    assert_eq!(outcomes(&found), [20, 0, 20, 0, 0, 20]);
    assert_eq!(found["amqp_consume_command_duration_seconds_count"], 60);
    assert_eq!(found["amqp_consume_messages_unacknowledged"], 0);
    assert_eq!(found["amqp_consume_commands_running"], 0);
    running.signal(Signal::TERM);
    running.exits(143);
    assert_eq!(test.read("log").lines().count(), 61);
}

#[test]
fn idle_clients_are_in_nobodys_way() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let mut running = test
        .run("amqp-consume -q {queue} -c 50")
        .args(ANY_PORT)
        .arg("true")
        .any_stderr()
        .spawn();
    let address = address_of(&mut running);
    becomes(&address, "/readyz", 200);
    let idle: Vec<TcpStream> = (0..500)
        .filter_map(|_| TcpStream::connect(&address).ok())
        .collect();
    queue.publish((0..50).map(|number| number.to_string()));
    assert_eq!(status_of(&address, "/livez"), Some(200));
    running.succeeds();
    assert_eq!(idle.len(), 500);
}

#[test]
fn a_wrong_address_is_an_error_before_anything_else() {
    let test = Test::on("amqp://127.0.0.1:1");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for line in [
        "amqp-consume -q a cat",
        "amqp-publish -r a -b text",
        "amqp-move -q a -r b",
    ] {
        for (address, reason) in [
            (taken.as_str(), "already in use"),
            ("nowhere", "HOST:PORT"),
            ("127.0.0.1:99999", "HOST:PORT"),
        ] {
            let (tool, arguments) = line.split_once(' ').unwrap();
            test.run(tool)
                .args(["--status-address", address])
                .args(arguments.split(' '))
                .stderr_contains("--status-address")
                .stderr_contains(reason)
                .exits(1);
        }
    }
}

#[test]
fn a_publisher_shows_what_the_broker_confirmed() {
    let test = Test::new();
    test.queue("queue").declare();
    let mut running = test
        .run("amqp-publish -r {queue} -l")
        .args(ANY_PORT)
        .stdin_stays_open()
        .any_stderr()
        .spawn();
    let address = address_of(&mut running);
    becomes(&address, "/readyz", 200);
    running.write("one\ntwo\n");
    eventually("two confirms", || {
        metrics(&address)["amqp_publish_messages_total{outcome=\"confirmed\"}"] >= 2
    });
    assert_eq!(metrics(&address)["amqp_publish_messages_unconfirmed"], 0);
    running.close_stdin();
    running.succeeds();
}

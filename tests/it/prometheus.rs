//! What Prometheus makes of the metrics: its linter, the alerting rules, and the queries of the dashboard after real work.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use testbroker::free_port;

use crate::monitoring::{ANY_PORT, address_of, becomes, get};
use crate::support::{Running, Signal, Test, eventually};

/// Each outcome gets as many messages.
const EACH: u32 = 50;

/// What becomes of messages with the bodies 0 to 3.
const OUTCOMES: [&str; 4] = ["succeeded", "rejected", "parked", "delayed"];

fn is_installed() -> bool {
    let is_there = Command::new("promtool").arg("--version").output().is_ok();
    if !is_there {
        println!("skipped: prometheus is not installed");
    }
    is_there
}

fn monitoring_file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A private Prometheus that asks these addresses five times a second.
struct Prometheus<'t> {
    address: String,
    _running: Running<'t>,
}

impl<'t> Prometheus<'t> {
    fn start(test: &'t Test, targets: &[String]) -> Self {
        test.file("alerts.yml", monitoring_file("alerts.yml"));
        let configuration = serde_json::json!({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [{"job_name": "tools", "static_configs": [{"targets": targets}]}],
        });
        test.file("prometheus.yml", configuration.to_string()); // JSON is YAML
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let running = test
            .shell(&format!(
                "exec prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address={address}"
            ))
            .any_stderr()
            .spawn();
        let prometheus = Self {
            address,
            _running: running,
        };
        eventually("Prometheus", || {
            get(&prometheus.address, "/-/ready").is_some_and(|(status, _)| status == 200)
        });
        prometheus
    }

    /// The values that a query finds now.
    fn query(&self, query: &str) -> Vec<f64> {
        let path = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let (_, answer) = get(&self.address, &format!("/api/v1/query?query={path}")).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let samples = answer["data"]["result"].as_array().unwrap().iter();
        samples
            .map(|sample| sample["value"][1].as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// Waits until a query finds this number alone.
    fn becomes(&self, query: &str, value: u32) {
        eventually(&format!("{query} is {value}"), || {
            self.query(query) == [f64::from(value)]
        });
    }
}

/// The queries of all panels, as Grafana asks them.
fn queries_of_the_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&monitoring_file("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| {
            let query = target["expr"].as_str().unwrap();
            query.replace("$__rate_interval", "1m")
        })
        .collect()
}

#[test]
fn promtool_has_nothing_to_say_about_metrics_and_rules() {
    if !is_installed() {
        return;
    }
    let test = Test::new();
    test.queue("queue").declare();
    test.queue("destination").declare();
    for line in [
        "amqp-consume -q {queue}",
        "amqp-move -q {queue} -r {destination} --follow",
        "amqp-publish -r {queue} -l",
    ] {
        let mut running = test
            .run(line)
            .args(ANY_PORT)
            .args(line.starts_with("amqp-consume").then_some("true"))
            .stdin_stays_open()
            .any_stderr()
            .spawn();
        let address = address_of(&mut running);
        becomes(&address, "/readyz", 200);
        let (_, metrics) = get(&address, "/metrics").unwrap();
        test.shell("promtool check metrics")
            .stdin(metrics)
            .succeeds();
        running.signal(Signal::TERM);
        running.ends();
    }
    test.file("alerts.yml", monitoring_file("alerts.yml"));
    test.shell("promtool check rules alerts.yml")
        .any_stdout()
        .succeeds();
}

#[test]
fn the_queries_of_the_dashboard_find_what_the_tools_did() {
    if !is_installed() {
        return;
    }
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.queue("parking").declare();
    let destination = test.queue("destination").declare();
    let _waiting = test.adopt(&format!("{}.retry.3600s", queue.name()));
    test.script("work", "read -r x; exit $x");
    let mut consumer = test
        .run("amqp-consume -q {queue} -j 2 --on-exit 1=reject --on-exit 2=park --park {parking} --on-exit 3=retry:1h")
        .args(ANY_PORT)
        .args(["--joblog", "log", "./work"])
        .any_stderr()
        .spawn();
    let mut mover = test
        .run("amqp-move -q {parking} -r {destination} --follow")
        .args(ANY_PORT)
        .any_stderr()
        .spawn();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut publisher = test
        .run("amqp-publish -r {queue} -l --timestamp")
        .arg(now.as_secs().to_string())
        .args(ANY_PORT)
        .stdin_stays_open()
        .any_stderr()
        .spawn();
    let addresses = [&mut consumer, &mut mover, &mut publisher].map(address_of);
    let prometheus = Prometheus::start(&test, &addresses);
    eventually("three tools that are scraped", || {
        prometheus.query("up == 1").len() == 3
    });
    for number in 0..EACH * 4 {
        publisher.write(format!("{}\n", number % 4));
    }
    destination.holds(EACH);
    for outcome in OUTCOMES {
        let query = format!("amqp_consume_messages_total{{outcome=\"{outcome}\"}}");
        prometheus.becomes(&query, EACH);
    }
    prometheus.becomes(
        "amqp_publish_messages_total{outcome=\"confirmed\"}",
        EACH * 4,
    );
    prometheus.becomes("amqp_move_messages_total{outcome=\"moved\"}", EACH);
    let log = test.read("log");
    assert_eq!(
        log.lines().skip(1).count(),
        usize::try_from(EACH * 4).unwrap()
    );
    for query in queries_of_the_dashboard() {
        eventually(&format!("numbers for {query}"), || {
            let found = prometheus.query(&query);
            !found.is_empty() && found.iter().all(|value| value.is_finite())
        });
    }
    eventually("an alert about parked messages", || {
        !prometheus
            .query("ALERTS{alertname=\"TasksAreParked\",alertstate=\"firing\"}")
            .is_empty()
    });
    for tool in [consumer, mover, publisher] {
        tool.signal(Signal::TERM);
        tool.ends();
    }
}

//! `--log-format json`: each word of a tool on standard error is a line of JSON.

use amiquip::AmqpProperties;
use serde_json::Value;

use crate::support::{Finished, Test};

/// All tools, with what each needs to come to the point of connecting.
const TOOLS: [&str; 9] = [
    "amqp-call -r x -b x",
    "amqp-consume -q x cat",
    "amqp-declare-exchange x",
    "amqp-declare-queue x",
    "amqp-delete-exchange x",
    "amqp-delete-queue x",
    "amqp-get -q x",
    "amqp-move -q x -r y",
    "amqp-publish -r x -b x",
];

/// The entries on standard error. Each has a time and no more fields than these.
#[track_caller]
fn entries(finished: &Finished) -> Vec<Value> {
    let text = finished.stderr_text();
    let entries: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?} is not JSON")))
        .collect();
    for entry in &entries {
        let time = entry["time"].as_str().unwrap();
        let form: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(form, "0000-00-00T00:00:00.000Z", "{entry}");
        let known = ["time", "level", "message", "queue", "message_id"];
        assert!(
            entry
                .as_object()
                .unwrap()
                .keys()
                .all(|key| known.contains(&key.as_str())),
            "{entry}"
        );
    }
    entries
}

fn field(entry: &Value, name: &str) -> String {
    entry[name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_tool_complains_in_json() {
    for tool in TOOLS {
        let test = Test::new();
        let (name, rest) = tool.split_once(' ').unwrap();
        let ended = test
            .run(&format!(
                "{name} --log-format json -s 127.0.0.1 --port 1 {rest}"
            ))
            .any_stderr()
            .exits(1);
        let entries = entries(&ended);
        assert_eq!(field(&entries[0], "level"), "error", "{tool}");
        let message = field(&entries[0], "message");
        assert!(
            message.contains("opening socket to 127.0.0.1:1"),
            "{tool}: {message}"
        );
    }
}

#[test]
fn a_wrong_command_line_is_told_in_json_too() {
    for tool in TOOLS {
        let test = Test::new();
        let (name, _) = tool.split_once(' ').unwrap();
        let ended = test
            .run(&format!("{name} --bogus --log-format=json"))
            .any_stderr()
            .exits(1);
        let entries = entries(&ended);
        assert_eq!(
            field(&entries[0], "message"),
            "--bogus: unknown option",
            "{tool}"
        );
        assert!(field(&entries[1], "message").contains("--help"), "{tool}");
    }
}

#[test]
fn a_failed_command_has_its_queue_and_its_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let properties = AmqpProperties::default().with_message_id("order \"17\"".to_owned());
    queue.publish_with("a", &properties);
    let ended = test
        .run("amqp-consume --log-format json -q {queue} -c 1 sh -c 'exit 7'")
        .any_stderr()
        .exits(7);
    let entries = entries(&ended);
    assert_eq!(entries.len(), 1);
    assert_eq!(field(&entries[0], "level"), "warning");
    assert_eq!(field(&entries[0], "queue"), queue.name());
    assert_eq!(field(&entries[0], "message_id"), "order \"17\"");
    assert!(field(&entries[0], "message").contains("failed with exit status 7"));
}

#[test]
fn levels_say_what_text_says_in_its_first_word() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    let line = "amqp-get -q {queue} -u {url}?bogus=1 --requeue";
    let warning = "warning: the URL's parameter 'bogus' is not known here, and counts for nothing";
    test.run(&line.replace("{url}", test.url()))
        .stdout("a")
        .stderr(&format!("{warning}\n"))
        .succeeds();
    let ended = test
        .run(&format!(
            "{} --log-format json",
            line.replace("{url}", test.url())
        ))
        .stdout("a")
        .any_stderr()
        .succeeds();
    let entries = entries(&ended);
    assert_eq!(field(&entries[0], "level"), "warning");
    assert_eq!(
        format!("warning: {}", field(&entries[0], "message")),
        warning
    );
}

#[test]
fn there_is_no_progress_bar_beside_json() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.run("amqp-publish --log-format json -r {queue} -l --progress always")
        .stdin("a\nb\n")
        .succeeds();
    queue.holds(2);
}

#[test]
fn what_is_behind_a_command_is_the_commands() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    test.run("amqp-consume -q {queue} -c 1 sh -c 'exit 7' --log-format json")
        .stderr_contains("the command failed with exit status 7")
        .exits(7);
    test.run("amqp-get -q {queue} --log-format xml")
        .stderr_contains("--log-format")
        .exits(1);
}

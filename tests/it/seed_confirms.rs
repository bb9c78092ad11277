//! amqp-publish: what the broker says about each message, and what is said about that.

use amiquip::{AmqpValue, ExchangeType, FieldTable};

use crate::support::{Test, rabbitmqs};

/// Arguments of a queue that takes so many messages and rejects all others.
fn rejecting_beyond(length: i32) -> FieldTable {
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-length".to_owned(), AmqpValue::LongInt(length));
    let policy = AmqpValue::LongString("reject-publish".to_owned());
    arguments.insert("x-overflow".to_owned(), policy);
    arguments
}

/// What `--json` prints, but for how long it took.
fn report(
    published: u64,
    confirmed: u64,
    returned: u64,
    rejected: u64,
    first_unconfirmed: &str,
) -> Vec<String> {
    vec![
        format!(
            "{{\"published\":{published},\"confirmed\":{confirmed},\"returned\":{returned},\
             \"rejected\":{rejected},\"bytes\":"
        ),
        format!("\"first_unconfirmed\":{first_unconfirmed}}}\n"),
    ]
}

#[test]
fn a_full_queue_that_rejects_is_an_error_with_true_counts() {
    let test = Test::new();
    let queue = test.queue("queue").declare_with(rejecting_beyond(3));
    let mut publish = test
        .shell("seq 5 | amqp-publish -r {queue} -l --json --max-in-flight 1")
        .stderr_contains("basic.publish: the broker rejected a message")
        .stderr_contains("\n3 messages confirmed; the first unconfirmed is -:4\n");
    for part in report(4, 3, 0, 1, "\"-:4\"") {
        publish = publish.stdout_contains(&part);
    }
    publish.exits(1);
    queue.holds(3);
}

#[test]
fn a_message_to_no_queue_stops_the_run_there() {
    let test = Test::new();
    test.queue("queue").declare();
    test.file(
        "lines",
        test.fill(
            r#"{"body":"1","routing_key":"{queue}"}
{"body":"2","routing_key":"{nowhere}"}
{"body":"3","routing_key":"{queue}"}
"#,
        ),
    );
    let mut publish = test
        .run("amqp-publish --jsonl lines --json --max-in-flight 1")
        .stderr("basic.publish: no queue '{nowhere}'\n1 message confirmed; the first unconfirmed is lines:2\n");
    for part in report(2, 1, 1, 0, "\"lines:2\"") {
        publish = publish.stdout_contains(&part);
    }
    publish.exits(1);
    assert_eq!(test.queue("queue").take_texts(), ["1"]);
}

#[test]
fn what_was_on_its_way_with_a_returned_message_is_counted() {
    let test = Test::new();
    test.queue("queue").declare();
    // All fit the window: the third comes back while others are on their way.
    let lines: String = (1..=9)
        .map(|number| {
            let key = if number == 3 { "{nowhere}" } else { "{queue}" };
            test.fill(&format!(
                "{{\"body\":\"same\",\"routing_key\":\"{key}\"}}\n"
            ))
        })
        .collect();
    let ended = test
        .run("amqp-publish --jsonl --json")
        .stdin(lines)
        .any_stdout()
        .stderr_contains("basic.publish: no queue '{nowhere}'\n")
        .exits(1);
    // How many were sent before the third came back is the broker's choice; none of them may be forgotten.
    let report: serde_json::Value = serde_json::from_str(&ended.stdout_text()).unwrap();
    let count = |what: &str| report[what].as_u64().unwrap();
    assert!(count("published") >= 3, "{report}");
    assert_eq!(count("returned"), 1, "{report}");
    assert_eq!(count("rejected"), 0, "{report}");
    assert_eq!(count("confirmed"), count("published") - 1, "{report}");
    assert_eq!(report["first_unconfirmed"], "-:3");
    let kept = u32::try_from(count("confirmed")).unwrap();
    test.queue("queue").holds(kept);
}

#[test]
fn one_message_is_spoken_of_in_one_line() {
    let test = Test::new();
    test.run("amqp-publish -r {queue} -b x")
        .stderr("basic.publish: no queue '{queue}'\n")
        .exits(1);
    test.run("amqp-publish -r {queue}")
        .stdin("x")
        .stderr("basic.publish: no queue '{queue}'\n")
        .exits(1);
}

#[test]
fn messages_may_be_let_go_where_they_reach_no_queue() {
    let test = Test::new();
    test.run("amqp-publish -r {queue} -b x --no-mandatory")
        .succeeds();
    test.run("amqp-publish -r {queue} -b x --mandatory --no-mandatory")
        .succeeds();
    test.run("amqp-publish -r {queue} -b x --no-mandatory --mandatory")
        .stderr("basic.publish: no queue '{queue}'\n")
        .exits(1);
}

#[test]
fn for_a_named_exchange_that_is_an_error_only_if_it_is_to_be() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.bind_to(&ExchangeType::Direct, &test.name("exchange"), "known");
    test.run("amqp-publish -e {exchange} -r unknown -b x")
        .succeeds();
    test.run("amqp-publish -e {exchange} -r known -b x --mandatory")
        .succeeds();
    test.run("amqp-publish -e {exchange} -r unknown -b x --mandatory")
        .stderr("basic.publish: exchange '{exchange}' routes 'unknown' to no queue\n")
        .exits(1);
    queue.holds(1);
}

#[test]
fn without_confirms_a_message_to_no_queue_is_still_an_error() {
    let test = Test::new();
    test.run("amqp-publish -r {queue} -b x --no-confirm")
        .stderr("basic.publish: no queue '{queue}'\n")
        .exits(1);
    test.queue("queue").declare();
    test.shell("seq 2000 | amqp-publish -r {queue} -l --no-confirm")
        .succeeds();
    test.queue("queue").holds(2000);
}

#[test]
fn without_confirms_a_missing_exchange_is_still_an_error() {
    let test = Test::new();
    test.shell("seq 2000 | amqp-publish -e {exchange} -l --no-confirm")
        .stderr_contains("basic.publish: server channel error 404, message: ")
        .stderr_contains(rabbitmqs("NOT_FOUND"))
        .stderr_contains("sent, whether they arrived is not known\n")
        .exits(1);
}

#[test]
fn an_exchange_that_goes_away_is_an_error_after_what_was_confirmed() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.bind_to_fanout(&test.name("exchange"));
    let mut publish = test
        .run("amqp-publish -e {exchange} -l")
        .stdin_stays_open()
        .stderr_contains("basic.publish: server channel error 404, message: ")
        .stderr_contains(rabbitmqs("NOT_FOUND"))
        .stderr_contains("\n2 messages confirmed; the first unconfirmed is -:3\n")
        .spawn();
    publish.write("1\n2\n");
    queue.holds(2);
    test.inspector().delete(&test.name("exchange"));
    publish.write("3\n");
    publish.has_complained("confirmed");
    publish.exits(1);
}

#[test]
fn the_window_may_be_as_small_as_one_and_as_large_as_one_likes() {
    let test = Test::new();
    test.queue("queue").declare();
    for window in ["1", "2", "1000000"] {
        test.shell(&format!(
            "seq 300 | amqp-publish -r {{queue}} -l --max-in-flight {window}"
        ))
        .succeeds();
        let texts = test.queue("queue").take_texts();
        let expected: Vec<String> = (1..=300).map(|number| format!("{number}\n")).collect();
        assert_eq!(texts, expected, "{window}");
    }
}

//! Commands that get message after message and answer each on file descriptor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use testbroker::{Broker, Options};

use super::{has_lines, lines, nobody_is_left};
use crate::support::{Signal, Test};

/// Answers each line with itself, and writes it into the file `done`.
const ECHO: &str = "while IFS= read -r line; do echo \"$line\" >>done; echo \"$line\" >&3; done";

/// The statuses and ids in the job log.
fn logged(test: &Test) -> Vec<String> {
    let log = lines(test, "log");
    log[1..]
        .iter()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            format!("{} {} {}", fields[0], fields[3], fields[4])
        })
        .collect()
}

#[test]
fn each_answer_is_the_status_of_its_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["0\n", "3", "0"]);
    test.script("work", &format!("echo start >>starts; {ECHO}"));
    test.run("amqp-consume --quiet -q {queue} -c 3 -p 3 --coprocess --framing lines --on-failure ack --joblog log ./work")
        .exits(3);
    assert_eq!(lines(&test, "starts").len(), 1);
    assert_eq!(lines(&test, "done"), ["0", "3", "0"]);
    assert_eq!(logged(&test), ["1 0 0", "2 3 0", "3 0 0"]);
    assert_eq!(queue.depth(), 0);
    nobody_is_left(&test);
}

#[test]
fn envelopes_are_lines() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    test.script(
        "json",
        "while read -r line; do printf '%s\\n' \"$line\"; echo 0 >&3; done",
    );
    queue.publish(["a\nb\n"]);
    test.run("amqp-consume -q {queue} -c 1 --coprocess ./json")
        .stdout_contains(r#"{"body":"a\nb\n","exchange":"","routing_key":"{queue}""#)
        .succeeds();
}

#[test]
fn a_body_that_does_not_fit_has_failed_and_is_given_to_no_command() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["0", "0\n0", "0\n"]);
    test.run(&format!("amqp-consume -q {{queue}} -c 3 -p 3 --coprocess --framing lines --on-exit 65=ack --joblog log sh -c '{ECHO}'"))
        .stderr_contains("does not fit the framing")
        .exits(65);
    assert_eq!(lines(&test, "done"), ["0", "0"]);
    assert_eq!(logged(&test).len(), 3);
    assert_eq!(queue.depth(), 0);
}

#[test]
fn a_child_that_ends_fails_what_it_worked_on_and_nothing_else() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["0", "die", "0", "0"]);
    test.script(
        "work",
        "echo start >>starts; while read -r line; do [ \"$line\" != die ] || kill -9 $$; echo \"$line\" >>done; echo 0 >&3; done",
    );
    test.run("amqp-consume --quiet -q {queue} -c 4 -p 4 --coprocess --framing lines --on-failure ack --joblog log ./work")
        .exits(137);
    assert_eq!(lines(&test, "starts").len(), 2);
    assert_eq!(lines(&test, "done"), ["0", "0", "0"]);
    assert_eq!(logged(&test), ["1 0 0", "2 137 9", "3 0 0", "4 0 0"]);
    assert_eq!(queue.depth(), 0);
}

#[test]
fn what_a_child_left_before_it_ended_counts_if_it_is_whole() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b", "c"]);
    let script = "read -r a; read -r b; read -r c; printf \"0\\n0\\n0\" >&3";
    test.run(&format!("amqp-consume --quiet -q {{queue}} -c 3 -p 3 --coprocess --framing lines --on-failure ack --joblog log sh -c '{script}'"))
        .exits(1);
    assert_eq!(logged(&test), ["1 0 0", "2 0 0", "3 1 0"]);
}

#[test]
fn nonsense_ends_the_child_and_fails_its_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for (said, told) in [
        ("echo done", "child 1 answered 'done', which is neither"),
        ("echo 256", "child 1 answered '256'"),
        ("head -c 70000 /dev/zero", "a line without end"),
        ("echo 0; echo 0", "had nothing to answer"),
        ("exec 3>&-", "child 1 closed file descriptor 3"),
    ] {
        queue.publish(["message"]);
        let (redirected, status) = match said {
            "exec 3>&-" => (said.to_owned(), 143),
            "echo 0; echo 0" => (format!("{{ {said}; }} >&3"), 0),
            _ => (format!("{{ {said}; }} >&3"), 143),
        };
        test.run(&format!(
            "amqp-consume -q {{queue}} -c 1 --coprocess --framing lines --on-failure ack sh -c 'read -r line; {redirected}; exec sleep 60'"
        ))
        .stderr_contains(told)
        .exits(status);
        assert_eq!(queue.depth(), 0, "{said}");
    }
    nobody_is_left(&test);
}

#[test]
fn one_that_works_too_long_is_ended() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["0", "60", "0"]);
    test.script("work", "while read -r s; do sleep $s; echo 0 >&3; done");
    test.run("amqp-consume --quiet -q {queue} -c 3 -p 3 --coprocess --framing lines --timeout 500ms --on-failure ack --joblog log ./work")
        .exits(124);
    assert_eq!(logged(&test), ["1 0 0", "2 124 15", "3 0 0"]);
}

#[test]
fn a_new_child_takes_over_after_so_many() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["0"; 5]);
    test.script(
        "work",
        &format!("echo start >>starts; {ECHO}; echo end >>ends"),
    );
    test.run("amqp-consume -q {queue} -c 5 --recycle 2 -p 5 --coprocess --framing lines ./work")
        .succeeds();
    assert_eq!(lines(&test, "starts").len(), 3);
    assert_eq!(lines(&test, "ends").len(), 3);
    assert_eq!(queue.depth(), 0);
}

#[test]
fn outputs_are_in_the_answers() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let results = test.queue("results").declare();
    queue.publish(["a", "b"]);
    let script =
        r#"while read -r x; do echo "log $x"; echo "{\"status\":0,\"output\":\"$x!\"}" >&3; done"#;
    test.run("amqp-consume -q {queue} -c 2 -p 2 --coprocess --framing lines --output-queue {results} --tag sh -c")
        .arg(script)
        .stdout("1\tlog a\n1\tlog b\n")
        .succeeds();
    assert_eq!(results.take_texts(), ["a!", "b!"]);
    assert_eq!(queue.depth(), 0);
}

#[test]
fn a_failed_message_is_parked_after_its_attempts() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let parked = test.queue("parked").declare();
    queue.publish(["0", "7", "0"]);
    test.run(&format!("amqp-consume --quiet -q {{queue}} --idle-timeout 0s -p 3 --coprocess --framing lines --max-attempts 2 --park {{parked}} sh -c '{ECHO}'"))
        .succeeds();
    assert_eq!(parked.take_texts(), ["7"]);
    assert_eq!(queue.depth(), 0);
}

#[test]
fn a_signal_lets_what_was_fed_be_answered() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["1", "2", "3", "4"]);
    test.script(
        "work",
        "while read -r line; do echo $line >>begun; while [ ! -e go ]; do sleep 0.01; done; echo 0 >&3; done; echo end >>ends",
    );
    let worker = test
        .run("amqp-consume -q {queue} -p 2 --coprocess --framing lines ./work")
        .spawn();
    has_lines(&test, "begun", 1);
    worker.signal(Signal::TERM);
    queue.has_consumers(0);
    test.file("go", "");
    worker.exits(143);
    assert_eq!(lines(&test, "ends").len(), 1);
    assert_eq!(queue.take_texts(), ["3", "4"]);
}

#[test]
fn a_child_that_cannot_be_started_ends_the_run() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["message"]);
    test.run("amqp-consume -q {queue} --coprocess ./missing")
        .stderr_contains("./missing: No such file or directory")
        .exits(127);
    assert_eq!(queue.depth(), 1);
}

#[test]
fn its_environment_holds_nothing_of_a_message() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["message"]);
    test.run("amqp-consume -q {queue} -c 1 --coprocess sh -c 'read -r line; env | grep ^AMQP_ | grep -v ^AMQP_URL; echo 0 >&3'")
        .env("AMQP_MESSAGE_ID", "inherited")
        .stdout("AMQP_QUEUE={queue}\n")
        .succeeds();
}

/// The example of this name in the guide.
pub(super) fn example(name: &str) -> String {
    let guide = include_str!("../../../docs/coprocesses.md");
    let (_, after) = guide.split_once(&format!("`{name}`:\n\n")).unwrap();
    let is_code = |line: &&str| line.is_empty() || line.starts_with("    ");
    let lines = after.lines().take_while(is_code);
    let code = lines.take_while(|line| !line.starts_with("    amqp-"));
    code.flat_map(|line| [line.strip_prefix("    ").unwrap_or(line), "\n"])
        .collect()
}

#[test]
fn the_guides_examples_work() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for name in ["worker.sh", "worker.py", "reader.py"] {
        test.file(name, example(name));
    }
    let mut expected = Vec::new();
    for (options, command, results) in [
        ("--framing lines", "sh worker.sh", ["a b", "", "c"]),
        ("-p 100", "python3 worker.py", ["a b", "", "c"]),
        ("-p 2 --framing null", "python3 reader.py", ["3", "0", "1"]),
    ] {
        queue.publish(["a b", "", "c"]);
        test.run(&format!(
            "amqp-consume -q {{queue}} -c 3 --coprocess {options} {command}"
        ))
        .succeeds();
        expected.extend(results);
        assert_eq!(lines(&test, "results"), expected, "{command}");
        assert_eq!(queue.depth(), 0, "{command}");
    }
}

/// Children die at random messages, and the broker once: every message is done or parked, and the job log has a line for each answer
/// and each death.
#[test]
fn the_books_balance_when_children_and_the_broker_die() {
    const MESSAGES: usize = 400;
    let mut node = Broker::start(&Options::new()).unwrap();
    let test = Test::on(&node.url());
    let queue = test.queue("queue").declare();
    let parked = test.queue("parked").declare();
    node.write_definitions_down().unwrap();
    let ids: String = (1..=MESSAGES).map(|id| id.to_string() + "\n").collect();
    test.run("amqp-publish -r {queue} -p -l --chomp")
        .stdin(&ids)
        .succeeds();
    // Every hundredth message kills each child that gets it, every thirtieth the first one.
    test.script(
        "work",
        r#"while read -r id; do
            if [ $((id % 100)) = 0 ] || { [ $((id % 30)) = 0 ] && mkdir "killer$id" 2>/dev/null; }; then
                echo "$id" >>died; kill -9 $$
            fi
            echo "$id" >>done; echo 0 >&3
        done"#,
    );
    let worker = test
        .run("amqp-consume -q {queue} --coprocess -j 2 -p 10 --framing lines --retry 3m --idle-timeout 0s --max-attempts 3 --park {parked} --joblog log ./work")
        .within(Duration::from_secs(120))
        .any_stderr()
        .spawn();
    has_lines(&test, "done", MESSAGES / 2);
    node.kill();
    node.resume().unwrap();
    worker.succeeds();
    let mut done: BTreeSet<String> = lines(&test, "done").into_iter().collect();
    assert_eq!(queue.depth(), 0);
    let mut parked = parked.take_texts();
    parked.sort();
    assert_eq!(parked, ["100", "200", "300", "400"]);
    done.extend(parked);
    assert_eq!(done, ids.lines().map(str::to_owned).collect());
    let log = lines(&test, "log");
    let count = |status: &str| {
        let of_status = |line: &&String| line.split('\t').nth(3) == Some(status);
        log.iter().filter(of_status).count()
    };
    assert_eq!(count("0"), lines(&test, "done").len());
    assert_eq!(count("137"), lines(&test, "died").len());
    assert_eq!(log.len(), 1 + count("0") + count("137"));
}

//! A node that is killed and started again under consumers that retry. While it starts, it may answer 541, or that a queue's node is
//! down, or that a stream has no running replica.

use std::collections::BTreeSet;
use std::time::Duration;

use amiquip::{AmqpValue, FieldTable};
use testbroker::{Broker, Options};

use super::{has_lines, lines};
use crate::support::{Running, Test};

const MESSAGES: usize = 20;

/// How many messages each consumer has got when the node is killed.
const BEFORE: usize = 5;

/// Writes down what it gets, and waits with the last message before the kill until there is a file `go`.
fn consumer<'test>(test: &'test Test, queue: &str, file: &str) -> Running<'test> {
    let work = format!(
        "read -r body; echo $body >>{file}; \
         [ $(wc -l <{file}) -ne {BEFORE} ] || while [ ! -e go ]; do sleep 0.05; done"
    );
    test.run(&format!(
        "amqp-consume -q {queue} -p 3 --idle-timeout 0s --retry 2m sh -c '{work}'"
    ))
    .stderr_contains("; connecting anew\n")
    .within(Duration::from_secs(120))
    .spawn()
}

#[test]
fn consumers_that_retry_miss_nothing_when_their_node_is_killed_and_started_again() {
    let mut node = Broker::start(&Options::new()).unwrap();
    let test = Test::on(&node.url());
    let bodies: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    for kind in ["stream", "quorum"] {
        let argument = AmqpValue::LongString(kind.to_owned());
        let arguments = FieldTable::from([("x-queue-type".to_owned(), argument)]);
        test.queue(kind).declare_with(arguments).publish(&bodies);
    }
    node.write_definitions_down().unwrap();
    let files = ["read1", "read2", "shared1", "shared2"];
    let mut tools = files.map(|file| {
        let is_reader = file.starts_with("read");
        let queue = if is_reader {
            "{stream} --offset first"
        } else {
            "{quorum}"
        };
        consumer(&test, queue, file)
    });
    for file in files {
        has_lines(&test, file, BEFORE);
    }
    node.kill();
    for tool in &mut tools {
        tool.has_complained("; connecting anew\n");
    }
    test.file("go", "");
    node.resume().unwrap();
    for tool in tools {
        tool.succeeds();
    }
    let all: BTreeSet<String> = bodies.into_iter().collect();
    let got = |files: &[&str]| -> BTreeSet<String> {
        files.iter().flat_map(|file| lines(&test, file)).collect()
    };
    assert_eq!(got(&["read1"]), all);
    assert_eq!(got(&["read2"]), all);
    assert_eq!(got(&["shared1", "shared2"]), all);
    test.queue("quorum").holds(0);
}

//! A broker of three nodes, of which the one that a tool is connected to is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use testbroker::{Cluster, Options};

use crate::support::{Signal, Test, eventually, until};

/// Nodes of Erlang are killed, elect and start again here.
const PATIENCE: Duration = Duration::from_secs(240);

const MESSAGES: u32 = 5000;

#[test]
fn no_message_is_lost_with_the_node_that_we_are_connected_to() {
    let mut cluster = Cluster::start(3, &Options::new()).unwrap();
    let [first, second, third] = [0, 1, 2].map(|node| cluster.nodes[node].url());
    let test = Test::on(&third); // looks on from the node that stays
    test.run("amqp-declare-queue -q {queue} -d --queue-type quorum")
        .stdout("{queue}\n")
        .succeeds();
    let queue = test.queue("queue");

    // Seeding, by the first node.
    let lines: Vec<String> = (1..=MESSAGES).map(|number| format!("{number}\n")).collect();
    let mut seeding = test
        .run("amqp-publish -l -p -r {queue} --retry 2m")
        .args(["-u", &first, "-u", &second, "-u", &third])
        .stdin(lines.concat())
        .stderr_contains("connecting again")
        .within(PATIENCE)
        .spawn();
    eventually("nothing published", || queue.depth() > MESSAGES / 10);
    assert!(!seeding.has_ended());
    cluster.nodes[0].kill();
    seeding.succeeds();
    cluster.nodes[0].resume().unwrap();

    // Consuming, by the second.
    test.script("work", "cat >>done");
    let mut consuming = test
        .run("amqp-consume -q {queue} -j 4 -p 20 --retry 2m")
        .args(["-u", &second, "-u", &third, "-u", &first, "./work"])
        .stderr_contains("connecting anew")
        .within(PATIENCE)
        .spawn();
    eventually("nothing consumed", || {
        test.read("done").lines().count() > MESSAGES as usize / 10
    });
    assert!(!consuming.has_ended());
    cluster.nodes[1].kill();
    // What the worker had when its node ended comes back to the queue with that node, or (RabbitMQ 4.3) a minute later.
    cluster.nodes[1].resume().unwrap();
    let done = || -> BTreeSet<u32> {
        let text = test.read("done");
        let complete = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        complete.map(|line| line.trim().parse().unwrap()).collect()
    };
    let every = until(PATIENCE, || {
        (done().len() == MESSAGES as usize).then_some(())
    });
    let done = done();
    let lost: Vec<u32> = (1..=MESSAGES)
        .filter(|number| !done.contains(number))
        .collect();
    assert!(every.is_some(), "lost: {lost:?}");
    consuming.signal(Signal::TERM);
    consuming.exits(143);
    queue.holds(0);
}

//! Three stages, each with a worker that is killed again and again, on a broker that is killed once: every result arrives.

use std::collections::BTreeSet;
use std::time::Duration;

use testbroker::{Broker, Options};

use super::has_lines;
use crate::support::{Running, Signal, Test, eventually};

const MESSAGES: usize = 300;

const STAGES: [(&str, &str); 3] = [("first", "second"), ("second", "third"), ("third", "last")];

fn start<'t>(test: &'t Test, (from, to): (&str, &str)) -> Running<'t> {
    test.run(&format!(
        "amqp-consume -q {{{from}}} -j 2 --retry 3m --output-queue {{{to}}} ./stage {from}"
    ))
    .within(Duration::from_secs(180))
    .any_stderr()
    .spawn()
}

#[test]
fn a_pipeline_loses_nothing() {
    let mut node = Broker::start(&Options::new()).unwrap();
    let test = Test::on(&node.url());
    for queue in ["first", "second", "third", "last"] {
        test.queue(queue).declare();
    }
    node.write_definitions_down().unwrap();
    test.script("stage", "read -r id; echo \"$id\" >>\"$1\"; echo \"$id\"");
    let ids: String = (1..=MESSAGES)
        .flat_map(|number| [number.to_string(), "\n".to_owned()])
        .collect();
    test.run("amqp-publish -r {first} -p -l")
        .stdin(&ids)
        .succeeds();

    let mut workers = STAGES.map(|stage| start(&test, stage));
    for kill in 1..=15 {
        let index = kill % STAGES.len();
        has_lines(&test, STAGES[index].0, kill * 15);
        workers[index].signal(Signal::KILL);
        let next = start(&test, STAGES[index]);
        let _ = std::mem::replace(&mut workers[index], next).dies_of(Signal::KILL);
        if kill == 8 {
            node.kill();
            node.resume().unwrap();
        }
    }
    let is_empty = |queue: &str| test.queue(queue).depth() == 0;
    eventually("all are in the last queue", || {
        let arrived = test.queue("last").depth() as usize;
        arrived >= MESSAGES && STAGES.iter().all(|(from, _)| is_empty(from))
    });
    for worker in workers {
        worker.signal(Signal::TERM);
        worker.exits(143);
    }
    let arrived: BTreeSet<String> = test.queue("last").take_texts().into_iter().collect();
    let all: BTreeSet<String> = ids.lines().map(|id| format!("{id}\n")).collect();
    assert_eq!(arrived, all);
}

//! Whatever happens to workers, in whatever order: what was published is done, in the queue, parked or dead-lettered, and no
//! exit status lies.
//!
//! A seed decides what the messages are, what kind of queue they are in, and what becomes of the workers; the broker and the
//! system decide the rest. `AMQP_TOOLS_SEED` sets the first seed, `AMQP_TOOLS_WALKS` how many there are.

use std::collections::BTreeSet;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use amiquip::{AmqpValue, FieldTable};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::{end_all, lines};
use crate::support::{Ended, Finished, Proxy, Queue, Running, Signal, Test, eventually};

/// How many walks there are where nothing is said of that.
const WALKS: u64 = 5;

/// What becomes of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It ends by itself.
    Ends,
    /// It is asked to end.
    Terminated,
    /// It is asked twice.
    Stopped,
    /// It is killed.
    Killed,
    /// Its connection is cut.
    CutOff,
    /// Its connection is cut, and it makes another; so many times.
    Retries(usize),
}

/// What a message's command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Succeeds,
    Fails,
    IsRejected,
    Crashes,
}

/// `$1` is the worker's number.
const WORK: &str = r#"
    read -r deed id
    echo >>begun
    case $deed in
        Succeeds) echo "$id" >>done-$1 ;;
        Fails) exit 7 ;;
        IsRejected) exit 65 ;;
        Crashes) kill -9 $$ ;;
    esac"#;

/// One life of a worker.
#[derive(Clone, Debug)]
struct Life {
    fate: Fate,
    /// After how many further bytes to the broker the connection is cut, each time.
    patience: u64,
    /// `-c`, or no limit.
    count: Option<usize>,
    jobs: usize,
    prefetch: usize,
}

/// What a seed decides.
#[derive(Clone, Debug)]
struct Walk {
    is_quorum: bool,
    has_single_active_consumer: bool,
    deeds: Vec<Deed>,
    lives: Vec<Life>,
}

/// What a worker has left.
struct Left {
    life: Life,
    finished: Finished,
    done: BTreeSet<String>,
    /// The exit statuses of its commands that failed, in their order.
    failures: Vec<i32>,
    is_queue_empty: bool,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    use Fate::{CutOff, Ends, Killed, Retries, Stopped, Terminated};
    let fates = vec![
        Ends,
        Terminated,
        Stopped,
        Killed,
        CutOff,
        Retries(1),
        Retries(2),
    ];
    let counts = select(vec![Some(6), Some(6), Some(1), None]);
    let life = (select(fates), 300..3000_u64, counts, 1..4_usize, 1..5_usize);
    let life = life.prop_map(|(fate, patience, count, jobs, prefetch)| Life {
        fate,
        patience,
        count,
        jobs,
        prefetch,
    });
    prop::collection::vec(life, 1..6)
}

fn walks() -> impl Strategy<Value = Walk> {
    use Deed::{Crashes, Fails, IsRejected, Succeeds};
    let deed = select(vec![
        Succeeds, Succeeds, Succeeds, Fails, IsRejected, Crashes,
    ]);
    let deeds = prop::collection::vec(deed, 1..25);
    let walk = (any::<bool>(), any::<bool>(), deeds, lives());
    walk.prop_map(
        |(is_quorum, has_single_active_consumer, deeds, lives)| Walk {
            is_quorum,
            has_single_active_consumer,
            deeds,
            lives,
        },
    )
}

/// Has one worker live its life.
fn live(test: &Test, proxy: &Proxy, queue: &Queue<'_>, number: usize, life: &Life) -> Left {
    let (begun, written) = (lines(test, "begun").len(), proxy.bytes_to_broker());
    let limit = life
        .count
        .map_or(String::new(), |count| format!("-c {count}"));
    let retry = match life.fate {
        Fate::Retries(_) => "--retry 30s",
        _ => "",
    };
    let mut worker = test
        .run(&format!(
            "amqp-consume --url {} -q {{queue}} {limit} {retry} -j {} -p {} --idle-timeout 0s --on-exit 65=reject --max-attempts 2 \
             --park {{parking}} --joblog joblog-{number} ./work {number}",
            proxy.url(),
            life.jobs,
            life.prefetch,
        ))
        .any_stderr()
        .spawn();
    if matches!(life.fate, Fate::Terminated | Fate::Stopped | Fate::Killed) {
        eventually("something to begin", || {
            lines(test, "begun").len() > begun + 1 || worker.has_ended()
        });
    }
    let cut = |worker: &mut Running<'_>, written| {
        eventually("something to cut", || {
            proxy.bytes_to_broker() >= written + life.patience || worker.has_ended()
        });
        proxy.cut();
    };
    let send = |worker: &mut Running<'_>, signal| {
        if !worker.has_ended() {
            worker.signal(signal);
        }
    };
    match life.fate {
        Fate::Ends => {}
        Fate::Terminated => send(&mut worker, Signal::TERM),
        Fate::Stopped => [Signal::TERM, Signal::INT]
            .into_iter()
            .for_each(|signal| send(&mut worker, signal)),
        Fate::Killed => send(&mut worker, Signal::KILL),
        Fate::CutOff => cut(&mut worker, written),
        Fate::Retries(times) => {
            (0..times).for_each(|_| cut(&mut worker, proxy.bytes_to_broker().max(written)));
        }
    }
    let finished = worker.ends();
    // The commands of one that was killed finish on their own, and the broker gives back what it held.
    eventually("its commands' end", || super::processes(test).is_empty());
    queue.has_consumers(0);
    let log = lines(test, &format!("joblog-{number}"));
    let status = |line: &String| line.split('\t').nth(3)?.parse().ok();
    Left {
        life: life.clone(),
        finished,
        done: lines(test, &format!("done-{number}")).into_iter().collect(),
        failures: log
            .iter()
            .filter_map(status)
            .filter(|status| *status != 0)
            .collect(),
        is_queue_empty: queue.depth() == 0,
    }
}

impl Left {
    /// Whether the exit status is one that goes with what happened, as far as that can be seen from outside.
    fn has_a_fitting_status(&self) -> bool {
        let Ended::Exit(status) = self.finished.ended else {
            return self.life.fate == Fate::Killed;
        };
        let first_failure = self.failures.first().copied();
        // A message that comes with two failures behind it is parked without being run.
        let is_parked_on_arrival = self
            .finished
            .stderr_text()
            .contains("it is parked without being run");
        let by_itself = match status {
            0 => self.life.count.is_none() || first_failure.is_none(),
            1 => is_parked_on_arrival,
            status if self.life.fate == Fate::Ends && !is_parked_on_arrival => {
                first_failure == Some(status)
            }
            status => self.failures.contains(&status),
        };
        match self.life.fate {
            Fate::Terminated => by_itself || status == 143,
            // Of two signals at once, the system may tell the later one first.
            Fate::Stopped => by_itself || status == 143 || status == 130,
            Fate::CutOff => by_itself || status == 1,
            Fate::Ends | Fate::Killed | Fate::Retries(_) => by_itself,
        }
    }

    /// Exit status 0 says that as many messages are done for good as were asked for, or that the queue was empty.
    fn keeps_its_promise(&self, undone_later: &BTreeSet<String>) -> bool {
        let certain = self.done.difference(undone_later).count();
        self.finished.ended != Ended::Exit(0)
            || self.life.count.is_some_and(|count| certain >= count)
            || self.is_queue_empty
    }
}

/// What was in a queue: the messages' ids.
fn ids(queue: &Queue<'_>) -> Vec<String> {
    let texts = queue.take_texts();
    let ids = texts.iter().filter_map(|text| text.split_once(' '));
    ids.map(|(_, id)| id.to_owned()).collect()
}

/// Takes what is left in the queue. RabbitMQ refuses basic.get where a quorum queue has a single active consumer.
fn take_rest(test: &Test, queue: &Queue<'_>) -> Vec<String> {
    test.run("amqp-consume -q {queue} --idle-timeout 0s sh -c 'read -r deed id; echo $id >>rest'")
        .any_stderr()
        .succeeds();
    queue.holds(0);
    lines(test, "rest")
}

fn is_gentle(lives: &[Life]) -> bool {
    let is_gentle = |life: &Life| matches!(life.fate, Fate::Ends | Fate::Terminated);
    lives.iter().all(is_gentle)
}

fn walk(walk: &Walk) {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let dead_letters = test.queue("dead").declare();
    let parking = test.queue("parking").declare();
    let string = |text: &str| AmqpValue::LongString(text.to_owned());
    let arguments = [
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(dead_letters.name())),
        (
            "x-queue-type",
            string(if walk.is_quorum { "quorum" } else { "classic" }),
        ),
        (
            "x-single-active-consumer",
            AmqpValue::Boolean(walk.has_single_active_consumer),
        ),
    ];
    let named = arguments.map(|(name, value)| (name.to_owned(), value));
    let queue = test.queue("queue").declare_with(FieldTable::from(named));
    let published: BTreeSet<String> = (0..walk.deeds.len()).map(|id| id.to_string()).collect();
    queue.publish(
        walk.deeds
            .iter()
            .enumerate()
            .map(|(id, deed)| format!("{deed:?} {id}")),
    );
    test.script("work", WORK);

    let numbered = walk.lives.iter().enumerate();
    let left: Vec<Left> = numbered
        .map(|(number, life)| live(&test, &proxy, &queue, number, life))
        .collect();

    let rest = take_rest(&test, &queue);
    let elsewhere = || [&parking, &dead_letters].into_iter().flat_map(ids);
    let mut found: Vec<String> = rest.clone();
    found.extend(left.iter().flat_map(|one| one.done.clone()));
    eventually("every message accounted for", || {
        found.extend(elsewhere());
        published.iter().all(|id| found.contains(id))
    });
    assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), published);
    if is_gentle(&walk.lives) {
        assert_eq!(found.len(), published.len(), "each is in one place only");
    }
    for (number, one) in left.iter().enumerate() {
        let later = left[number + 1..].iter().flat_map(|one| &one.done);
        let undone_later = later.chain(&rest).cloned().collect();
        assert!(
            one.has_a_fitting_status() && one.keeps_its_promise(&undone_later),
            "worker {number}, {:?}, ended with {}; it had done {:?}, its failures were {:?}; later came {undone_later:?}\n{}",
            one.life,
            one.finished.ended,
            one.done,
            one.failures,
            one.finished.stderr_text(),
        );
    }
    end_all(&test);
}

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn walk_of(seed: u64) -> Walk {
    let mut runner = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    });
    walks().new_tree(&mut runner).unwrap().current()
}

#[test]
fn nothing_is_lost_and_no_status_lies() {
    // The lower bits, so that the seed is easily typed.
    let fresh = || {
        u64::from(
            proptest::test_runner::TestRunner::default()
                .rng()
                .next_u32(),
        )
    };
    let first = number("AMQP_TOOLS_SEED").unwrap_or_else(fresh);
    for seed in first..first + number("AMQP_TOOLS_WALKS").unwrap_or(WALKS) {
        let chosen = walk_of(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| walk(&chosen))) {
            eprintln!("again: AMQP_TOOLS_SEED={seed} AMQP_TOOLS_WALKS=1, which is {chosen:#?}");
            resume_unwind(panic);
        }
    }
}

//! Whatever happens to workers, in whatever order: what was published is done, in the queue, parked or dead-lettered.

use std::collections::BTreeSet;

use amiquip::{AmqpValue, FieldTable};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::{end_all, lines};
use crate::support::{Proxy, Queue, Signal, Test, eventually};

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
}

/// What a message's command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Succeeds,
    Fails,
    IsRejected,
    Crashes,
}

const WORK: &str = r#"
    read -r deed id
    echo >>begun
    case $deed in
        Succeeds) echo "$id" >>done ;;
        Fails) exit 7 ;;
        IsRejected) exit 65 ;;
        Crashes) kill -9 $$ ;;
    esac"#;

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    use Fate::{CutOff, Ends, Killed, Stopped, Terminated};
    let fate = prop::sample::select(vec![Ends, Terminated, Stopped, Killed, CutOff]);
    prop::collection::vec(fate, 1..6)
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    use Deed::{Crashes, Fails, IsRejected, Succeeds};
    let deed = prop::sample::select(vec![Succeeds, Succeeds, Fails, IsRejected, Crashes]);
    prop::collection::vec(deed, 1..25)
}

/// One worker's life.
fn work(test: &Test, proxy: &Proxy, fate: Fate) {
    let begun = lines(test, "begun").len();
    let mut worker = test
        .run(&format!(
            "amqp-consume --url {} -q {{queue}} -c 6 -j 2 --idle-timeout 0s --on-exit 65=reject --max-attempts 2 --park {{parking}} ./work",
            proxy.url()
        ))
        .any_stderr()
        .spawn();
    if fate != Fate::Ends {
        eventually("something to begin", || {
            lines(test, "begun").len() > begun + 1 || worker.has_ended()
        });
    }
    match fate {
        _ if worker.has_ended() => {}
        Fate::Ends => {}
        Fate::Terminated => worker.signal(Signal::TERM),
        Fate::Stopped => [Signal::TERM, Signal::INT]
            .into_iter()
            .for_each(|signal| worker.signal(signal)),
        Fate::Killed => worker.signal(Signal::KILL),
        Fate::CutOff => proxy.cut(),
    }
    worker.ends();
    // The commands of one that was killed finish on their own.
    eventually("its commands' end", || super::processes(test).is_empty());
}

fn ids(queue: &Queue<'_>) -> impl Iterator<Item = String> {
    let texts = queue.take_texts();
    texts
        .into_iter()
        .filter_map(|text| Some(text.split_once(' ')?.1.to_owned()))
}

/// Waits until everything is found that was published; then nothing else may be there.
fn account_for(test: &Test, published: &BTreeSet<String>, queues: &[Queue<'_>]) -> usize {
    let done = lines(test, "done");
    let mut found: BTreeSet<String> = done.iter().cloned().collect();
    let mut count = done.len();
    eventually("every message accounted for", || {
        for id in queues.iter().flat_map(ids) {
            count += 1;
            found.insert(id);
        }
        found.is_superset(published)
    });
    assert_eq!(&found, published);
    count
}

proptest! {
    #![proptest_config(Config { cases: 12, max_shrink_iters: 0, failure_persistence: None, ..Config::default() })]

    #[test]
    fn nothing_is_lost(fates in fates(), deeds in deeds(), is_quorum in any::<bool>()) {
        let test = Test::new();
        let proxy = Proxy::before(&test);
        let dead_letters = test.queue("dead").declare();
        let parking = test.queue("parking").declare();
        let kind = if is_quorum { "quorum" } else { "classic" };
        let arguments = [("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", dead_letters.name()), ("x-queue-type", kind)];
        let queue = test.queue("queue").declare_with(FieldTable::from(
            arguments.map(|(name, value)| (name.to_owned(), AmqpValue::LongString(value.to_owned()))),
        ));
        let published: BTreeSet<String> = (0..deeds.len()).map(|id| id.to_string()).collect();
        queue.publish(deeds.iter().enumerate().map(|(id, deed)| format!("{deed:?} {id}")));
        test.script("work", WORK);
        for fate in &fates {
            work(&test, &proxy, *fate);
        }
        let count = account_for(&test, &published, &[queue, parking, dead_letters]);
        let was_violent = fates.iter().any(|fate| matches!(fate, Fate::Killed | Fate::CutOff | Fate::Stopped));
        if !was_violent {
            prop_assert_eq!(count, published.len(), "each is in one place only");
        }
        end_all(&test);
    }
}

//! What a run is about: options, records, and which kinds of trouble there are. Drawn before anything happens.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use amqp_tools::publish::run::{RecordInfo, RunOptions};

use crate::choices::Choices;

const MIB: usize = 1 << 20;
const MOST_RECORDS: usize = 10;

/// What is drawn before a run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) options: RunOptions,
    pub(super) records: Vec<Planned>,
    pub(super) input_end: InputEnd,
    pub(super) trouble: Trouble,
    /// Rejects what it cannot route, and returns it afterwards.
    pub(super) rejects_before_returning: bool,
    pub(super) last: Last,
}

/// A record to be published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) told: RecordInfo,
    /// Whether there is a queue for it as long as the queue is there.
    pub(super) has_queue: bool,
}

/// How the input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputEnd {
    Ends,
    Fails,
    /// Nothing more comes, and it does not end.
    StaysOpen,
}

/// How likely each kind of trouble is, in percent a step. Most runs have few kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) breaks: u64,
    pub(super) pauses: u64,
    pub(super) fills: u64,
    pub(super) queue_goes: u64,
    pub(super) signals: u64,
    pub(super) checkpoint_fails: u64,
    pub(super) cannot_connect: u64,
    pub(super) time_passes: u64,
}

/// What the world is like when there are no more surprises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// All works, and the input ends.
    Healed,
    /// The broker says nothing more, and keeps the connection.
    Silent,
    /// The connection breaks, and no other can be made.
    Gone,
}

impl Scenario {
    pub(super) fn drawn(choices: &mut Choices) -> Scenario {
        let max_in_flight = match choices.below(8) {
            7 => None,
            number => NonZeroUsize::new(usize::try_from(number).unwrap_or(0) + 1),
        };
        let options = RunOptions {
            has_checkpoint: max_in_flight.is_some() && choices.chance(40),
            max_in_flight,
            retry: Duration::from_secs(choices.one_of(&[0, 1, 20, 60])),
            pace: choices
                .chance(30)
                .then(|| Duration::from_millis(choices.one_of(&[1, 100, 20_000]))),
        };
        let mut records = Vec::new();
        while records.len() < MOST_RECORDS && choices.chance(85) {
            records.push(Planned::drawn(records.len() as u64, choices));
        }
        Scenario {
            options,
            records,
            input_end: choices.one_of(&[
                InputEnd::Ends,
                InputEnd::Ends,
                InputEnd::Ends,
                InputEnd::StaysOpen,
                InputEnd::Fails,
            ]),
            trouble: Trouble::drawn(choices),
            rejects_before_returning: choices.chance(20),
            last: choices.one_of(&[Last::Healed, Last::Healed, Last::Silent, Last::Gone]),
        }
    }

    /// Whether some records cannot be told apart when they come back.
    pub(super) fn has_alike(&self) -> bool {
        let prints = self
            .records
            .iter()
            .filter_map(|record| record.told.fingerprint);
        let different: BTreeSet<u64> = prints.clone().collect();
        different.len() < prints.count()
    }
}

impl Planned {
    fn drawn(number: u64, choices: &mut Choices) -> Planned {
        let has_queue = !choices.chance(4);
        // Some are alike.
        let body = if choices.chance(20) { 0 } else { number + 1 };
        let fingerprint = body * 2 + u64::from(has_queue);
        Planned {
            told: RecordInfo {
                length: choices.one_of(&[1, 1, 1, 1, 9 * MIB, 17 * MIB]),
                input_length: 1,
                fingerprint: (!choices.chance(10)).then_some(fingerprint),
            },
            has_queue,
        }
    }
}

impl Trouble {
    fn drawn(choices: &mut Choices) -> Trouble {
        let mut kind = |likely: u64| {
            if choices.chance(35) { likely } else { 0 }
        };
        Trouble {
            breaks: kind(6),
            pauses: kind(4),
            fills: kind(4),
            queue_goes: kind(3),
            signals: kind(3),
            checkpoint_fails: kind(20),
            cannot_connect: kind(10),
            time_passes: kind(15),
        }
    }
}

//! What a run is about: options, messages, and which kinds of trouble there are. Drawn before anything happens.

use std::num::NonZeroU64;
use std::time::Duration;

use amqp_tools::transfer::run::{Extent, RunOptions};

use crate::choices::Choices;

const MIB: usize = 1 << 20;
const MOST_MESSAGES: usize = 9;

/// What is drawn before a run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) options: RunOptions,
    pub(super) messages: Vec<Planned>,
    /// So many messages come to the source while the run goes on.
    pub(super) latecomers: usize,
    pub(super) kind: QueueKind,
    pub(super) trouble: Trouble,
    /// Rejects what it cannot route, and returns it afterwards.
    pub(super) rejects_before_returning: bool,
    pub(super) last: Last,
}

/// What kind of queue the source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueKind {
    Classic,
    /// A channel keeps acknowledgements back from it.
    Quorum,
}

/// A message in the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) length: usize,
    pub(super) fingerprint: u64,
    /// No copy can be made of it.
    pub(super) is_unfit: bool,
    /// No queue gets its copy.
    pub(super) is_unroutable: bool,
}

/// How likely each kind of trouble is, in percent a step. Most runs have few kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) breaks: u64,
    pub(super) pauses: u64,
    pub(super) fills: u64,
    pub(super) target_goes: u64,
    pub(super) source_goes: u64,
    pub(super) signals: u64,
    pub(super) rival_takes: u64,
    pub(super) withheld: u64,
    pub(super) report_fails: u64,
    pub(super) cannot_connect: u64,
    pub(super) count_lies: u64,
    pub(super) time_passes: u64,
}

/// What the world is like when there are no more surprises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// All works.
    Healed,
    /// The broker says nothing more, and keeps the connection.
    Silent,
    /// The connection breaks, and no other can be made.
    Gone,
}

impl Scenario {
    pub(super) fn drawn(choices: &mut Choices) -> Scenario {
        let options = RunOptions {
            count: NonZeroU64::new(choices.one_of(&[0, 0, 0, 1, 2, 5, 20])),
            extent: choices.one_of(&[
                Extent::WhatIsThere,
                Extent::WhatIsThere,
                Extent::WhatIsThere,
                Extent::Follow,
            ]),
            interval: choices
                .chance(15)
                .then(|| Duration::from_millis(choices.one_of(&[5, 300, 2_000]))),
            retry: Duration::from_secs(choices.one_of(&[0, 1, 20, 60])),
        };
        let mut messages = Vec::new();
        // Enough, in some runs, for a channel to keep acknowledgements back.
        let most = if choices.chance(10) {
            60
        } else {
            MOST_MESSAGES
        };
        let has_unusual = choices.chance(30);
        while messages.len() < most && choices.chance(88) {
            messages.push(Planned::drawn(messages.len() as u64, has_unusual, choices));
        }
        Scenario {
            options,
            messages,
            latecomers: choices.one_of(&[0, 0, 0, 1, 3]),
            kind: choices.one_of(&[QueueKind::Classic, QueueKind::Quorum]),
            trouble: Trouble::drawn(choices),
            rejects_before_returning: choices.chance(20),
            last: choices.one_of(&[Last::Healed, Last::Healed, Last::Silent, Last::Gone]),
        }
    }
}

impl Planned {
    pub(super) fn drawn(number: u64, has_unusual: bool, choices: &mut Choices) -> Planned {
        let (rare, some) = if has_unusual { (5, 20) } else { (0, 0) };
        let is_unroutable = choices.chance(rare);
        // Some are alike, as bodies often are.
        let body = if choices.chance(some) { 0 } else { number + 1 };
        Planned {
            length: if choices.chance(rare) {
                choices.one_of(&[3 * MIB, 9 * MIB])
            } else {
                1
            },
            fingerprint: body * 2 + u64::from(is_unroutable),
            is_unfit: choices.chance(rare),
            is_unroutable,
        }
    }
}

impl Trouble {
    fn drawn(choices: &mut Choices) -> Trouble {
        let mut kind = |likely: u64| {
            if choices.chance(25) { likely } else { 0 }
        };
        Trouble {
            breaks: kind(5),
            pauses: kind(4),
            fills: kind(3),
            target_goes: kind(2),
            source_goes: kind(1),
            signals: kind(3),
            rival_takes: kind(5),
            withheld: kind(5),
            report_fails: kind(2),
            cannot_connect: kind(10),
            count_lies: kind(30),
            time_passes: kind(15),
        }
    }
}

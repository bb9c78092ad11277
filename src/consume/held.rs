//! Messages whose command failed and that go back to the queue, but not yet: given back at once, a bad one at the
//! queue's head would be delivered again at once, for ever.

use std::time::{Duration, Instant};

use super::link::{Hold, Link};
use crate::status::Status;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many messages are held at most. After that the tool takes no more until some have gone back.
const CAPACITY: usize = 1000;

/// When a held message goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// After a pause that doubles while failures follow each other.
    Paused,
    /// When the tool ends, so that one bad message can't use up its count.
    TheEnd,
}

/// The held messages.
pub(super) struct Held {
    until: Until,
    pause: Duration,
    messages: Vec<HeldMessage>,
}

struct HeldMessage {
    hold: Hold,
    /// Absent: when the tool ends.
    due: Option<Instant>,
    status: Status,
}

impl Held {
    pub(super) fn new(until: Until) -> Held {
        Held {
            until,
            pause: SHORTEST_PAUSE,
            messages: Vec::new(),
        }
    }

    /// Holds a message whose command failed with `status`.
    pub(super) fn hold(&mut self, hold: Hold, status: Status, now: Instant) {
        let due = match self.until {
            Until::Paused => Some(now + self.pause),
            Until::TheEnd => None,
        };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.messages.push(HeldMessage { hold, due, status });
    }

    /// A command has succeeded: failures no longer follow each other.
    pub(super) fn success(&mut self) {
        self.pause = SHORTEST_PAUSE;
    }

    /// Takes out those that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Hold> {
        self.messages
            .extract_if(.., |message| message.due.is_some_and(|due| due <= now))
            .map(|message| message.hold)
            .collect()
    }

    /// Takes out all.
    pub(super) fn all(&mut self) -> Vec<Hold> {
        self.messages
            .drain(..)
            .map(|message| message.hold)
            .collect()
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.messages.iter().filter_map(|message| message.due).min()
    }

    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= CAPACITY
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The status that the first of them failed with.
    pub(super) fn first_status(&self) -> Option<Status> {
        self.messages.first().map(|message| message.status)
    }

    /// Whether some of them cost the present subscription credit.
    pub(super) fn cost_credit(&self, link: &Link) -> bool {
        self.messages
            .iter()
            .any(|message| link.costs_credit(&message.hold))
    }

    /// The connection that they came by is gone: they go back without us.
    pub(super) fn forget(&mut self) {
        self.messages.clear();
    }
}

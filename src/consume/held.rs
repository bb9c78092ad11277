//! Messages whose command failed and that go back to the queue, but not yet: given back at once, a bad one at the
//! queue's head would be delivered again at once, for ever.

use std::time::{Duration, Instant};

use super::link::{Hold, Link};
use crate::message::Message;
use crate::status::Status;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many messages are held at most, and how many bytes of those that are to be published again. After that the tool
/// takes no more until some have gone back.
const CAPACITY: usize = 1000;
const CAPACITY_IN_BYTES: usize = 64 * 1024 * 1024;

/// When held messages go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// After a pause that doubles while failures follow each other.
    Paused,
    /// When the tool ends, so that one bad message can't use up its count.
    TheEnd,
}

/// How a message goes back.
pub(super) enum WayBack {
    /// The broker is told that it was tried in vain.
    Rejected,
    /// It is published again, and then acknowledged.
    Republished(Box<Message>),
}

/// A message that is held.
pub(super) struct HeldMessage {
    /// The claim to it.
    pub(super) hold: Hold,
    /// How it goes back.
    pub(super) way_back: WayBack,
    /// What its command failed with.
    pub(super) status: Status,
}

/// The held messages.
pub(super) struct Held {
    until: Until,
    pause: Duration,
    /// Each with the time when it goes back, unless that is the end.
    messages: Vec<(Option<Instant>, HeldMessage)>,
}

impl Held {
    pub(super) fn new(until: Until) -> Held {
        Held {
            until,
            pause: SHORTEST_PAUSE,
            messages: Vec::new(),
        }
    }

    pub(super) fn hold(&mut self, message: HeldMessage, now: Instant) {
        let due = match self.until {
            Until::Paused => Some(now + self.pause),
            Until::TheEnd => None,
        };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.messages.push((due, message));
    }

    /// A command has succeeded: failures no longer follow each other.
    pub(super) fn success(&mut self) {
        self.pause = SHORTEST_PAUSE;
    }

    /// Takes out those that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<HeldMessage> {
        self.messages
            .extract_if(.., |(due, _)| due.is_some_and(|due| due <= now))
            .map(|(_, message)| message)
            .collect()
    }

    /// Takes out all.
    pub(super) fn all(&mut self) -> Vec<HeldMessage> {
        self.messages
            .drain(..)
            .map(|(_, message)| message)
            .collect()
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.messages.iter().filter_map(|(due, _)| *due).min()
    }

    pub(super) fn is_full(&self) -> bool {
        let bytes = |message: &HeldMessage| match &message.way_back {
            WayBack::Rejected => 0,
            WayBack::Republished(message) => message.body.len(),
        };
        self.messages.len() >= CAPACITY
            || self
                .messages
                .iter()
                .map(|(_, message)| bytes(message))
                .sum::<usize>()
                >= CAPACITY_IN_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What the first of them failed with.
    pub(super) fn first_status(&self) -> Option<Status> {
        self.messages.first().map(|(_, message)| message.status)
    }

    /// Whether some of them cost the present subscription credit.
    pub(super) fn cost_credit(&self, link: &Link) -> bool {
        self.messages
            .iter()
            .any(|(_, message)| link.costs_credit(&message.hold))
    }

    /// The connection that they came by is gone: they go back without us.
    pub(super) fn forget(&mut self) {
        self.messages.clear();
    }
}

//! What comes, and when.

use std::collections::BTreeMap;

use amqp_tools::consume::run::{Connection, Copy, Id, Time};

/// Something that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Connecting comes to its end.
    Connected(Connection),
    /// The broker processes some of what was written.
    Process(Connection),
    /// The driver hears the next thing that the broker sent.
    Incoming(Connection),
    /// The leader of a quorum queue takes some settlements.
    Leader(Connection),
    /// The answer to connection.close is waited for no longer.
    CloseLimit(Connection),
    /// A command ends, if this is still the plan.
    CommandEnds(Id, u64),
    /// Lines are written.
    Write,
    /// A copy is in its queue.
    CopyArrives(Id, Copy),
    CopyAnswered(Id, bool),
    CountsAnswered,
    RivalWorks,
}

/// By time, and in the order in which it was added.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    entries: BTreeMap<(Time, u64), Pending>,
    added: u64,
}

impl Calendar {
    pub(super) fn add(&mut self, then: Time, pending: Pending) {
        self.added += 1;
        self.entries.insert((then, self.added), pending);
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.entries.first_key_value().map(|((then, _), _)| *then)
    }

    pub(super) fn take(&mut self) -> Option<Pending> {
        self.entries.pop_first().map(|(_, pending)| pending)
    }

    pub(super) fn has(&self, pending: &Pending) -> bool {
        self.entries.values().any(|entry| entry == pending)
    }
}

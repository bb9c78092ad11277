//! What comes, and when.

use std::time::Duration;

use std::collections::BTreeMap;

use amqp_tools::consume::run::{ChildNumber, ConnectionId, Copy, DeliveryId};

/// Something that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Connecting comes to its end.
    Connected(ConnectionId),
    /// The broker processes some of what was written.
    Process(ConnectionId),
    /// The driver hears the next thing that the broker sent.
    Incoming(ConnectionId),
    /// The leader of a quorum queue takes some settlements.
    Leader(ConnectionId),
    /// The answer to connection.close is waited for no longer.
    CloseLimit(ConnectionId),
    /// A command ends, if this is still the plan.
    CommandEnds(DeliveryId, u64),
    /// A child does what it does next.
    ChildActs(ChildNumber),
    /// A child ends, if this is still the plan.
    ChildEnds(ChildNumber, u64),
    /// Lines are written.
    Write,
    /// A copy is in its queue.
    CopyArrives(DeliveryId, Copy),
    CopyAnswered(DeliveryId, bool),
    CountsAnswered,
    /// A message is delayed no longer.
    DelayEnds(usize),
    /// A message comes back from the queue that it waited in.
    WaitEnds(usize),
    RivalWorks,
    /// The other worker, which was stuck, ends.
    RivalLeaves,
}

/// By time, and in the order in which it was added.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    entries: BTreeMap<(Duration, u64), Pending>,
    added: u64,
}

impl Calendar {
    pub(super) fn add(&mut self, then: Duration, pending: Pending) {
        self.added += 1;
        self.entries.insert((then, self.added), pending);
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.entries.first_key_value().map(|((then, _), _)| *then)
    }

    pub(super) fn take(&mut self) -> Option<Pending> {
        self.entries.pop_first().map(|(_, pending)| pending)
    }

    pub(super) fn has(&self, pending: &Pending) -> bool {
        self.entries.values().any(|entry| entry == pending)
    }
}

//! Which acknowledgements are certain.
//!
//! An acknowledgement has no answer of its own. On a quorum queue a channel passes on 32 of them that the queue has not
//! answered, keeps the further ones back, and drops these when it closes
//! (<https://github.com/rabbitmq/rabbitmq-server/issues/10327>). The answer to basic.cancel proves all that were sent before
//! it; the answer to the close proves the first 32 after that.

use std::collections::BTreeSet;

use super::event::Subscription;

/// How much the close proves. One `multiple` costs one for each subscription that it spans.
pub(super) const PROVEN_BY_CLOSE: usize = 32;

/// What was acknowledged, and how sure that is.
#[derive(Clone, Debug, Default)]
pub(super) struct Certainty {
    /// Messages whose acknowledgement is certain.
    certain: u64,
    /// Messages that were acknowledged on connections that are lost, without certainty.
    in_doubt: u64,
    /// What was sent before each basic.cancel that is not answered yet, in order.
    before_cancels: Vec<(Subscription, Sent)>,
    /// What was sent since the last basic.cancel.
    since: Sent,
}

/// Acknowledgements that were sent.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    messages: u64,
    cost: usize,
}

impl Certainty {
    pub(super) fn certain(&self) -> u64 {
        self.certain
    }

    pub(super) fn in_doubt(&self) -> u64 {
        self.in_doubt
    }

    /// How many messages are acknowledged on this connection without certainty.
    pub(super) fn uncertain(&self) -> u64 {
        let before = self.before_cancels.iter().map(|(_, sent)| sent.messages);
        before.sum::<u64>() + self.since.messages
    }

    /// What the acknowledgements cost that are not certain.
    pub(super) fn cost(&self) -> usize {
        let before = self.before_cancels.iter().map(|(_, sent)| sent.cost);
        before.sum::<usize>() + self.since.cost
    }

    /// Notes an acknowledgement of so many messages, or that none of them is acknowledged but given back.
    pub(super) fn sent(&mut self, messages: u64, subscriptions: &BTreeSet<Subscription>) {
        self.since.messages += messages;
        self.since.cost += subscriptions.len();
    }

    pub(super) fn cancel_sent(&mut self, subscription: Subscription) {
        let sent = std::mem::take(&mut self.since);
        self.before_cancels.push((subscription, sent));
    }

    /// basic.cancel was answered.
    pub(super) fn cancel_answered(&mut self, subscription: Subscription) {
        let position = self
            .before_cancels
            .iter()
            .position(|(number, _)| *number == subscription);
        if let Some(position) = position {
            let proven = self.before_cancels.drain(..=position);
            self.certain += proven.map(|(_, sent)| sent.messages).sum::<u64>();
        }
    }

    /// connection.close was answered.
    pub(super) fn close_answered(&mut self) {
        if self.cost() <= PROVEN_BY_CLOSE {
            self.certain += self.uncertain();
            self.before_cancels.clear();
            self.since = Sent::default();
        }
        self.lose_connection();
    }

    /// What was not certain will not become so.
    pub(super) fn lose_connection(&mut self) {
        self.in_doubt += self.uncertain();
        self.before_cancels.clear();
        self.since = Sent::default();
    }
}

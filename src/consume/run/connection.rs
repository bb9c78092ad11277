//! The present connection as the run knows it: its subscriptions, and what was sent on it that is not certain.

use std::time::Duration;

use super::event::{ConnectionId, SubscriptionId};

/// The present connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) number: ConnectionId,
    pub(super) state: ConnectionState,
    /// Oldest first. Two only while one replaces the other on a queue that ends with its last consumer.
    pub(super) subscriptions: Vec<(SubscriptionId, SubscriptionState)>,
    /// The number of the latest subscription.
    pub(super) latest: SubscriptionId,
    /// What the queue is asked for how many messages are ready for.
    pub(super) question: Option<Question>,
    pub(super) uncertain: Uncertain,
    /// How many commands to the queue were sent in all.
    sent: u64,
    /// Where a quorum queue drops what comes back, by the broker's version.
    pub(super) delivery_limit: Option<u64>,
    pub(super) prefetch_of_channel: bool,
    /// The prefetch that was last set, where it counts for the channel.
    pub(super) prefetch: u16,
    /// Since when a subscription made for fresh credit has brought nothing.
    pub(super) fruitless_since: Option<Duration>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// It is being made.
    Connecting,
    /// It stands.
    Open,
    /// It was closed, and the answer has not come.
    Closing,
    /// There is none.
    Gone,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionState {
    /// basic.consume was sent. Until its answer nothing may be said about it (RabbitMQ 3.10 closes the connection, 541).
    Asked,
    /// It brings messages.
    Active,
    /// basic.cancel was sent.
    Cancelled {
        /// What was sent before, which the answer makes certain.
        before: Uncertain,
        /// Whether nothing has come since.
        silent: bool,
    },
}

/// Why the queue is asked how many messages are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// It delivered nothing, and the run would end for that.
    IsItEmpty,
    /// It delivers nothing while failed messages are held.
    DoesItWithhold,
    /// It was [`Question::IsItEmpty`], and a message has gone back since.
    Outdated,
}

/// What was settled on a connection, and may not have reached the queue.
///
/// An answer to basic.cancel makes all certain that was sent before. Any other answer does so for the first 32 commands
/// since then: a channel keeps back what a quorum queue has not taken, and drops it when it is closed
/// (`rabbit_fifo_client.erl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uncertain {
    /// Messages that succeeded.
    pub(super) successes: u64,
    /// Messages that failed and were not requeued.
    pub(super) failures: u64,
    /// Commands to the queue, for these messages and others.
    pub(super) commands: u64,
}

/// How many commands a channel passes on to a quorum queue that has not answered.
const KEPT_BY_QUEUE: u64 = 32;

impl Uncertain {
    /// How many messages these are.
    pub(super) fn messages(self) -> u64 {
        self.successes + self.failures
    }

    /// Whether an answer to closing the connection would make all certain.
    pub(super) fn fits_a_close(self) -> bool {
        self.commands <= KEPT_BY_QUEUE
    }

    /// What is left when `certain` is.
    fn without(self, certain: Uncertain) -> Uncertain {
        Uncertain {
            successes: self.successes.saturating_sub(certain.successes),
            failures: self.failures.saturating_sub(certain.failures),
            commands: self.commands.saturating_sub(certain.commands),
        }
    }
}

impl Connection {
    pub(super) fn first() -> Connection {
        Connection::connecting(1, 0)
    }

    /// The connection after this one.
    pub(super) fn next(&self) -> Connection {
        Connection::connecting(self.number + 1, self.latest)
    }

    fn connecting(number: ConnectionId, latest: SubscriptionId) -> Connection {
        Connection {
            number,
            state: ConnectionState::Connecting,
            subscriptions: Vec::new(),
            latest,
            question: None,
            uncertain: Uncertain::default(),
            sent: 0,
            delivery_limit: None,
            prefetch_of_channel: false,
            prefetch: 0,
            fruitless_since: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == ConnectionState::Open
    }

    /// So many commands to the queue are sent.
    pub(super) fn send(&mut self, commands: u64) {
        self.sent += commands;
        self.uncertain.commands += commands;
    }

    /// The number of the latest command to the queue.
    pub(super) fn latest_command(&self) -> u64 {
        self.sent
    }

    /// Whether this command to the queue is certain.
    pub(super) fn is_certain(&self, command: u64) -> bool {
        command <= self.sent - self.uncertain.commands
    }

    /// Whether the broker owes the answer to a basic.consume.
    pub(super) fn is_subscribing(&self) -> bool {
        self.subscriptions
            .iter()
            .any(|(_, state)| *state == SubscriptionState::Asked)
    }

    pub(super) fn subscribed(&mut self, number: SubscriptionId) {
        for (subscription, state) in &mut self.subscriptions {
            if *subscription == number && *state == SubscriptionState::Asked {
                *state = SubscriptionState::Active;
            }
        }
    }

    /// basic.cancel is sent. Only the silence of a queue that may deliver says anything.
    pub(super) fn cancel(&mut self, number: SubscriptionId, has_credit: bool) {
        let before = self.uncertain;
        for (subscription, state) in &mut self.subscriptions {
            if *subscription == number {
                *state = SubscriptionState::Cancelled {
                    before,
                    silent: has_credit,
                };
            }
        }
    }

    /// basic.cancel-ok has come. What became certain, and whether the queue had nothing to deliver.
    pub(super) fn unsubscribed(&mut self, number: SubscriptionId) -> Option<(Uncertain, bool)> {
        let index = self
            .subscriptions
            .iter()
            .position(|(subscription, _)| *subscription == number)?;
        let (_, state) = self.subscriptions.remove(index);
        let SubscriptionState::Cancelled { before, silent } = state else {
            return None;
        };
        self.uncertain = self.uncertain.without(before);
        for (_, state) in &mut self.subscriptions {
            if let SubscriptionState::Cancelled { before: later, .. } = state {
                *later = later.without(before);
            }
        }
        Some((before, silent))
    }

    /// A delivery has come.
    pub(super) fn delivered(&mut self) {
        self.fruitless_since = None;
        for (_, state) in &mut self.subscriptions {
            if let SubscriptionState::Cancelled { silent, .. } = state {
                *silent = false;
            }
        }
    }

    /// A message goes back to the queue: that it delivered nothing before says nothing any more.
    pub(super) fn given_back(&mut self) {
        for (_, state) in &mut self.subscriptions {
            if let SubscriptionState::Cancelled { silent, .. } = state {
                *silent = false;
            }
        }
        if self.question == Some(Question::IsItEmpty) {
            self.question = Some(Question::Outdated);
        }
    }

    /// The oldest subscription that may be cancelled.
    pub(super) fn oldest_active(&self) -> Option<SubscriptionId> {
        let active =
            |(_, state): &&(SubscriptionId, SubscriptionState)| *state == SubscriptionState::Active;
        self.subscriptions
            .iter()
            .find(active)
            .map(|(number, _)| *number)
    }

    pub(super) fn active_count(&self) -> usize {
        let active =
            |(_, state): &&(SubscriptionId, SubscriptionState)| *state == SubscriptionState::Active;
        self.subscriptions.iter().filter(active).count()
    }
}

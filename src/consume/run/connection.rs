//! The present connection as the core knows it: its subscriptions, and the settlements on it that are not certain.

use std::time::Duration;

use super::event::{ConnectionId, SubscriptionId};

/// A connection that has lasted this long is one that works.
const SETTLED: Duration = Duration::from_secs(5);

/// The present connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) number: ConnectionId,
    pub(super) state: ConnectionState,
    /// When it was opened.
    opened: Option<Duration>,
    /// Oldest first. There are two only while one replaces the other on an auto-delete queue.
    pub(super) subscriptions: Vec<(SubscriptionId, SubscriptionState)>,
    /// The number of the last subscription of the connection before.
    pub(super) before: SubscriptionId,
    /// The number of the latest subscription.
    pub(super) latest: SubscriptionId,
    /// Why the number of ready messages is being asked for, if it is.
    pub(super) question: Option<Question>,
    pub(super) uncertain: Uncertain,
    /// How many commands were sent to the queue in all.
    sent: u64,
    /// The delivery limit of quorum queues, by the broker's version.
    pub(super) delivery_limit: Option<u64>,
    pub(super) prefetch_of_channel: bool,
    /// The prefetch limit that was set last, where it counts for the channel.
    pub(super) prefetch: u16,
    /// Since when the latest subscription has brought nothing, if it has brought nothing yet.
    pub(super) fruitless_since: Option<Duration>,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// It is being opened.
    Connecting,
    /// It is open.
    Open,
    /// connection.close was sent, and its answer has not come.
    Closing,
    /// There is no connection.
    Gone,
}

/// The state of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionState {
    /// basic.consume was sent. Until its answer has come, the subscription must not be cancelled (RabbitMQ 3.10 closes the
    /// connection, 541).
    Asked,
    /// It delivers messages.
    Active,
    /// basic.cancel was sent.
    Cancelled {
        /// The settlements that were sent before. The answer makes them certain.
        before: Uncertain,
        /// Whether no delivery has come since.
        silent: bool,
    },
}

/// Why the number of ready messages is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// The queue delivered nothing, and the run would end.
    IsItEmpty,
    /// The queue delivers nothing while failed messages are held.
    DoesItWithhold,
    /// It was [`Question::IsItEmpty`], and a message was requeued since: the answer says nothing.
    Outdated,
}

/// Settlements that were sent on a connection and may not have reached the queue.
///
/// An answer to basic.cancel makes all earlier settlements certain. Any other answer makes the first 32 commands since then
/// certain: a channel holds back commands that a quorum queue has not accepted, and drops them when it is closed
/// (`rabbit_fifo_client.erl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uncertain {
    /// Messages that succeeded.
    pub(super) successes: u64,
    /// Messages that failed and were not requeued.
    pub(super) failures: u64,
    /// Commands to the queue, for these messages and for others.
    pub(super) commands: u64,
}

/// How many commands a channel passes on to a quorum queue that has not answered.
const KEPT_BY_QUEUE: u64 = 32;

impl Uncertain {
    /// The number of messages.
    pub(super) fn messages(self) -> u64 {
        self.successes + self.failures
    }

    /// Whether the answer to connection.close would make all of them certain.
    pub(super) fn fits_a_close(self) -> bool {
        self.commands <= KEPT_BY_QUEUE
    }

    /// What remains uncertain when `certain` is certain.
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
            opened: None,
            subscriptions: Vec::new(),
            before: latest,
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

    pub(super) fn open(&mut self, now: Duration) {
        self.state = ConnectionState::Open;
        self.opened = Some(now);
    }

    /// Whether it has lasted, or a message was settled on it.
    pub(super) fn was_of_use(&self, now: Duration) -> bool {
        let has_lasted = |opened| now.saturating_sub(opened) > SETTLED;
        self.sent > 0 || self.opened.is_some_and(has_lasted)
    }

    /// Notes that so many commands were sent to the queue.
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

    /// A message succeeded whose acknowledgement was sent before, as this command. The answer to a basic.cancel that was sent since
    /// makes it certain, too.
    pub(super) fn succeeded_earlier(&mut self, command: u64) {
        let certain = self.sent - self.uncertain.commands;
        self.uncertain.successes += 1;
        for (_, state) in &mut self.subscriptions {
            if let SubscriptionState::Cancelled { before, .. } = state
                && command <= certain + before.commands
            {
                before.successes += 1;
            }
        }
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

    /// Notes that basic.cancel was sent. Without credit, a queue that delivers nothing says nothing.
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

    /// Notes that basic.cancel-ok has come. Returns what became certain, and whether the queue had nothing to deliver.
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

    /// Notes that a delivery has come.
    pub(super) fn delivered(&mut self) {
        self.fruitless_since = None;
        for (_, state) in &mut self.subscriptions {
            if let SubscriptionState::Cancelled { silent, .. } = state {
                *silent = false;
            }
        }
    }

    /// Notes that a message is requeued: that the queue delivered nothing before says nothing any more.
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

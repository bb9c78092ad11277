//! The connection: what comes over it, and whether another is opened when it is lost.

use super::end::{Cause, Phase};
use super::event::{Action, Connection, Delivery, FromBroker, Notice, Time, Trouble};
use super::{Emptiness, Extent, Run, Window};
use crate::breaks::Breaks;
use crate::broker::Confirmation;

/// How long to wait before a connection that broke without having been of use is opened again. It doubles with each one: a quorum queue
/// counts each break as a delivery of what was delivered, and drops a message at its delivery limit (20 since RabbitMQ 4.0).
const PAUSE: Time = Time::from_millis(250);

/// The longest such pause.
const LONGEST_PAUSE: Time = Time::from_secs(30);

/// A connection that has lasted this long is one that works.
const SETTLED: Time = Time::from_secs(5);

/// The message of a negative confirmation.
const REJECTED: &str = "basic.publish: the broker rejected a message: a queue is full and rejects (x-overflow), or the broker is in trouble";

/// The present connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) number: Connection,
    pub(super) state: LinkState,
    /// The broker takes nothing for now.
    pub(super) is_paused: bool,
    since: Time,
    /// How many copies had been confirmed when it was opened.
    copied_before: u64,
    breaks: Breaks,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    Connecting,
    Open,
    Closing,
    Gone,
}

impl Link {
    pub(super) fn first() -> Link {
        Link {
            number: 1,
            state: LinkState::Connecting,
            is_paused: false,
            since: Time::ZERO,
            copied_before: 0,
            breaks: Breaks::default(),
        }
    }

    /// Whether it is this connection, and something can still come over it.
    pub(super) fn is(&self, number: Connection) -> bool {
        self.number == number && self.state != LinkState::Gone
    }
}

impl Run {
    pub(super) fn on_broker(&mut self, event: FromBroker, actions: &mut Vec<Action>) {
        match event {
            FromBroker::Connected { ready } => self.on_connected(ready),
            FromBroker::CannotConnect(reason) => {
                self.lose_connection();
                self.end(Cause::Failed(reason));
            }
            FromBroker::Lost(trouble) => self.on_lost(trouble, actions),
            FromBroker::Subscribed(subscription) => self.subscriptions.on_subscribed(subscription),
            FromBroker::Cancelled(subscription) => self.on_cancelled(subscription, actions),
            FromBroker::Ended(reason) => self.on_ended(reason),
            FromBroker::Delivered(delivery) => self.on_delivered(delivery),
            FromBroker::Confirmed(confirmation) => self.on_confirmed(confirmation),
            FromBroker::Returned {
                fingerprint,
                reason,
            } => self.on_returned(fingerprint, reason),
            FromBroker::Paused => self.link.is_paused = true,
            FromBroker::Resumed => {
                self.link.is_paused = false;
                self.broker_is_heard();
            }
            FromBroker::Ready(count) => self.on_ready(count),
            FromBroker::Closed => {
                self.certainty.close_answered();
                self.lose_connection();
            }
        }
    }

    fn on_connected(&mut self, ready: u32) {
        if self.link.state != LinkState::Connecting {
            return;
        }
        if self.link.number == 1 {
            let count = self.options.count.map(u64::from);
            // 0 may mean that the queue is busy.
            let there = (ready > 0 && self.options.extent == Extent::WhatIsThere)
                .then_some(u64::from(ready));
            self.goal = [count, there].into_iter().flatten().min();
        }
        let certain = self.certainty.certain();
        self.remaining = self.goal.map(|goal| goal.saturating_sub(certain));
        self.link.state = LinkState::Open;
        self.link.since = self.now;
        self.link.copied_before = self.tally.copied;
        self.broker_is_heard();
    }

    /// Deliveries without a gap are what `multiple` relies on.
    fn on_delivered(&mut self, delivery: Delivery) {
        if self.link.state != LinkState::Open {
            return;
        }
        if delivery.tag != self.window.end() {
            self.end(Cause::Failed(format!(
                "basic.deliver: delivery {} came where {} was expected",
                delivery.tag,
                self.window.end()
            )));
            return;
        }
        self.something_is_delivered();
        if delivery.redelivered {
            self.missing = self.missing.saturating_sub(1);
            self.more_may_be_held = false;
        }
        self.subscriptions
            .on_delivered(delivery.subscription, delivery.length);
        self.window.add(&delivery);
        let is_wanted = self
            .remaining
            .is_none_or(|remaining| delivery.tag <= remaining);
        if let Some(reason) = delivery.unfit.filter(|_| is_wanted) {
            self.end(Cause::Failed(reason));
        }
    }

    fn on_confirmed(&mut self, confirmation: Confirmation) {
        let is_rejection = matches!(confirmation, Confirmation::Nacked(_));
        let applied = self.window.apply(confirmation);
        self.tally.copied += applied.confirmed;
        self.tally.refused += applied.refused;
        if is_rejection && applied.refused > 0 {
            self.end(Cause::Rejected(REJECTED.to_owned()));
        }
        self.broker_is_heard();
    }

    /// A broker may reject a message before it says why.
    fn on_returned(&mut self, fingerprint: u64, reason: String) {
        self.window.take_back(fingerprint);
        self.broker_is_heard();
        match &self.phase {
            Phase::Ending(Cause::Rejected(_)) => {
                self.phase = Phase::Ending(Cause::Failed(reason));
            }
            _ => self.end(Cause::Failed(reason)),
        }
    }

    /// The queue is gone, or its node: what it delivered, nobody can acknowledge any more.
    fn on_ended(&mut self, reason: String) {
        self.subscriptions.lose_connection();
        self.end(Cause::Failed(reason));
    }

    fn broker_is_heard(&mut self) {
        self.silence.since = self.now;
        self.silence.is_told = false;
    }

    /// Another connection is opened, or the run ends.
    fn on_lost(&mut self, trouble: Trouble, actions: &mut Vec<Action>) {
        let is_certain = self.certainty.uncertain() == 0;
        self.lose_connection();
        let is_to_go_on = match self.phase {
            Phase::Moving => true,
            Phase::Ending(Cause::Complete) => !is_certain,
            Phase::Ending(_) | Phase::Over(_) => false,
        };
        if !is_to_go_on {
            return;
        }
        if let Some((_, signal)) = self.patience {
            self.phase = Phase::Ending(Cause::Interrupted(signal));
        } else if self.may_reopen_after(&trouble) {
            self.phase = Phase::Moving;
            self.reopen(trouble.reason, actions);
        } else {
            self.phase = Phase::Ending(Cause::Failed(trouble.reason));
        }
    }

    pub(super) fn lose_connection(&mut self) {
        self.link.state = LinkState::Gone;
        self.link.is_paused = false;
        self.missing += self.window.len() as u64;
        // An acknowledgement that is not certain may not have reached the queue.
        self.more_may_be_held |= !self.subscriptions.is_none() || self.certainty.uncertain() > 0;
        self.window = Window::new();
        self.subscriptions.lose_connection();
        self.emptiness = Emptiness::default();
        self.certainty.lose_connection();
    }

    fn reopen(&mut self, reason: String, actions: &mut Vec<Action>) {
        let pause = self.link.breaks.pause(PAUSE, LONGEST_PAUSE);
        self.link.number += 1;
        self.link.state = LinkState::Connecting;
        actions.push(Action::Say(Notice::ConnectingAnew(reason)));
        actions.push(Action::Connect(self.link.number, pause));
    }

    /// Whether to go on with a new connection. Ones that break at once, again and again, are tried for as long as one that
    /// cannot be opened.
    fn may_reopen_after(&mut self, trouble: &Trouble) -> bool {
        if !trouble.may_pass || self.options.retry.is_zero() {
            return false;
        }
        let was_of_use = self.tally.copied > self.link.copied_before
            || self.now.saturating_sub(self.link.since) > SETTLED;
        self.link.breaks.note(was_of_use, self.now);
        self.link.breaks.are_borne(self.options.retry, self.now)
    }
}

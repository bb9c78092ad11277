//! What brings messages: one subscription, or two while a new one takes the place of an old one.
//!
//! The new one comes first: a queue may end with its last consumer. It is wanted for another prefetch, to make
//! acknowledgements certain by the answer to the cancel of the old one, and to find out whether the queue is empty.
//!
//! The queue is empty when a subscription that brought nothing is cancelled and the answer has come. The count of a queue
//! proves nothing where it is 0; where it is not, something keeps the messages from us.

use super::end::{Cause, Phase};
use super::event::{Action, Subscription, Time};
use super::{Extent, Run};

/// The first subscription tells how large messages are; the prefetch of the next depends on that.
const FIRST_PREFETCH: u16 = 32;

const MOST_PREFETCH: u16 = 1000;

/// How many bytes of bodies may be delivered at once. A single one may be larger.
const BYTES_IN_HAND: usize = 8 << 20;

/// With a rate, so much is held in advance.
const HELD_IN_ADVANCE: Time = Time::from_secs(1);

/// So much of the cost of acknowledgements, and they are made certain.
const COST_WORTH_A_PROOF: usize = 12;

/// How long a queue may have messages and deliver none.
const STUCK: Time = Time::from_secs(5);

/// How long messages of a lost connection are waited for.
const COMING_BACK: Time = Time::from_secs(10);

/// The subscriptions of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    /// The older one first.
    active: Vec<Active>,
    latest: Subscription,
    latest_prefetch: u16,
    largest: usize,
}

#[derive(Clone, Debug)]
struct Active {
    number: Subscription,
    prefetch: u16,
    state: State,
    brought: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Subscribing,
    Subscribed,
    Cancelling,
}

/// What is known of the queue's being empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Emptiness {
    /// The queue is asked how many messages are ready.
    is_counting: bool,
    /// It has said, while subscribed to, that none is.
    counts_none: bool,
    /// It has said, while subscribed to, that some are, and has delivered none since.
    withholds: bool,
    /// It has or owes messages, and has until then to deliver one.
    until: Option<Time>,
}

impl Subscriptions {
    pub(super) fn lose_connection(&mut self) {
        self.active.clear();
    }

    pub(super) fn is_none(&self) -> bool {
        self.active.is_empty()
    }

    /// How many messages with confirmed copies are worth an acknowledgement while more is at hand.
    pub(super) fn worth_acknowledging(&self) -> u64 {
        (u64::from(self.latest_prefetch) / 4).max(1)
    }

    pub(super) fn on_delivered(&mut self, subscription: Subscription, length: usize) {
        self.largest = self.largest.max(length);
        if let Some(active) = self.get_mut(subscription) {
            active.brought += 1;
        }
    }

    pub(super) fn on_subscribed(&mut self, subscription: Subscription) {
        if let Some(active) = self.get_mut(subscription) {
            active.state = State::Subscribed;
        }
    }

    fn get_mut(&mut self, subscription: Subscription) -> Option<&mut Active> {
        self.active
            .iter_mut()
            .find(|active| active.number == subscription)
    }

    /// The prefetch that fits messages as large as the largest so far.
    fn fitting_prefetch(&self, interval: Option<Time>) -> u16 {
        let by_size = BYTES_IN_HAND / self.largest.max(1);
        let by_rate = interval.map_or(usize::MAX, |interval| {
            let count = HELD_IN_ADVANCE.as_nanos() / interval.as_nanos().max(1);
            usize::try_from(count).unwrap_or(usize::MAX)
        });
        let most = match self.latest {
            0 => FIRST_PREFETCH,
            _ => MOST_PREFETCH,
        };
        let fitting = by_size.min(by_rate).max(1);
        u16::try_from(fitting).unwrap_or(most).min(most)
    }
}

impl Active {
    /// Whether another prefetch would be much better.
    fn is_unfit(&self, fitting: u16) -> bool {
        let is_used_up = self.brought >= u64::from(self.prefetch);
        self.prefetch > fitting || (is_used_up && fitting >= self.prefetch.saturating_mul(2))
    }
}

impl Run {
    /// Whether more messages are to be delivered.
    fn wants_more(&self) -> bool {
        self.phase == Phase::Moving
            && self
                .remaining
                .is_none_or(|remaining| self.window.delivered() < remaining)
    }

    /// Subscribes and cancels as it is needed.
    pub(super) fn mind_subscriptions(&mut self, is_quiet: bool, actions: &mut Vec<Action>) {
        if !self.wants_more() {
            self.cancel_subscribed(actions, 0);
            return;
        }
        match self.subscriptions.active.as_slice() {
            [] if self.emptiness.is_counting => {}
            [] => self.subscribe(actions),
            [only] if only.state == State::Subscribed => {
                let is_at_end = is_quiet && self.seems_empty();
                let is_counted = self.emptiness.counts_none || self.emptiness.withholds;
                if is_at_end && !is_counted {
                    // A queue that ends with its last consumer must not be left too early.
                    self.count(actions);
                } else if is_at_end && only.brought == 0 {
                    self.cancel_subscribed(actions, 0);
                } else if is_at_end || self.is_to_be_replaced(only) {
                    self.subscribe(actions);
                }
            }
            [old, new] if old.state == State::Subscribed && new.state == State::Subscribed => {
                self.cancel_subscribed(actions, 1);
            }
            _ => {}
        }
    }

    fn is_to_be_replaced(&self, active: &Active) -> bool {
        let fitting = self.subscriptions.fitting_prefetch(self.options.interval);
        self.certainty.cost() >= COST_WORTH_A_PROOF || active.is_unfit(fitting)
    }

    /// Whether it is to be found out that the queue is empty.
    fn seems_empty(&self) -> bool {
        self.options.extent == Extent::WhatIsThere
            && self.window.is_empty()
            && self.emptiness.until.is_none_or(|until| self.now >= until)
    }

    fn subscribe(&mut self, actions: &mut Vec<Action>) {
        let fitting = self.subscriptions.fitting_prefetch(self.options.interval);
        let wanted = self
            .remaining
            .map_or(u64::MAX, |remaining| remaining - self.window.delivered());
        let prefetch = fitting.min(u16::try_from(wanted).unwrap_or(fitting));
        self.subscriptions.latest += 1;
        self.subscriptions.latest_prefetch = prefetch;
        let number = self.subscriptions.latest;
        self.subscriptions.active.push(Active {
            number,
            prefetch,
            state: State::Subscribing,
            brought: 0,
        });
        actions.push(Action::Subscribe(number, prefetch));
    }

    /// Cancels all subscriptions but the newest `kept`.
    fn cancel_subscribed(&mut self, actions: &mut Vec<Action>, kept: usize) {
        let count = self.subscriptions.active.len().saturating_sub(kept);
        for active in &mut self.subscriptions.active[..count] {
            if active.state == State::Subscribed {
                active.state = State::Cancelling;
                self.certainty.cancel_sent(active.number);
                actions.push(Action::Cancel(active.number));
            }
        }
    }

    pub(super) fn on_cancelled(&mut self, subscription: Subscription, actions: &mut Vec<Action>) {
        self.certainty.cancel_answered(subscription);
        let active = &mut self.subscriptions.active;
        let Some(position) = active
            .iter()
            .position(|active| active.number == subscription)
        else {
            return;
        };
        let cancelled = active.remove(position);
        let is_last = active.is_empty();
        if is_last && cancelled.brought == 0 && self.window.is_empty() && self.wants_more() {
            self.count(actions);
        }
    }

    fn count(&mut self, actions: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.emptiness.is_counting, true) {
            actions.push(Action::Count);
        }
    }

    /// The queue says that so many messages are ready.
    pub(super) fn on_ready(&mut self, ready: u32) {
        if !std::mem::take(&mut self.emptiness.is_counting) || self.phase != Phase::Moving {
            return;
        }
        if self.subscriptions.is_none() {
            self.on_ready_after_cancel(ready);
        } else if self.window.is_empty() {
            self.on_ready_while_subscribed(ready);
        }
    }

    /// The queue delivers nothing to the subscription.
    fn on_ready_while_subscribed(&mut self, ready: u32) {
        self.emptiness.counts_none = ready == 0;
        self.emptiness.withholds = ready > 0;
        if ready > 0 {
            self.emptiness.until = Some(self.now + STUCK);
        }
    }

    /// The queue has delivered nothing to a whole subscription.
    fn on_ready_after_cancel(&mut self, ready: u32) {
        let withholds = std::mem::take(&mut self.emptiness.withholds);
        self.emptiness.counts_none = false;
        if ready == 0 && !self.is_something_held() {
            self.end(Cause::Complete);
            return;
        }
        let is_over = self.emptiness.until.is_some_and(|until| self.now >= until);
        match (is_over, self.missing, ready) {
            (false, ..) => {
                let patience = if self.is_something_held() { COMING_BACK } else { STUCK };
                self.emptiness.until.get_or_insert(self.now + patience);
            }
            // A broker that has not noticed the loss still holds what it delivered, and acknowledgements may be lost.
            (true, 0, 0) if self.more_may_be_held => self.end(Cause::Failed(format!(
                "the connection was lost, and it is not certain that the queue is empty: {} copies may have their message there \
                 still; run the command again",
                self.certainty.in_doubt()
            ))),
            // Others have taken what the lost connection held.
            (true, 0, 0) => self.end(Cause::Complete),
            (true, 0, ready) if withholds => self.end(Cause::Failed(format!(
                "basic.consume: the queue has {ready} messages and delivers none: another consumer may be its single \
                 active one, or it is a stream, which nothing can be moved from"
            ))),
            // They came after the cancel.
            (true, 0, _) => self.emptiness = Emptiness::default(),
            (true, missing, _) => self.end(Cause::Failed(format!(
                "the connection that was lost held {missing} messages, and they have not come back; run the command again"
            ))),
        }
    }

    /// Whether the broker may hold messages for a connection that is lost.
    fn is_something_held(&self) -> bool {
        self.missing > 0 || self.more_may_be_held
    }

    /// When a queue that has messages must have delivered one.
    pub(super) fn emptiness_deadline(&self) -> Option<Time> {
        let is_waiting = self.phase == Phase::Moving && self.window.is_empty();
        self.emptiness
            .until
            .filter(|until| is_waiting && *until > self.now)
    }

    pub(super) fn something_is_delivered(&mut self) {
        self.emptiness.until = None;
        self.emptiness.counts_none = false;
        self.emptiness.withholds = false;
    }
}

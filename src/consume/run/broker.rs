//! Events of the broker, and when the queue is subscribed to.

use std::time::Duration;

use super::connection::{Question, SubscriptionState};
use super::event::{
    Action, DeliveryId, DeliveryInfo, FromBroker, Notice, Settlement, SubscriptionId,
};
use super::message::MessageInHand;
use super::{Run, RunWork};

/// How long a queue may have ready messages and deliver none.
const LONGEST_WITHHOLDING: Duration = Duration::from_secs(5);

impl Run {
    pub(super) fn on_broker(&mut self, event: FromBroker) {
        match event {
            FromBroker::Connected {
                delivery_limit,
                prefetch_of_channel,
            } => {
                self.connection.open(self.now);
                self.connection.delivery_limit = delivery_limit;
                self.connection.prefetch_of_channel = prefetch_of_channel;
                self.connection.prefetch = self.options.prefetch;
                self.quiet_since = self.now;
            }
            FromBroker::StreamEndsAt(offset) => self.note_end_of_stream(offset),
            FromBroker::Lost(failure) => self.on_lost(failure),
            FromBroker::Subscribed(subscription) => {
                self.connection.subscribed(subscription);
                self.connection.fruitless_since = Some(self.now);
            }
            FromBroker::Unsubscribed(subscription) => self.on_unsubscribed(subscription),
            FromBroker::CancelledByBroker(subscription) => self.on_cancelled(subscription),
            FromBroker::Delivered(id, delivery) => self.on_delivered(id, delivery),
            FromBroker::Ready(count) => self.on_ready(count),
            FromBroker::UnreadStream => self.on_unread_stream(),
            FromBroker::Closed => self.on_closed(),
        }
    }

    fn on_delivered(&mut self, id: DeliveryId, delivery: DeliveryInfo) {
        if !self.connection.is_open() {
            return self.act(Action::Forget(id)); // it is requeued when the connection is closed
        }
        if self.is_behind_the_end(id, &delivery) {
            return self.act(Action::Forget(id)); // it stays in the stream
        }
        self.connection.delivered();
        self.quiet_since = self.now;
        self.withholding_since = None;
        if delivery.redelivered || delivery.attempts.is_some() {
            self.came_again(delivery.digest);
        }
        self.delayed.came(&delivery);
        self.note_place(id, &delivery);
        if delivery.delivery_count.is_some() {
            self.on_counts_deliveries(Some(true));
        }
        let is_wanted = self.phase.is_consuming() && self.may_begin_another();
        let state = is_wanted.then(|| self.state_on_arrival(&delivery));
        match state.flatten() {
            Some(state) => self.take_in_hand(id, delivery, state),
            None => drop(self.waiting.insert(id, delivery)),
        }
    }

    fn on_unsubscribed(&mut self, subscription: SubscriptionId) {
        let Some((certain, silent)) = self.connection.unsubscribed(subscription) else {
            return;
        };
        self.succeeded += certain.successes;
        let may_be_empty = silent && self.phase.is_consuming() && self.drains() && self.is_idle();
        if may_be_empty && self.is_stream() {
            // The broker sends what there is before it answers basic.consume, and its count is late.
            self.end_idle();
        } else if may_be_empty && self.connection.question.is_none() {
            self.ask(Question::IsItEmpty);
        }
    }

    fn ask(&mut self, question: Question) {
        self.connection.question = Some(question);
        self.act(Action::CountReady);
    }

    fn on_ready(&mut self, count: u32) {
        let count = count.saturating_sub(self.counted_though_handed_over());
        match self.connection.question.take() {
            Some(Question::IsItEmpty) if self.phase.is_consuming() && self.is_idle() => {
                self.on_silent_queue(count);
            }
            Some(Question::DoesItWithhold)
                if self.phase.is_consuming() && self.connection.fruitless_since.is_some() =>
            {
                self.connection.fruitless_since = Some(self.now);
                if count > 0 {
                    self.say(Notice::GivingBackHeld);
                    self.give_back_held();
                }
            }
            _ => {}
        }
    }

    /// How many unsettled messages the broker counts as ready: all of them where it counts the prefetch for the channel (Apache
    /// Qpid), else none.
    fn counted_though_handed_over(&self) -> u32 {
        let unsettled = self
            .in_hand
            .values()
            .filter(|message| message.is_unsettled());
        let count = if self.connection.prefetch_of_channel {
            unsettled.count()
        } else {
            0
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The queue delivered nothing to a subscription and has this many ready messages.
    fn on_silent_queue(&mut self, count: u32) {
        if count == 0 {
            self.end_idle();
            return;
        }
        let since = *self.withholding_since.get_or_insert(self.now);
        self.quiet_since = self.now;
        if self.now.saturating_sub(since) >= LONGEST_WITHHOLDING {
            self.fail(format!(
                "the queue has {count} messages and has delivered none for 5s: if it is a stream, give \
                 --offset first; if it has a single active consumer, that is another one"
            ));
        }
    }

    /// Subscribes, cancels, or waits, as the state requires.
    pub(super) fn steer_subscriptions(&mut self) {
        // Nothing must be sent between basic.consume and its answer.
        if !self.connection.is_open()
            || self.connection.is_subscribing()
            || self.connection.question.is_some()
        {
            return;
        }
        if !self.takes_messages() {
            while let Some(subscription) = self.connection.oldest_active() {
                self.cancel(subscription);
            }
            return;
        }
        match self.connection.active_count() {
            0 if self.connection.subscriptions.is_empty() => self.subscribe(),
            // One change at a time.
            1 if self.connection.subscriptions.len() == 1 && self.wants_renewal() => self.renew(),
            0 | 1 => {}
            _ => {
                if let Some(oldest) = self.connection.oldest_active() {
                    self.cancel(oldest);
                }
            }
        }
    }

    fn renew(&mut self) {
        if self.options.queue_ends_with_consumer {
            self.subscribe(); // the old one is cancelled after the answer
        } else if let Some(subscription) = self.connection.oldest_active() {
            self.cancel(subscription);
        }
    }

    pub(super) fn subscribe(&mut self) {
        self.connection.latest += 1;
        let subscription = self.connection.latest;
        self.connection
            .subscriptions
            .push((subscription, SubscriptionState::Asked));
        let offset = self.next_offset();
        self.act(Action::Subscribe(subscription, offset));
    }

    pub(super) fn cancel(&mut self, subscription: SubscriptionId) {
        let has_credit = self.has_credit(subscription);
        self.connection.cancel(subscription, has_credit);
        self.act(Action::Unsubscribe(subscription));
    }

    /// Whether the subscription may deliver another message.
    fn has_credit(&self, subscription: SubscriptionId) -> bool {
        let costs = |delivery: &&DeliveryInfo| {
            self.connection.prefetch_of_channel || delivery.subscription == subscription
        };
        let in_hand = self
            .in_hand
            .values()
            .filter(|message| message.is_unsettled());
        let unsettled = self
            .waiting
            .values()
            .chain(in_hand.map(|message| &message.delivery))
            .filter(costs)
            .count();
        unsettled < usize::from(self.connection.prefetch)
    }

    /// Whether a new subscription is needed: for fresh credit, to make settlements certain, or to see whether the queue is empty.
    fn wants_renewal(&mut self) -> bool {
        let may_be_empty = self.drains() && self.is_idle();
        if self.connection.prefetch_of_channel {
            // Without credit, a queue that delivers nothing proves nothing.
            if self.is_starved() || may_be_empty {
                self.raise_prefetch();
            }
        } else if self.is_starved() {
            return true;
        }
        let is_long = self.options.limit.is_some()
            && self.options.reconnects()
            && !self.options.queue_ends_with_consumer;
        let must_become_certain =
            is_long && self.connection.uncertain.messages() >= self.options.certain_every;
        must_become_certain || may_be_empty
    }

    /// Raises the prefetch limit. A broker that counts it for the channel gives fresh credit for that.
    fn raise_prefetch(&mut self) {
        let resting = self
            .in_hand
            .values()
            .filter(|message| !message.is_working())
            .count();
        let wanted = u16::try_from(resting)
            .unwrap_or(u16::MAX)
            .saturating_add(self.options.prefetch);
        if wanted > self.connection.prefetch {
            self.connection.prefetch = wanted;
            self.act(Action::Prefetch(wanted));
        }
    }

    /// Whether jobs are free, and held messages use up the whole prefetch limit.
    fn is_starved(&self) -> bool {
        let unsettled = self
            .in_hand
            .values()
            .filter(|message| message.is_unsettled() && self.costs_credit(message));
        self.has_free_job()
            && self.waiting.is_empty()
            && !self.holds_too_many()
            && self
                .in_hand
                .values()
                .any(|message| message.may_be_held_for_long() && self.costs_credit(message))
            && unsettled.count() >= usize::from(self.connection.prefetch)
    }

    fn costs_credit(&self, message: &MessageInHand) -> bool {
        self.connection.prefetch_of_channel
            || message.delivery.subscription == self.connection.latest
    }

    /// Requeues waiting messages. Only after the answer to basic.cancel, since the broker would deliver them again at once.
    pub(super) fn give_back_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let Some((&last, _)) = waiting.last_key_value() else {
            return;
        };
        self.connection.given_back();
        if self.is_stream() {
            for id in waiting.into_keys() {
                self.note_settled(id, Settlement::Return);
                self.act(Action::Forget(id));
            }
            return;
        }
        let others = self
            .in_hand
            .iter()
            .any(|(id, message)| *id < last && message.is_unsettled());
        if others {
            self.connection.send(waiting.len() as u64);
            for id in waiting.keys() {
                self.act(Action::Settle(*id, Settlement::Return));
            }
        } else {
            self.connection.send(spanned(waiting.values()));
            self.act(Action::Settle(last, Settlement::ReturnUpTo));
        }
        for id in waiting.into_keys() {
            self.act(Action::Forget(id));
        }
    }

    /// Acknowledges these messages: with `multiple` those that are older than any other unsettled one. Messages that were acknowledged
    /// on arrival are left out.
    pub(super) fn acknowledge_up_to(&mut self, ids: &[DeliveryId]) {
        let is_unsettled = |id: &&DeliveryId| {
            self.in_hand
                .get(id)
                .is_some_and(MessageInHand::is_unsettled)
        };
        let mut ids: Vec<DeliveryId> = ids.iter().filter(is_unsettled).copied().collect();
        ids.sort_unstable();
        let is_other = |(id, message): &(&DeliveryId, &MessageInHand)| {
            message.is_unsettled() && ids.binary_search(id).is_err()
        };
        let others = self.in_hand.iter().find(is_other).map(|(id, _)| *id);
        let waiting = self.waiting.first_key_value().map(|(id, _)| *id);
        let unanswered = self.first_unanswered();
        let oldest_other = others.into_iter().chain(waiting).chain(unanswered).min();
        let oldest_other = oldest_other.unwrap_or(DeliveryId::MAX);
        let (together, alone) = ids.split_at(ids.partition_point(|id| *id < oldest_other));
        match together {
            [] => {}
            [one] => {
                self.settle(*one, Settlement::Ack);
            }
            [.., last] => {
                let deliveries = together.iter().filter_map(|id| self.in_hand.get(id));
                let spanned = spanned(deliveries.map(|message| &message.delivery));
                self.connection.send(spanned);
                self.act(Action::Settle(*last, Settlement::AckUpTo));
                for id in together {
                    self.note_settled(*id, Settlement::AckUpTo);
                }
            }
        }
        for id in alone {
            self.settle(*id, Settlement::Ack);
        }
    }

    /// Whether the run ends when the queue is empty (`--idle-timeout 0s`).
    pub(super) fn drains(&self) -> bool {
        self.options
            .idle_timeout
            .is_some_and(|timeout| timeout.is_zero())
    }

    pub(super) fn prints(&self) -> bool {
        self.options.work == RunWork::Print
    }
}

/// How many commands to the queue a settlement with `multiple` is: one for each subscription that it spans.
fn spanned<'a>(deliveries: impl Iterator<Item = &'a DeliveryInfo>) -> u64 {
    let mut subscriptions: Vec<SubscriptionId> =
        deliveries.map(|delivery| delivery.subscription).collect();
    subscriptions.dedup();
    subscriptions.len() as u64
}

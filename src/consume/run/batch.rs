//! Batches: commands that get several messages each.
//!
//! The first message of a batch, the one with the lowest number, stands for the batch: its state is that of the command, and events
//! and actions name it. The others are Behind it. All were delivered on one connection. They leave the batch together: done, failed,
//! given up or lost.

use std::time::Duration;

use super::Run;
use super::event::{DeliveryId, Fate};
use super::message::{DeliveryState, Job, MessageInHand, MessageState};
use crate::consume::options::{Acknowledgement, Batch};
use crate::status::Status;

impl Run {
    /// All messages of the batch that this one stands for, in their order; of no batch: this one.
    pub(super) fn batch(&self, id: DeliveryId) -> Vec<DeliveryId> {
        let is_alone = |message: &MessageInHand| message.batch.is_none();
        if self.in_hand.get(&id).is_none_or(is_alone) {
            return vec![id];
        }
        let of_batch = |(_, message): &(&DeliveryId, &MessageInHand)| message.batch == Some(id);
        let messages = self.in_hand.range(id..).filter(of_batch);
        messages.map(|(id, _)| *id).collect()
    }

    /// The same. From now on each of them stands for itself.
    pub(super) fn dissolve(&mut self, id: DeliveryId) -> Vec<DeliveryId> {
        let ids = self.batch(id);
        for id in &ids {
            if let Some(message) = self.in_hand.get_mut(id) {
                message.batch = None;
            }
        }
        ids
    }

    /// Whether it stands for itself or for its batch.
    pub(super) fn leads(&self, id: DeliveryId) -> bool {
        let batch = self.in_hand.get(&id).and_then(|message| message.batch);
        batch.is_none_or(|first| first == id)
    }

    /// Whether a command or child has it.
    pub(super) fn is_with_command(&self, id: DeliveryId) -> bool {
        let Some(message) = self.in_hand.get(&id) else {
            return false;
        };
        match (&message.state, message.batch) {
            (MessageState::Behind, Some(first)) if first != id => self.is_with_command(first),
            (state, _) => matches!(state, MessageState::Working(_) | MessageState::With(_)),
        }
    }

    /// The messages that the next batch could have and that were in hand before.
    fn due_again(&self) -> impl Iterator<Item = DeliveryId> {
        let is_due = |message: &MessageInHand| matches!(message.state, MessageState::Postponed(due) if due <= self.now);
        let those = self.in_hand.iter();
        let those = those.filter(move |(_, message)| is_due(message));
        those.map(|(id, _)| *id)
    }

    /// Notes when the first message of the next batch came.
    pub(super) fn note_gathering(&mut self) {
        if self.options.batch().is_none() {
            return;
        }
        if self.waiting.is_empty() && self.due_again().next().is_none() {
            self.gathering_since = None;
        } else {
            self.gathering_since.get_or_insert(self.now);
        }
    }

    /// How many messages the next batch has at most.
    fn most_in_batch(&self, batch: Batch) -> usize {
        let allowed = self
            .options
            .limit
            .map(|limit| limit.saturating_sub(self.begun()));
        let allowed = allowed.and_then(|allowed| usize::try_from(allowed).ok());
        allowed.map_or(batch.size(), |allowed| allowed.min(batch.size()))
    }

    /// When the next batch starts if no message comes before and a job is free.
    pub(super) fn batch_due(&self) -> Option<Duration> {
        let batch = self.options.batch()?;
        let since = self.gathering_since?;
        let missing = self.most_in_batch(batch).saturating_sub(self.waiting.len());
        let is_full = missing == 0 || self.due_again().count() >= missing;
        Some(if is_full {
            since
        } else {
            since.saturating_add(batch.wait)
        })
    }

    /// Begins the next batch, or fails a message that cannot be framed. False: it is too early.
    pub(super) fn begin_batch(&mut self) -> bool {
        let Some(batch) = self.options.batch() else {
            return false;
        };
        let waiting = self.waiting.keys().copied();
        let mut ids: Vec<DeliveryId> = self.due_again().chain(waiting).collect();
        if let Some(unfit) = ids.iter().copied().find(|id| self.is_unfit(*id)) {
            self.take_ready(unfit);
            self.acknowledge_on_arrival(&[unfit]);
            self.on_unfit(unfit);
            self.gathering_since = None; // it was perhaps the first
            self.note_gathering();
            return true;
        }
        if self.batch_due().is_none_or(|due| due > self.now) {
            return false;
        }
        ids.sort_unstable();
        ids.truncate(self.most_in_batch(batch));
        let Some(&first) = ids.first() else {
            return false;
        };
        for id in &ids {
            self.take_ready(*id);
            if let Some(message) = self.in_hand.get_mut(id) {
                message.batch = Some(first);
                message.state = MessageState::Behind;
            }
        }
        self.gathering_since = None;
        self.note_gathering();
        self.acknowledge_on_arrival(&ids);
        self.start(first);
        true
    }

    fn is_unfit(&self, id: DeliveryId) -> bool {
        let in_hand = self.in_hand.get(&id).map(|message| &message.delivery);
        let delivery = in_hand.or_else(|| self.waiting.get(&id));
        delivery.is_some_and(|delivery| delivery.is_unfit)
    }

    fn take_ready(&mut self, id: DeliveryId) {
        if let Some(delivery) = self.waiting.remove(&id) {
            self.take_in_hand(id, delivery, MessageState::Postponed(self.now));
        }
    }

    /// Acknowledges messages before their command starts, where that is asked for and was not done.
    pub(super) fn acknowledge_on_arrival(&mut self, ids: &[DeliveryId]) {
        let is_unsettled = |id: &&DeliveryId| {
            let message = self.in_hand.get(id);
            message.is_some_and(MessageInHand::is_unsettled)
        };
        let ids: Vec<DeliveryId> = ids.iter().filter(is_unsettled).copied().collect();
        if self.options.acknowledgement != Acknowledgement::OnArrival || ids.is_empty() {
            return;
        }
        self.acknowledge_up_to(&ids);
        let state = DeliveryState::Acknowledged(self.connection.latest_command());
        for id in ids {
            if let Some(message) = self.in_hand.get_mut(&id) {
                message.delivery_state = state;
            }
        }
    }

    /// Runs the halves of failed batches while jobs are free.
    pub(super) fn begin_halves(&mut self) {
        for id in self.all(|state| matches!(state, MessageState::Split(_))) {
            if self.has_free_job() && self.may_start_now() {
                self.start(id);
            }
        }
    }

    /// Splits a batch that failed into halves. False: it fails as a whole, since it has a single message or is not to be split.
    pub(super) fn split(&mut self, first: DeliveryId, status: Status) -> bool {
        let splits = self.options.batch().is_some_and(|batch| batch.splits);
        if !splits || !self.phase.is_consuming() {
            return false;
        }
        let ids = self.batch(first);
        let (_, others) = ids.split_at(ids.len().div_ceil(2));
        let Some(&second) = others.first() else {
            return false;
        };
        self.tell_all(first, Fate::RunsInHalves);
        for id in others {
            if let Some(message) = self.in_hand.get_mut(id) {
                message.batch = Some(second);
            }
        }
        self.put(first, MessageState::Split(status));
        self.put(second, MessageState::Split(status));
        true
    }

    /// The limit of a command that starts now.
    pub(super) fn job_from_now(&self) -> Job {
        let timeout = self.options.timeout();
        Job::Running(timeout.and_then(|timeout| self.now.checked_add(timeout)))
    }
}

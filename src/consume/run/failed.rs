//! What happens to a message whose command failed, and to one that arrives with too many failures.

use std::time::Duration;

use super::event::{
    Action, Copy, DeliveryId, DeliveryInfo, Fate, FinalOutcome, Notice, Outcome, Settlement,
};
use super::message::{CopyState, DeliveryState, MessageState};
use super::phase::{Cause, Phase};
use super::{CountsDeliveries, Run};
use crate::consume::failure::{DeliveryLimit, FailureAction};
use crate::consume::options::Acknowledgement;
use crate::status::Status;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many bytes of messages that are to be copied are held at most.
const MOST_BYTES_HELD: usize = 64 * 1024 * 1024;

/// How many requeued and rejected messages are remembered.
const MEMORY: usize = 1000;

/// A message that was rejected. It may come back at once, by a dead-letter cycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rejected {
    digest: u64,
    times: u32,
    at: Duration,
}

impl Run {
    /// A command failed and does not run again on this delivery.
    pub(super) fn on_failed(&mut self, id: DeliveryId, status: Status) {
        if self.was_done_before(id) {
            self.first_failure.get_or_insert(status);
        } else {
            self.count_failure(status);
        }
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let Some(message) = self.in_hand.get(&id) else {
            return;
        };
        let delivery = message.delivery;
        if message.delivery_state != DeliveryState::Unsettled {
            self.tell(id, Fate::AcknowledgedBefore);
            self.conclude_acknowledged(id, Outcome::Ignored);
            self.forget(id);
        } else if let Some(counts) = self.counts_deliveries_of(&delivery) {
            self.decide(id, delivery, status, counts);
        } else {
            self.put(id, MessageState::Undecided(status));
        }
        self.stop_after_failure(status);
    }

    fn count_failure(&mut self, status: Status) {
        self.failed += 1;
        self.first_failure.get_or_insert(status);
    }

    /// Whether the queue counts deliveries, as far as that matters for this message; `None` until it is known.
    #[allow(clippy::option_option)] // the inner one is the broker's answer
    fn counts_deliveries_of(&mut self, delivery: &DeliveryInfo) -> Option<Option<bool>> {
        if self.options.failure.max_attempts.is_none() {
            return Some(None);
        }
        match self.counts_deliveries {
            CountsDeliveries::Known(counts) => Some(counts),
            // A message that has failures in a header gets the next one there too, whatever the queue does.
            _ if delivery.attempts.is_some() => Some(Some(false)),
            CountsDeliveries::Asked => None,
            CountsDeliveries::NotAsked => {
                self.counts_deliveries = CountsDeliveries::Asked;
                self.act(Action::AskWhetherDeliveriesAreCounted);
                None
            }
        }
    }

    pub(super) fn on_counts_deliveries(&mut self, counts: Option<bool>) {
        if let CountsDeliveries::Known(Some(_)) = self.counts_deliveries {
            return;
        }
        self.counts_deliveries = CountsDeliveries::Known(counts);
        for id in self.all(|state| matches!(state, MessageState::Undecided(_))) {
            let Some(message) = self.in_hand.get(&id) else {
                continue;
            };
            if let MessageState::Undecided(status) = message.state {
                self.decide(id, message.delivery, status, counts);
            }
        }
    }

    fn decide(
        &mut self,
        id: DeliveryId,
        delivery: DeliveryInfo,
        status: Status,
        counts: Option<bool>,
    ) {
        let failures = delivery.earlier_failures(counts).saturating_add(1);
        let action = self.options.failure.decide(status, failures);
        self.tell(id, self.fate(action, &delivery, status));
        match action {
            FailureAction::Requeue if self.must_be_counted_here(&delivery, counts) => {
                self.hold(id, delivery, Some(Copy::Attempt(failures)), status);
            }
            FailureAction::Requeue | FailureAction::Stop => self.hold(id, delivery, None, status),
            FailureAction::Retry(time) => {
                self.copy(id, Copy::Delay(time, failures), Some(status));
            }
            FailureAction::Park => {
                let outcome = FinalOutcome::Parked(failures, Some(status));
                self.on_failed_for_good(id, status, outcome);
            }
            FailureAction::Reject => self.on_failed_for_good(id, status, FinalOutcome::Rejected),
            FailureAction::Ack => self.on_failed_for_good(id, status, FinalOutcome::Ignored),
        }
    }

    /// Whoever waits for a reply is told first.
    fn on_failed_for_good(&mut self, id: DeliveryId, status: Status, outcome: FinalOutcome) {
        if self.options.replies {
            self.copy(id, Copy::Reply(status, outcome), Some(status));
        } else {
            self.leave_queue(id, status, outcome);
        }
    }

    fn leave_queue(&mut self, id: DeliveryId, status: Status, outcome: FinalOutcome) {
        match outcome {
            FinalOutcome::Parked(failures, last) => {
                self.copy(id, Copy::Park(failures, last), Some(status));
            }
            FinalOutcome::Rejected => {
                if let Some(message) = self.in_hand.get(&id) {
                    self.remember_rejected(message.delivery.digest);
                }
                self.finish_failed(id, Settlement::Reject, Outcome::Rejected);
            }
            FinalOutcome::Ignored => self.finish_failed(id, Settlement::Ack, Outcome::Ignored),
        }
    }

    /// Whether another attempt must be counted in a header. If it is unknown whether the queue counts, the first redelivery shows it.
    fn must_be_counted_here(&self, delivery: &DeliveryInfo, counts: Option<bool>) -> bool {
        let is_uncounted = match counts {
            Some(counts) => !counts,
            None => delivery.redelivered || delivery.attempts.is_some(),
        };
        self.options.failure.max_attempts.is_some() && is_uncounted
    }

    /// A failed message leaves the queue.
    fn finish_failed(&mut self, id: DeliveryId, settlement: Settlement, outcome: Outcome) {
        self.conclude(id, settlement, outcome);
        self.connection.uncertain.failures += 1;
        self.forget(id);
    }

    /// What becomes of a failed message by this action.
    fn fate(&self, action: FailureAction, delivery: &DeliveryInfo, status: Status) -> Fate {
        let policy = &self.options.failure;
        let goes_on = self.phase.is_consuming() && !policy.ends_run(status, self.failures_in_a_row);
        match action {
            FailureAction::Requeue if goes_on => Fate::Requeued(self.pause_of(delivery)),
            FailureAction::Requeue | FailureAction::Stop => Fate::Requeued(None),
            FailureAction::Retry(time) => Fate::Delayed(time),
            FailureAction::Park => Fate::Parked,
            FailureAction::Reject => Fate::Rejected,
            FailureAction::Ack => Fate::Ignored,
        }
    }

    fn hold(&mut self, id: DeliveryId, delivery: DeliveryInfo, copy: Option<Copy>, status: Status) {
        let pause = self.pause_of(&delivery);
        let until = pause.map(|pause| self.now.saturating_add(pause));
        self.put(id, MessageState::Held(until, copy, status));
    }

    /// How long a failed message is held before it goes back to the queue; `None`: until the run ends.
    fn pause_of(&self, delivery: &DeliveryInfo) -> Option<Duration> {
        let is_counted = delivery.delivery_count.is_some()
            || delivery.attempts.is_some()
            || self.options.failure.max_attempts.is_some();
        let failures = if is_counted || !delivery.redelivered {
            u32::try_from(delivery.counted_failures())
                .unwrap_or(u32::MAX)
                .saturating_add(1)
        } else {
            // Nothing counts the failures of this message.
            self.failures_in_a_row
        };
        let is_held_to_the_end = self.options.limit.is_some();
        (!is_held_to_the_end).then(|| pause_after(failures))
    }

    /// Whether the limits of held messages are reached.
    pub(super) fn holds_too_many(&self) -> bool {
        let held = || self.in_hand.values().filter(|message| message.is_held());
        let bytes = held().map(super::MessageInHand::bytes_held).sum::<usize>();
        held().count() >= self.options.most_held || bytes >= MOST_BYTES_HELD
    }

    /// Returns messages to the queue whose pause is over, and tries refused copies again.
    pub(super) fn give_back_due(&mut self) {
        let now = self.now;
        let is_due = |due: &Option<Duration>| due.is_some_and(|due| due <= now);
        for id in self.all(|state| matches!(state, MessageState::Held(due, ..) if is_due(due))) {
            self.give_back(id);
        }
        for id in self.all(|state| matches!(state, MessageState::Refused(due, ..) if is_due(due))) {
            if let Some(MessageState::Refused(_, copy, copy_state)) =
                self.in_hand.get(&id).map(|message| &message.state)
            {
                let (copy, copy_state) = (*copy, *copy_state);
                self.put(id, MessageState::Copying(copy, copy_state));
                if self.leads(id) {
                    self.act(Action::Copy(id, copy));
                    self.note_delayed(id, copy, copy_state.status);
                }
            }
        }
    }

    /// Returns all held messages to the queue.
    pub(super) fn give_back_held(&mut self) {
        for id in self.all(|state| matches!(state, MessageState::Held(..))) {
            self.give_back(id);
        }
    }

    fn give_back(&mut self, id: DeliveryId) {
        let Some(MessageState::Held(_, copy, status)) =
            self.in_hand.get(&id).map(|message| &message.state)
        else {
            return;
        };
        let (copy, status) = (*copy, *status);
        self.quiet_since = self.now;
        if let Some(copy) = copy {
            self.copy(id, copy, Some(status));
        } else {
            self.conclude(id, Settlement::Requeue, Outcome::Requeued);
            self.remember_given_back(id, status);
            self.forget(id);
        }
    }

    fn remember_given_back(&mut self, id: DeliveryId, status: Status) {
        let Some(message) = self.in_hand.get(&id) else {
            return;
        };
        if self.options.limit.is_none()
            && self.phase.is_consuming()
            && self.given_back.len() < MEMORY
        {
            let digest = message.delivery.digest;
            self.given_back.push_back((digest, status));
        }
    }

    /// A message came that may be one that was given back.
    pub(super) fn came_again(&mut self, digest: u64) {
        let place = self.given_back.iter().position(|(one, _)| *one == digest);
        if let Some(place) = place {
            self.given_back.remove(place);
        }
    }

    pub(super) fn copy(&mut self, id: DeliveryId, copy: Copy, status: Option<Status>) {
        let state = self.copying(id, copy, status);
        if let MessageState::Copying(copy, _) = state {
            self.act(Action::Copy(id, copy));
            // The copy may be delivered before its confirm arrives.
            if let (Copy::Attempt(_), Some(status)) = (copy, status) {
                self.remember_given_back(id, status);
            }
            self.note_delayed(id, copy, status);
        }
        self.put(id, state);
    }

    /// Notes that a copy is on its way to a queue that it comes back from.
    fn note_delayed(&mut self, id: DeliveryId, copy: Copy, status: Option<Status>) {
        let ends_by_itself = self.options.idle_timeout.is_some() || self.options.max_time.is_some();
        if let (Copy::Delay(time, attempts), Some(status), true) = (copy, status, ends_by_itself)
            && let Some(message) = self.in_hand.get(&id)
        {
            let digest = message.delivery.digest;
            self.delayed.sent(id, digest, (time, attempts), status);
            if self.phase == Phase::Draining(Cause::Idle) {
                // The time of the run is over.
                self.unfinished.get_or_insert(status);
                self.say(Notice::NotBack(1));
            }
        }
    }

    /// The state of a message that is to be copied.
    fn copying(&mut self, id: DeliveryId, copy: Copy, status: Option<Status>) -> MessageState {
        let copy_state = CopyState {
            status,
            refusals: 0,
        };
        let obstacle = self
            .in_hand
            .get(&id)
            .and_then(|message| message.delivery.obstacle);
        let Some(obstacle) = obstacle.filter(|_| !copy.is_result()) else {
            return MessageState::Copying(copy, copy_state);
        };
        self.say(Notice::CannotCopy(obstacle));
        self.refused_first(copy_state);
        MessageState::Refused(None, copy, copy_state)
    }

    /// Counts a message as failed that is held because it cannot be copied, or because its output is refused.
    fn refused_first(&mut self, copy_state: CopyState) {
        if copy_state.status.is_none() && copy_state.refusals == 0 {
            self.count_failure(self.options.error_status);
        }
    }

    pub(super) fn on_copied(&mut self, id: DeliveryId, result: Result<(), String>) {
        match &result {
            Ok(()) => self.delayed.confirmed(id, self.now),
            Err(_) => self.delayed.refused(id),
        }
        let Some(MessageState::Copying(copy, copy_state)) =
            self.in_hand.get(&id).map(|message| &message.state)
        else {
            if self.unanswered_copies.remove(&id) {
                self.quiet_since = self.now;
            }
            return;
        };
        let (copy, copy_state) = (*copy, *copy_state);
        // The end does not wait for what is refused again and again.
        if result.is_ok() || copy_state.refusals == 0 {
            self.quiet_since = self.now;
        }
        if let Err(reason) = result {
            self.say(if copy.is_result() {
                Notice::OutputRefused(reason)
            } else {
                Notice::CopyRefused(reason)
            });
            let refusals = copy_state.refusals.saturating_add(1);
            let again = self.now.saturating_add(pause_after(refusals));
            let next = CopyState {
                refusals,
                ..copy_state
            };
            for id in self.batch(id) {
                self.refused_first(copy_state);
                self.put(id, MessageState::Refused(Some(again), copy, next));
            }
            return;
        }
        self.on_confirmed(id, copy, copy_state);
    }

    fn on_confirmed(&mut self, id: DeliveryId, copy: Copy, copy_state: CopyState) {
        match copy {
            // The output may be for the queue that is consumed from.
            Copy::Attempt(_) | Copy::Renew(_) | Copy::Output => self.connection.given_back(),
            Copy::Delay(..) | Copy::Park(..) | Copy::Reply(..) => {}
        }
        match copy {
            Copy::Output if copy_state.refusals == 0 => self.finish_succeeded(id),
            // It has counted as one that failed.
            Copy::Output => {
                for id in self.dissolve(id) {
                    self.finish_failed(id, Settlement::Ack, Outcome::Succeeded);
                }
            }
            Copy::Delay(..) => self.finish_failed(id, Settlement::Ack, Outcome::Delayed),
            Copy::Reply(status, outcome) => self.leave_queue(id, status, outcome),
            Copy::Park(..) if copy_state.status.is_some() => {
                self.finish_failed(id, Settlement::Ack, Outcome::Parked);
            }
            Copy::Park(..) => {
                self.conclude(id, Settlement::Ack, Outcome::Parked);
                self.forget(id);
            }
            Copy::Attempt(_) => {
                self.conclude(id, Settlement::Ack, Outcome::Requeued);
                self.forget(id);
            }
            Copy::Renew(_) => {
                self.settle(id, Settlement::Ack);
                self.forget(id);
            }
        }
    }

    /// The state of a message that is not to be run at once; `None`: it waits for a job.
    pub(super) fn state_on_arrival(&mut self, delivery: &DeliveryInfo) -> Option<MessageState> {
        if self.options.acknowledgement == Acknowledgement::OnArrival {
            return None;
        }
        let copy = self
            .parks_on_arrival(delivery)
            .or_else(|| self.renews_on_arrival(delivery));
        if let Some(copy) = copy {
            let copy_state = self.copy_state_on_arrival(copy);
            let Some(obstacle) = delivery.obstacle.filter(|_| !copy.is_result()) else {
                return Some(MessageState::Copying(copy, copy_state));
            };
            self.say(Notice::CannotCopy(obstacle));
            self.refused_first(copy_state);
            return Some(MessageState::Refused(None, copy, copy_state));
        }
        let due = self.postponed_until(delivery)?;
        self.say(Notice::RejectedCameBack);
        Some(MessageState::Postponed(due))
    }

    /// The history of a copy that is made on arrival. A message that is parked without being run counts as failed.
    fn copy_state_on_arrival(&mut self, copy: Copy) -> CopyState {
        let is_failed = matches!(copy, Copy::Park(..) | Copy::Reply(..));
        let status = is_failed.then_some(Status::FAILURE);
        if let Some(status) = status {
            self.count_failure(status);
        }
        CopyState {
            status,
            refusals: 0,
        }
    }

    /// Parks a message that arrives with too many failures: its workers died each time before they could report one.
    fn parks_on_arrival(&mut self, delivery: &DeliveryInfo) -> Option<Copy> {
        let limit = self.options.failure.max_attempts?;
        let failures = delivery.counted_failures();
        if self.options.failure.park.is_none() || failures < limit.get() {
            return None;
        }
        self.say(Notice::ParkedOnArrival(failures));
        Some(if self.options.replies {
            Copy::Reply(Status::FAILURE, FinalOutcome::Parked(failures, None))
        } else {
            Copy::Park(failures, None)
        })
    }

    /// Republishes a message before the broker drops it for too many deliveries. The copy starts with none.
    fn renews_on_arrival(&mut self, delivery: &DeliveryInfo) -> Option<Copy> {
        let limit = match self.options.failure.delivery_limit {
            DeliveryLimit::Off => None,
            DeliveryLimit::Of(limit) => Some(limit.get()),
            DeliveryLimit::Default => self.connection.delivery_limit,
        }?;
        let count = delivery.delivery_count?;
        let threshold = (limit - limit / 4 - u64::from(limit % 4 != 0)).max(1);
        if count < threshold {
            return None;
        }
        self.say(Notice::Renewing(count, !self.renewed_any));
        self.renewed_any = true;
        let counts = self.options.failure.max_attempts.is_some();
        Some(Copy::Renew(counts.then(|| delivery.counted_failures())))
    }

    fn remember_rejected(&mut self, digest: u64) {
        let earlier = self
            .rejected
            .iter()
            .position(|rejected| rejected.digest == digest);
        let times = earlier
            .and_then(|index| self.rejected.remove(index))
            .map_or(0, |rejected| rejected.times);
        if self.rejected.len() >= MEMORY {
            self.rejected.pop_front();
        }
        self.rejected.push_back(Rejected {
            digest,
            times: times.saturating_add(1),
            at: self.now,
        });
    }

    /// When a message may run that was rejected and has come back.
    fn postponed_until(&self, delivery: &DeliveryInfo) -> Option<Duration> {
        if !delivery.redelivered && !delivery.dead_lettered {
            return None;
        }
        let rejected = self
            .rejected
            .iter()
            .find(|rejected| rejected.digest == delivery.digest)?;
        let due = rejected.at.saturating_add(pause_after(rejected.times));
        (due > self.now).then_some(due)
    }
}

/// The pause after so many failures: one second, doubled with each, a minute at most.
fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    SHORTEST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

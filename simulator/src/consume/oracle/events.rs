//! What is noted of what the core hears.

use amqp_tools::consume::Acknowledgement;
use amqp_tools::consume::run::{Copy, DeliveryId, Event, FromBroker};
use amqp_tools::status::Status;

use super::Record;
use crate::consume::{Command, Simulation, Wire};

impl Simulation<'_> {
    /// What the core is about to hear.
    pub(in crate::consume) fn note_event(&mut self, event: &Event) {
        match event {
            Event::Broker(_, event) => self.note_broker(event),
            Event::CannotStart { id, .. } => {
                self.oracle.has_trouble = true;
                self.oracle.limits.note_other_end();
                for id in self.batch(*id) {
                    self.oracle.ended_commands += 1;
                    if let Some(record) = self.oracle.record(id) {
                        record.is_running = false;
                    }
                }
            }
            Event::ChildCannotStart { child, .. } => self.note_child_cannot_start(*child),
            Event::Written(last) => self.note_written(*last),
            Event::CannotWrite(_) => {
                self.oracle.has_trouble = true;
                self.oracle.limits.note_other_end();
            }
            Event::Copied(id, result) => {
                let is_lost = self.is_lost(*id);
                if result.is_err() {
                    self.oracle.has_trouble = true;
                }
                let copy = self.oracle.record(*id).and_then(|record| record.copy);
                let ids = copy.map_or_else(Vec::new, |copy| self.published_with(*id, copy));
                if result.is_err() && ids.len() > 1 {
                    self.reached.mark("a batch's output is refused");
                }
                for each in ids {
                    self.note_copied(each, result.is_ok(), is_lost);
                }
                if result.is_ok() {
                    self.broker.waiting.confirm(*id);
                }
                // One notice tells of all.
                self.oracle.unsaid = self.oracle.unsaid.min(1);
                if is_lost && result.is_ok() {
                    self.reached
                        .mark("a copy is confirmed when its delivery is lost");
                }
            }
            Event::Tick
            | Event::Signal(_)
            | Event::CommandEnded { .. }
            | Event::Answered(..)
            | Event::AnswersClosed(_)
            | Event::ChildEnded { .. }
            | Event::CountsDeliveries(_) => {}
        }
    }

    fn note_copied(&mut self, id: DeliveryId, is_ok: bool, is_lost: bool) {
        let Some(record) = self.oracle.record(id) else {
            return;
        };
        record.is_copied = is_ok;
        record.is_copying = false;
        record.is_refused = !is_ok;
        let is_told = !is_lost && !is_ok && !record.is_forgotten;
        let copy = record.copy;
        self.oracle.unsaid += u64::from(is_told);
        let Some(record) = self.oracle.record(id) else {
            return;
        };
        if !copy.is_some_and(Copy::is_result) {
            return;
        }
        record.is_result_confirmed = is_ok;
        record.refusals += u32::from(!is_ok);
        let refusals = record.refusals;
        if copy != Some(Copy::Output) || is_lost {
            return;
        }
        match (is_ok, refusals) {
            (true, 0) => self.oracle.successes += 1,
            (true, _) => self.reached.mark("an output is taken at another attempt"),
            (false, 1) => {
                self.oracle.failures += 1;
                self.reached.mark("an output is refused");
            }
            (false, _) => {}
        }
    }

    pub(in crate::consume) fn note_nothing_to_publish(&mut self, id: DeliveryId) {
        for id in self.batch(id) {
            if let Some(record) = self.oracle.record(id) {
                record.has_nothing_to_publish = true;
            }
        }
    }

    fn mark_lost_outputs(&mut self) {
        let connection = self.connection;
        let of_output = |(_, record): &(usize, &Record)| {
            record.connection == connection && record.copy == Some(Copy::Output)
        };
        let records = self.oracle.records.iter().enumerate().filter(of_output);
        for (index, record) in records {
            let message = self.broker.message_of(index as DeliveryId + 1);
            let is_there = self.broker.messages[message].gone.is_none();
            if record.is_copying {
                self.reached
                    .mark("an output on its way when its delivery is lost");
            } else if record.is_result_confirmed && record.is_settled && is_there {
                self.reached
                    .mark("an output is there when its acknowledgement is lost");
            }
        }
    }

    fn note_broker(&mut self, event: &FromBroker) {
        match event {
            FromBroker::Delivered(id, info) => {
                // Those that never came are records of nothing.
                while (self.oracle.records.len() as DeliveryId) < *id - 1 {
                    self.oracle.records.push(Record {
                        is_forgotten: true,
                        ..Record::default()
                    });
                }
                self.oracle.records.push(Record {
                    connection: self.connection,
                    arrived: self.now,
                    failures_before: info.attempts.unwrap_or(0) + info.delivery_count.unwrap_or(0),
                    may_have_failed: info.redelivered && info.delivery_count.is_none(),
                    ..Record::default()
                });
                self.note_delivery(*id);
                if self.oracle.cancels_owed > 0 {
                    self.reached
                        .mark("a delivery comes between basic.cancel and its answer");
                }
            }
            FromBroker::Subscribed(_) => self.oracle.is_subscribing = false,
            FromBroker::Unsubscribed(subscription) => {
                self.oracle.cancels_owed = self.oracle.cancels_owed.saturating_sub(1);
                let settled = self.oracle.settled_at_cancel.remove(subscription);
                self.oracle.proven = self.oracle.proven.max(settled.unwrap_or(0));
            }
            FromBroker::Lost(_) => {
                self.oracle.limits.note_other_end();
                self.mark_lost_outputs();
                self.oracle.breaks += 1;
                self.oracle.has_trouble = true;
                self.oracle.is_subscribing = false;
                self.oracle.cancels_owed = 0;
            }
            FromBroker::Closed => {
                self.oracle.is_subscribing = false;
                self.oracle.cancels_owed = 0;
            }
            FromBroker::CancelledByBroker(subscription) => {
                self.oracle.limits.note_other_end();
                self.oracle.breaks += 1;
                // The answer to a cancel of a consumer that is not there proves nothing.
                self.oracle.settled_at_cancel.remove(subscription);
                self.oracle.has_trouble = true;
                self.oracle.is_subscribing = false;
                for record in &mut self.oracle.records {
                    record.may_be_taken_back = true;
                }
            }
            FromBroker::Connected { .. } => {
                self.oracle.subscriptions_of_connection = 0;
                self.oracle.doubts_of_connection = 0;
                self.oracle.settled = 0;
                self.oracle.proven = 0;
                self.oracle.settled_at_cancel.clear();
                self.oracle.is_proof_wanted = false;
            }
            FromBroker::Ready(_) | FromBroker::StreamEndsAt(_) | FromBroker::UnreadStream => {}
        }
    }

    fn note_written(&mut self, last: DeliveryId) {
        let mut any_is_lost = false;
        let (connection, wire) = (self.connection, self.wire);
        let count = usize::try_from(last).unwrap_or(0);
        for record in self.oracle.records.iter_mut().take(count) {
            if record.is_running {
                record.is_running = false;
                record.is_written = true;
                let is_live = record.connection == connection && wire == Wire::Open;
                any_is_lost |= !is_live;
                self.oracle.successes += u64::from(is_live);
            }
        }
        if any_is_lost {
            self.reached
                .mark("a line is written whose delivery is lost");
        }
    }

    /// A command has ended.
    pub(in crate::consume) fn note_end(
        &mut self,
        id: DeliveryId,
        command: &Command,
        status: Status,
    ) {
        let is_lost = self.is_lost(id);
        let retries = self.scenario.retries();
        self.oracle.ended_commands += 1;
        let is_split = !status.is_success() && self.is_split(id);
        let Some(record) = self.oracle.record(id) else {
            return;
        };
        record.is_running = false;
        record.runs += 1;
        record.last = Some(status);
        record.was_told_to_end = command.is_told_to_end;
        let runs = record.runs;
        if is_split && runs > retries {
            self.reached.mark("a batch is split");
        }
        // Nothing runs again when the time of the run is over, or what cannot be framed.
        let is_final = (runs > retries && !is_split)
            || self.scenario.is_time_over(self.now)
            || (self.scenario.frames() && self.is_unfit(id));
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        if command.is_told_to_end || on_arrival || self.scenario.is_time_over(self.now) {
            self.oracle.limits.note_other_end();
        } else if !is_lost && (is_final || status.is_success()) {
            let policy = &self.scenario.options.failure;
            self.oracle.limits.note_result(status, policy, self.reached);
        }
        if is_lost {
            self.oracle.dropped_results += 1;
            if self.oracle.dropped_results > 1 {
                self.reached
                    .mark("two commands end when their connection is gone");
            }
        } else if status.is_success() {
            // Where it is published, the output comes first.
            self.oracle.successes += u64::from(!command.is_told_to_end && !self.publishes());
        } else if is_final && !command.is_told_to_end {
            self.oracle.failures += 1;
        }
        if !status.is_success() || command.is_told_to_end {
            self.oracle.has_trouble = true;
        }
    }

    pub(in crate::consume) fn mark_signal(&mut self) {
        self.oracle.has_trouble = true;
        self.oracle.limits.note_other_end();
        if self.wire == Wire::Connecting {
            self.reached.mark("a signal while connecting");
        }
        if self.oracle.is_subscribing {
            self.reached
                .mark("a signal while basic.consume is not answered");
        }
        if self.wire == Wire::Closing {
            self.reached.mark("a signal after the end was decided");
        }
        if !self.commands.is_empty() {
            self.reached.mark("a signal while commands run");
        }
    }
}

//! What must hold of settlements, and of what is said about them.

use amqp_tools::consume::run::{Copy, DeliveryId, Outcome, RunWork, Settlement};
use amqp_tools::consume::{Acknowledgement, FailureAction as Policy};
use amqp_tools::status::Status;

use super::Record;
use super::copies::goes_on;
use crate::consume::driver::is_multiple;
use crate::consume::message::Why;
use crate::consume::{Simulation, Wire};
use crate::world::Failure;

impl Simulation<'_> {
    /// A command's end is logged once, with the number of the attempt.
    pub(super) fn judge_log(&mut self, id: DeliveryId, attempt: u64) -> Result<(), Failure> {
        self.oracle.logged += 1;
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        record.is_logged = true;
        if std::mem::replace(&mut record.is_outcome_due, true) {
            return Err(Failure::of(
                "each command that is logged has its outcome",
                format!("{id} {record:?}"),
            ));
        }
        let least = record.failures_before + 1;
        let most = least + u64::from(record.runs) + u64::from(record.may_have_failed);
        if (least..=most).contains(&attempt) {
            return Ok(());
        }
        Err(Failure::of(
            "the attempt that is logged is the one that was made",
            format!("{id} {attempt}, not {least} to {most}"),
        ))
    }

    /// A command that runs again, or whose delivery is lost, has been logged.
    fn judge_outcome_without_settlement(
        &mut self,
        id: DeliveryId,
        outcome: Outcome,
    ) -> Result<(), Failure> {
        let is_lost = self.is_lost(id);
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        let was_due = std::mem::take(&mut record.is_outcome_due);
        let is_over = outcome == Outcome::Dropped;
        let may_be_lost = is_lost || record.may_be_taken_back;
        self.reached.mark(if is_over {
            "the delivery of a command that ended is lost"
        } else {
            "a command is run again"
        });
        if was_due && (may_be_lost || !is_over) {
            return Ok(());
        }
        Err(Failure::of(
            "what is said to be repeated or dropped is that",
            format!("{id} {outcome:?} {record:?}"),
        ))
    }

    /// What was repeated runs again.
    pub(super) fn judge_repetition(&mut self, id: DeliveryId) -> Result<(), Failure> {
        match self.oracle.record(id) {
            Some(record) if record.is_outcome_due => Err(Failure::of(
                "each command that is logged has its outcome",
                format!("{id} {record:?}"),
            )),
            _ => Ok(()),
        }
    }

    /// What is said to have become of a message is what was done with it, and is said once.
    pub(super) fn judge_outcome(
        &mut self,
        id: DeliveryId,
        outcome: Outcome,
    ) -> Result<(), Failure> {
        if matches!(outcome, Outcome::Repeated | Outcome::Dropped) {
            return self.judge_outcome_without_settlement(id, outcome);
        }
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        let prints = self.scenario.options.work == RunWork::Print;
        let limit = self.scenario.options.failure.max_attempts;
        let is_stream = self.scenario.is_stream();
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        let earlier = record.outcome.replace(outcome);
        let is_settled = record.is_settled || is_stream;
        record.is_outcome_due = false;
        let record = *record;
        let has_succeeded = record.is_written || record.last == Some(Status::SUCCESS);
        let copy = record.copy.filter(|_| record.is_copied);
        let is_true = match (outcome, record.settlement) {
            (Outcome::Succeeded, Some(Settlement::Ack | Settlement::AckUpTo)) => has_succeeded,
            (Outcome::Requeued, Some(Settlement::Requeue | Settlement::Return)) => true,
            (Outcome::Requeued, None) => is_stream,
            (Outcome::Requeued, Some(Settlement::Ack)) => matches!(copy, Some(Copy::Attempt(_))),
            (Outcome::Rejected, settlement) => settlement == Some(Settlement::Reject),
            (Outcome::Delayed, Some(Settlement::Ack)) => matches!(copy, Some(Copy::Delay(..))),
            (Outcome::Parked, Some(Settlement::Ack)) => matches!(copy, Some(Copy::Park(..))),
            (Outcome::Ignored, Some(Settlement::AckUpTo)) => on_arrival,
            (Outcome::Ignored, Some(Settlement::Ack)) => {
                on_arrival || !has_succeeded || record.was_told_to_end
            }
            _ => false,
        };
        // What was acknowledged on arrival is lost when the run ends before its line is written, or before a child begins it.
        let is_lost = on_arrival && outcome == Outcome::Ignored && (prints || !record.is_running);
        let was_worked_on = record.is_logged || record.is_written || is_lost;
        // A message that comes with all its attempts used up is parked without a run, or given back where that is refused.
        let is_used_up = limit.is_some_and(|limit| record.failures_before >= limit.get());
        let is_untried_end = is_used_up && matches!(outcome, Outcome::Parked | Outcome::Requeued);
        let is_due = was_worked_on || is_untried_end;
        if earlier.is_none() && is_settled && is_due && is_true && record.telling.allows(outcome) {
            return Ok(());
        }
        Err(Failure::of(
            "what became of a message is said once, and as it was settled",
            format!("{id} {outcome:?} {earlier:?} {record:?}"),
        ))
    }

    /// The outcome of a message that was worked on and settled is said, unless the broker may deliver the message again.
    fn judge_silence(&mut self, id: DeliveryId) -> Result<(), Failure> {
        let is_lost = self.is_lost(id);
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        let was_worked_on = record.is_logged || record.is_written;
        let is_due = was_worked_on && record.is_settled && !is_lost && !record.may_be_taken_back;
        if !is_due || record.outcome.is_some() {
            return Ok(());
        }
        Err(Failure::of(
            "what becomes of a message that was worked on is said",
            format!("{id} {record:?}"),
        ))
    }

    pub(super) fn judge_forget(&mut self, id: DeliveryId) -> Result<(), Failure> {
        self.judge_silence(id)?;
        self.judge_untold(id)?;
        self.judge_repetition(id)?;
        let prints = self.scenario.options.work == RunWork::Print;
        if let Some(record) = self.oracle.record(id) {
            record.is_forgotten = true;
            if record.is_running && !prints {
                return Err(Failure::of("a running command is not forgotten", ""));
            }
            record.is_running = false;
        }
        let is_open = self.broker.channel.is_some();
        let is_kept = |record: &mut Record| !record.is_settled && !record.may_be_taken_back;
        if !self.is_lost(id)
            && is_open
            && !self.scenario.is_stream()
            && self.oracle.record(id).is_some_and(is_kept)
        {
            return Err(Failure::of(
                "a delivery is settled before it is forgotten",
                format!("{id}"),
            ));
        }
        Ok(())
    }

    /// The deliveries that a settlement covers, and for what reason each is acknowledged.
    pub(super) fn judge_settlement(
        &mut self,
        id: DeliveryId,
        settlement: Settlement,
    ) -> Result<Vec<(DeliveryId, Why)>, Failure> {
        self.judge_settlement_in_stream(settlement)?;
        if self.wire != Wire::Open {
            return Err(Failure::of(
                "only an open connection is told",
                format!("{id}"),
            ));
        }
        let first = if is_multiple(settlement) { 1 } else { id };
        let mut covered = Vec::new();
        for each in first..=id {
            let connection = self.connection;
            let Some(record) = self.oracle.record(each).copied() else {
                continue;
            };
            let is_ours = record.connection == connection;
            if each != id && (!is_ours || record.is_settled) {
                continue;
            }
            if !is_ours || record.is_settled {
                return Err(Failure::of(
                    "a delivery is settled once, on its own channel",
                    format!("{each}"),
                ));
            }
            let why = self.judge_one(each, record, settlement)?;
            self.note_done_in_stream(each, why);
            covered.push((each, why));
            if let Some(record) = self.oracle.record(each) {
                record.is_settled = true;
                record.settlement = Some(settlement);
            }
            let goes_back = !matches!(
                settlement,
                Settlement::Ack | Settlement::AckUpTo | Settlement::Reject
            );
            self.oracle.held_to_the_end += u64::from(goes_back && record.is_refused);
        }
        self.oracle.settled += covered.len() as u64;
        if covered.len() > 1 {
            self.reached.mark(if settlement == Settlement::AckUpTo {
                "many are acknowledged at once"
            } else {
                "many are given back at once"
            });
        }
        Ok(covered)
    }

    fn judge_one(
        &self,
        id: DeliveryId,
        record: Record,
        settlement: Settlement,
    ) -> Result<Why, Failure> {
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        let prints = self.scenario.options.work == RunWork::Print;
        // One that was told to end may have run too long.
        let timed_out = record.was_told_to_end.then_some(Status::TIMED_OUT);
        let statuses = record.last.into_iter().chain(timed_out);
        let policies = statuses.map(|status| self.scenario.action_for(status));
        let is_policy = |policy: Policy| policies.clone().any(|action| action == policy);
        let replies = self.scenario.options.replies;
        let is_result = record.copy.is_some_and(Copy::is_result);
        let refused = |property| {
            Err(Failure::of(
                property,
                format!("{id} {settlement:?} {record:?}"),
            ))
        };
        if record.is_running && !prints {
            return refused("a command has ended before its message is settled");
        }
        match settlement {
            Settlement::Ack | Settlement::AckUpTo if on_arrival => Ok(Why::OnArrival),
            Settlement::Ack | Settlement::AckUpTo if record.is_copied && !is_result => {
                Ok(Why::Copied)
            }
            Settlement::Ack | Settlement::AckUpTo if record.is_written => Ok(Why::Succeeded),
            Settlement::Ack | Settlement::AckUpTo
                if record.last == Some(Status::SUCCESS)
                    && (!self.publishes() || self.is_output_there(id, record)) =>
            {
                Ok(Why::Succeeded)
            }
            Settlement::Ack | Settlement::AckUpTo
                if record.last == Some(Status::SUCCESS) && !record.was_told_to_end =>
            {
                refused("an input is acknowledged when its output is there")
            }
            Settlement::Ack | Settlement::AckUpTo | Settlement::Reject
                if replies && !record.is_result_confirmed =>
            {
                refused("a message that failed leaves the queue after the reply")
            }
            Settlement::Ack | Settlement::AckUpTo if is_policy(Policy::Ack) => Ok(Why::ByPolicy),
            Settlement::Ack | Settlement::AckUpTo => refused("an acknowledgement has its reason"),
            Settlement::Reject => {
                let failure = &self.scenario.options.failure;
                let may_be_last = failure.max_attempts.is_some() && failure.park.is_none();
                let is_requeued = policies.clone().any(goes_on);
                if is_policy(Policy::Reject) || (may_be_last && is_requeued) {
                    Ok(Why::Rejected)
                } else {
                    refused("a rejection has its reason")
                }
            }
            Settlement::Requeue if record.was_not_begun && record.runs == 0 => {
                refused("a message is given back as failed if it was tried")
            }
            Settlement::Requeue | Settlement::Return | Settlement::ReturnUpTo => {
                let is_done = record.is_written
                    || (record.last == Some(Status::SUCCESS) && !record.was_told_to_end);
                let is_output_missing = self.publishes() && !record.is_result_confirmed;
                if is_done && !is_output_missing {
                    return refused("what is done is not given back");
                }
                Ok(Why::Copied)
            }
        }
    }

    fn is_output_there(&self, id: DeliveryId, record: Record) -> bool {
        let original = self.broker.messages[self.broker.message_of(id)].original;
        let is_there = self.broker.outputs.contains(&original);
        record.is_result_confirmed && (is_there || record.has_nothing_to_publish)
    }
}

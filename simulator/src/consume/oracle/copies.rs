//! What must hold of copies and outputs.

use std::num::NonZeroU64;

use amqp_tools::consume::FailureAction as Policy;
use amqp_tools::consume::run::{Copy, DeliveryId, FinalOutcome};
use amqp_tools::status::Status;

use crate::consume::Simulation;
use crate::world::Failure;

/// Whether a message that fails is tried again, unless it has failed as often as it may.
pub(super) fn goes_on(policy: Policy) -> bool {
    matches!(policy, Policy::Requeue | Policy::Stop | Policy::Retry(_))
}

impl Simulation<'_> {
    /// Whether what commands wrote is published.
    pub(super) fn publishes(&self) -> bool {
        self.scenario.options.publishes_output || self.scenario.options.replies
    }

    /// An output is of a command that succeeded, a reply of a message that leaves the queue, and comes before it leaves.
    fn judge_result(&mut self, id: DeliveryId, copy: Copy) -> Result<(), Failure> {
        let replies = self.scenario.options.replies;
        let publishes = self.publishes();
        let failure = &self.scenario.options.failure;
        let may_reject = failure.max_attempts.is_some() && failure.park.is_none();
        let Some(record) = self.oracle.record(id).copied() else {
            return Ok(());
        };
        let holds = match copy {
            Copy::Output => publishes && record.last == Some(Status::SUCCESS),
            Copy::Reply(status, outcome) => {
                let is_its = match record.last {
                    Some(last) => last == status || record.was_told_to_end,
                    None => matches!(outcome, FinalOutcome::Parked(_, None)),
                };
                let is_policy = match (self.scenario.action_for(status), outcome) {
                    (_, FinalOutcome::Parked(_, None))
                    | (Policy::Reject, FinalOutcome::Rejected)
                    | (Policy::Ack, FinalOutcome::Ignored)
                    | (Policy::Park, FinalOutcome::Parked(..)) => true,
                    (policy, FinalOutcome::Parked(..)) if goes_on(policy) => true,
                    (policy, FinalOutcome::Rejected) if goes_on(policy) => may_reject,
                    _ => false,
                };
                replies && is_its && is_policy
            }
            Copy::Park(..) => !replies || record.is_result_confirmed,
            Copy::Attempt(_) | Copy::Renew(_) => !record.is_result_confirmed,
            Copy::Delay(time, _) => {
                let is_policy = |status| self.scenario.action_for(status) == Policy::Retry(time);
                let timed_out = record.was_told_to_end.then_some(Status::TIMED_OUT);
                let mut statuses = record.last.into_iter().chain(timed_out);
                !record.is_result_confirmed && statuses.any(is_policy)
            }
        };
        if matches!(copy, Copy::Park(..)) && replies {
            self.reached.mark("a reply precedes the end of a message");
        }
        if holds {
            return Ok(());
        }
        Err(Failure::of(
            "what a command wrote is published as its end asks for",
            format!("{id} {copy:?} {record:?}"),
        ))
    }

    pub(super) fn judge_copy(&mut self, id: DeliveryId, copy: Copy) -> Result<(), Failure> {
        self.judge_result(id, copy)?;
        let message = &self.broker.messages[self.broker.message_of(id)];
        let (counted, attempts) = (message.count, message.attempts.unwrap_or(0));
        let is_untried = matches!(copy, Copy::Park(_, None));
        let limit = self.scenario.options.failure.max_attempts;
        let most = limit.map_or(u64::MAX, NonZeroU64::get);
        let is_asked_for = matches!(copy, Copy::Park(_, Some(status)) if self.scenario.action_for(status) == Policy::Park);
        if let Copy::Park(failures, _) = copy
            && ((failures < most && !is_asked_for)
                || failures > counted + attempts + 1 + u64::from(counted == 0))
        {
            return Err(Failure::of(
                "a message is parked when it has failed as often as it may",
                format!("{failures} of {most}, {counted} counted"),
            ));
        }
        if is_untried && counted + attempts < most {
            return Err(Failure::of(
                "an untried message is parked when it has failed as often as it may",
                format!("{counted} counted and {attempts} of {most}"),
            ));
        }
        match copy {
            Copy::Attempt(failures) | Copy::Delay(_, failures) => {
                self.judge_count(id, failures, false)?;
            }
            Copy::Renew(Some(failures)) => self.judge_count(id, failures + 1, false)?,
            _ => {}
        }
        let is_running = self
            .oracle
            .record(id)
            .is_some_and(|record| record.is_running);
        if is_running || self.is_lost(id) {
            return Err(Failure::of("a copy is of a message that is ours", ""));
        }
        if let Some(record) = self.oracle.record(id) {
            if record.is_copying {
                return Err(Failure::of("one copy is made at a time", ""));
            }
            record.is_copying = true;
            record.is_copied = false;
            record.is_refused = false;
            record.copy = Some(copy);
        }
        Ok(())
    }
}

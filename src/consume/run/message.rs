//! The state of a message that the run has in hand, and of the command that runs for it.

use std::time::Duration;

use super::event::{ChildNumber, Copy, DeliveryId, DeliveryInfo};
use super::told::Failure;
use crate::status::Status;

/// How long a command has from SIGTERM to SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message in hand: it was begun, or something was decided about it on arrival.
#[derive(Clone, Debug)]
pub(super) struct MessageInHand {
    pub(super) delivery: DeliveryInfo,
    pub(super) delivery_state: DeliveryState,
    /// How often its command has run on this delivery.
    pub(super) runs: u32,
    /// How many bytes of output the driver keeps of the last run.
    pub(super) output: usize,
    /// The message that stands for its batch, where a command gets several.
    pub(super) batch: Option<DeliveryId>,
    /// Which attempt at the message its last command was, from 1.
    pub(super) attempt: u64,
    /// A command has ended for it, and it is not decided what becomes of the message.
    pub(super) is_outcome_due: bool,
    /// How its command failed, until that is told.
    pub(super) untold: Option<Failure>,
    pub(super) state: MessageState,
}

/// What the broker expects for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryState {
    /// Its settlement.
    Unsettled,
    /// Nothing: it was acknowledged on arrival, by this command of its connection. 0: the acknowledgement is certain.
    Acknowledged(u64),
    /// Nothing: the connection is gone, and the broker delivers the message again.
    Lost,
}

/// The state of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MessageState {
    /// Its command runs, or its line is being written.
    Working(Job),
    /// A child has it that gets several messages.
    With(ChildNumber),
    /// Another message stands for it and the rest of their batch.
    Behind,
    /// Its batch failed with this status. The half that it stands for runs when a job is free.
    Split(Status),
    /// Its command failed with this status and runs again at this time. It keeps its job.
    Resting(Duration, Status),
    /// It was rejected and came back at once. It is begun at this time at the earliest.
    Postponed(Duration),
    /// It failed. What happens to it depends on whether the queue counts deliveries, and that answer has not come.
    Undecided(Status),
    /// It failed and is returned to the queue at this time, or at the end: by this copy, which counts the attempt, or else by
    /// basic.reject.
    Held(Option<Duration>, Option<Copy>, Status),
    /// A copy was published and is not confirmed.
    Copying(Copy, CopyState),
    /// The copy was refused. It is tried again at this time, or never.
    Refused(Option<Duration>, Copy, CopyState),
}

/// The history of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CopyState {
    /// The status that the message failed with; `None`: it has not failed.
    pub(super) status: Option<Status>,
    /// How often the copy was refused.
    pub(super) refusals: u32,
}

/// A running command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// It runs, until this time at most.
    Running(Option<Duration>),
    /// A signal of the terminal was passed on. The command may end or not.
    Signalled(Option<Duration>),
    /// It was sent SIGTERM. SIGKILL follows at this time.
    Stopping(StopReason, Duration),
    /// It was sent SIGKILL.
    Killed(StopReason),
}

/// Why a command was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// It ran too long.
    TimedOut,
    /// The tool ends.
    Interrupted,
    /// It was to answer, and does not as it should.
    Broken,
}

/// What the end of a command means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The message is done.
    Succeeded,
    /// The message was tried and failed.
    Failed(Status),
    /// The tool told the command to end. That says nothing about the message.
    Interrupted,
}

impl MessageInHand {
    /// Whether it is being worked on, or will be without another delivery.
    pub(super) fn is_working(&self) -> bool {
        self.has_job() || matches!(self.state, MessageState::Behind | MessageState::Split(_))
    }

    /// Whether it occupies a job.
    pub(super) fn has_job(&self) -> bool {
        matches!(
            self.state,
            MessageState::Working(_) | MessageState::With(_) | MessageState::Resting(..)
        )
    }

    /// Whether its command has succeeded and its output is on its way for the first time.
    pub(super) fn is_output_on_its_way(&self) -> bool {
        matches!(self.state, MessageState::Copying(Copy::Output, state) if state.refusals == 0)
    }

    /// Whether other messages must not wait for it. What waits for no more than a confirm of its output leaves soon.
    pub(super) fn may_be_held_for_long(&self) -> bool {
        let leaves_soon = matches!(self.state, MessageState::Copying(copy, _) if copy.is_result());
        !self.is_working() && !leaves_soon
    }

    /// How many bytes are kept for another attempt to publish something.
    pub(super) fn bytes_held(&self) -> usize {
        match self.state {
            MessageState::Refused(_, copy, _) if copy.is_result() => self.output,
            MessageState::Held(_, Some(_), _) | MessageState::Refused(..) => self.delivery.size,
            _ => 0,
        }
    }

    /// Whether it failed and waits for its return to the queue.
    pub(super) fn is_held(&self) -> bool {
        matches!(
            self.state,
            MessageState::Held(..) | MessageState::Refused(..)
        )
    }

    pub(super) fn is_unsettled(&self) -> bool {
        self.delivery_state == DeliveryState::Unsettled
    }
}

impl DeliveryInfo {
    /// How often the message failed before, as counted in a header or by the queue.
    pub(super) fn counted_failures(&self) -> u64 {
        let counted = self.attempts.unwrap_or(0);
        counted.saturating_add(self.delivery_count.unwrap_or(0))
    }

    /// How often the message failed before. Where nothing counts, an earlier delivery is taken for a failure.
    pub(super) fn earlier_failures(&self, queue_counts: Option<bool>) -> u64 {
        let is_guessed = self.delivery_count.is_none() && queue_counts.is_none();
        let guess = u64::from(is_guessed && self.redelivered);
        self.counted_failures().saturating_add(guess)
    }
}

impl Job {
    /// When its time limit ends, or SIGKILL is due.
    pub(super) fn deadline(self) -> Option<Duration> {
        match self {
            Job::Running(deadline) | Job::Signalled(deadline) => deadline,
            Job::Stopping(_, kill_at) => Some(kill_at),
            Job::Killed(_) => None,
        }
    }

    /// The same with another time limit, unless it is told to end.
    pub(super) fn until(self, deadline: Option<Duration>) -> Job {
        match self {
            Job::Running(_) => Job::Running(deadline),
            Job::Signalled(_) => Job::Signalled(deadline),
            Job::Stopping(..) | Job::Killed(_) => self,
        }
    }

    /// After SIGTERM.
    pub(super) fn stopped(reason: StopReason, now: Duration) -> Job {
        Job::Stopping(reason, now.saturating_add(PATIENCE))
    }

    /// After SIGKILL.
    pub(super) fn killed(self) -> Job {
        Job::Killed(self.stop_reason().unwrap_or(StopReason::Interrupted))
    }

    pub(super) fn stop_reason(self) -> Option<StopReason> {
        match self {
            Job::Running(_) => None,
            Job::Signalled(_) => Some(StopReason::Interrupted),
            Job::Stopping(reason, _) | Job::Killed(reason) => Some(reason),
        }
    }

    /// What a command's end means for its message, and the exit status that is logged.
    ///
    /// | the command | ended with | verdict | status |
    /// |---|---|---|---|
    /// | was not told to end | 0 | succeeded | 0 |
    /// | was not told to end | n | failed | n |
    /// | ran too long | anything | failed | 124 |
    /// | was told to end by the tool | 0 | succeeded | 0 |
    /// | was told to end by the tool | n | interrupted | n |
    pub(super) fn verdict(self, status: Status) -> (Verdict, Status) {
        match self.stop_reason() {
            Some(StopReason::TimedOut) => (Verdict::Failed(Status::TIMED_OUT), Status::TIMED_OUT),
            _ if status.is_success() => (Verdict::Succeeded, status),
            Some(StopReason::Interrupted) => (Verdict::Interrupted, status),
            None | Some(StopReason::Broken) => (Verdict::Failed(status), status),
        }
    }

    /// The same for the message that a child was working on when it ended: an exit status of 0 is no answer.
    pub(super) fn verdict_without_answer(self, status: Status) -> (Verdict, Status) {
        match (self.stop_reason(), status.is_success()) {
            (Some(StopReason::Interrupted), _) => (Verdict::Interrupted, status),
            (_, true) => self.verdict(Status::FAILURE),
            (_, false) => self.verdict(status),
        }
    }
}

//! Where a message is that the run has in hand, and the command that runs for it.

use std::time::Duration;

use super::event::{ConnectionId, Copy, DeliveryInfo, SubscriptionId};
use crate::status::Status;

/// How long a command has from SIGTERM to SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message in hand: its turn has come, or something was decided about it on arrival.
#[derive(Clone, Debug)]
pub(super) struct MessageInHand {
    pub(super) delivery: Delivery,
    pub(super) delivery_state: DeliveryState,
    /// How often its command was run on this delivery.
    pub(super) runs: u32,
    pub(super) state: MessageState,
}

/// A delivery as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) connection: ConnectionId,
    pub(super) subscription: SubscriptionId,
    pub(super) info: DeliveryInfo,
}

/// What the broker expects of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryState {
    /// That the delivery is settled.
    Unsettled,
    /// Nothing: it was acknowledged on arrival, by this command of its connection. 0: that is certain.
    Acknowledged(u64),
    /// Nothing: the connection is gone, and the broker delivers the message again.
    Lost,
}

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MessageState {
    /// Its command runs, or its line is being written.
    Working(Job),
    /// Its command failed, keeps its job, and is run again then.
    Resting(Duration),
    /// It was rejected, came back at once, and is begun then at the earliest.
    Postponed(Duration),
    /// It failed; what becomes of it depends on whether the queue counts deliveries, which is being asked.
    Undecided(Status),
    /// It failed and goes back: then, or at the end. By this copy, which counts the attempt, or by basic.reject.
    Held(Option<Duration>, Option<Copy>, Status),
    /// A copy is on its way and not confirmed.
    Copying(Copy, CopyState),
    /// The copy was refused. It is tried again then, or never.
    Refused(Option<Duration>, Copy, CopyState),
}

/// What a copy follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CopyState {
    /// What the command ended with; `None`: the message was not run.
    pub(super) status: Option<Status>,
    /// How often a copy was refused.
    pub(super) refusals: u32,
}

/// A running command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// It runs, until then at most.
    Running(Option<Duration>),
    /// A signal of the terminal was passed on; whether the command ends by that is up to it.
    Signalled(Option<Duration>),
    /// It was sent SIGTERM; SIGKILL follows then.
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
}

/// What the end of a command means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Succeeded,
    /// It was tried, in vain.
    Failed(Status),
    /// The command was told to end for reasons of the tool. That says nothing about the message.
    Interrupted,
}

impl MessageInHand {
    /// Whether it occupies a job.
    pub(super) fn is_working(&self) -> bool {
        matches!(
            self.state,
            MessageState::Working(_) | MessageState::Resting(_)
        )
    }

    /// Whether it failed and only waits to go back.
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

impl Delivery {
    /// How often the message failed before, as far as it was counted: in a header or by the queue.
    pub(super) fn counted_failures(&self) -> u64 {
        let counted = self.info.attempts.unwrap_or(0);
        counted.saturating_add(self.info.delivery_count.unwrap_or(0))
    }

    /// How often the message failed before. Where nobody counts, an earlier delivery is taken for a failure.
    pub(super) fn earlier_failures(&self, queue_counts: Option<bool>) -> u64 {
        let is_guessed = self.info.delivery_count.is_none() && queue_counts.is_none();
        let guess = u64::from(is_guessed && self.info.redelivered);
        self.counted_failures().saturating_add(guess)
    }
}

impl Job {
    /// When something is to be done about it.
    pub(super) fn deadline(self) -> Option<Duration> {
        match self {
            Job::Running(deadline) | Job::Signalled(deadline) => deadline,
            Job::Stopping(_, kill_at) => Some(kill_at),
            Job::Killed(_) => None,
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

    fn stop_reason(self) -> Option<StopReason> {
        match self {
            Job::Running(_) => None,
            Job::Signalled(_) => Some(StopReason::Interrupted),
            Job::Stopping(reason, _) | Job::Killed(reason) => Some(reason),
        }
    }

    /// What a command's end means, and the exit status that is told.
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
            None => (Verdict::Failed(status), status),
        }
    }
}

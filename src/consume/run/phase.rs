//! How far the run is from its end, and why it ends.

use crate::status::Status;

/// How far the run is from its end. It only goes forward, with one exception: when a lost connection leaves too few messages
/// certain, a run that no signal asked to end consumes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Messages are taken, and commands are started.
    Consuming,
    /// No more messages are taken; running commands end by themselves.
    Draining(Cause),
    /// Running commands have been told to end.
    Stopping(Cause),
}

/// Why the run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The count was reached, or more messages failed than can be held.
    Counted,
    /// No message came for the idle timeout, or `--max-time` is over.
    Idle,
    /// A message failed with this status, and the run ends with it.
    Stopped(Status),
    /// A signal.
    Signal(i32),
    /// A command could not be started.
    CannotStart(Status),
    /// The broker or standard output failed.
    Failed(String),
}

impl Cause {
    /// Whether the run ended because its work was done.
    pub(super) fn lies_in_the_work(&self) -> bool {
        matches!(self, Cause::Counted | Cause::Idle)
    }
}

impl Phase {
    pub(super) fn is_consuming(&self) -> bool {
        *self == Phase::Consuming
    }

    pub(super) fn is_stopping(&self) -> bool {
        matches!(self, Phase::Stopping(_))
    }

    pub(super) fn cause(&self) -> Option<&Cause> {
        match self {
            Phase::Consuming => None,
            Phase::Draining(cause) | Phase::Stopping(cause) => Some(cause),
        }
    }

    /// Whether the run goes on, or ends because its work is done.
    pub(super) fn lies_in_the_work(&self) -> bool {
        self.cause().is_none_or(Cause::lies_in_the_work)
    }
}

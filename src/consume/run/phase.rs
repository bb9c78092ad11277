//! How far the run is from its end, and why it ends.

use crate::status::Status;

/// How far the run is from its end. It only goes forward, except that a run that is not asked to end goes back to
/// consuming where a lost connection leaves too little certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Messages are taken and commands started.
    Consuming,
    /// No more are; running commands end by themselves.
    Draining(Cause),
    /// Running commands have been told to end.
    Stopping(Cause),
}

/// Why the run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// As many messages as were asked for were handled, or more failed than can be held.
    Counted,
    /// No message came for as long as it was to be waited for.
    Idle,
    /// A signal.
    Signal(i32),
    /// A command could not be started.
    CannotStart(Status),
    /// The broker, or the reader of the output, lets the run go on no longer.
    Failed(String),
}

impl Cause {
    /// Whether the run would have ended by itself.
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

    /// Whether the run ends only because there is no more work for it.
    pub(super) fn lies_in_the_work(&self) -> bool {
        self.cause().is_none_or(Cause::lies_in_the_work)
    }
}

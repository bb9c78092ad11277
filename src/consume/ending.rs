//! What became of a command: the one place that makes sense of a child's wait status.

use std::io;

use rustix::process::WaitStatus;

use super::crew::{JobState, StopReason};
use crate::status::Status;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// What it means for the message.
    pub(super) verdict: Verdict,
    /// Its exit status, as the shell says it (128 + n if signal n ended it), or 124 for one that ran too long.
    pub(super) status: Status,
    /// The signal that ended it, or 0.
    pub(super) signal: i32,
}

/// What the end of a command means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Succeeded,
    /// It was tried, in vain.
    Failed,
    /// The command was told to end for reasons of ours, and did without success. That says nothing about the message.
    Interrupted,
}

impl Ending {
    /// The end of a child that ran.
    ///
    /// | state of the job | the child | verdict | status |
    /// |---|---|---|---|
    /// | running | exited 0 | succeeded | 0 |
    /// | running | exited n | failed | n |
    /// | running | ended by signal n | failed | 128 + n |
    /// | timed out | however | failed | 124 |
    /// | interrupted | exited 0 | succeeded | 0 |
    /// | interrupted | otherwise | interrupted | n or 128 + n |
    pub(super) fn of_child(status: WaitStatus, state: &JobState) -> Ending {
        let signal = status.terminating_signal().unwrap_or(0);
        let own = match status.exit_status() {
            Some(code) => Status::exited(u8::try_from(code).unwrap_or(u8::MAX)),
            None => Status::signalled(signal),
        };
        let (verdict, status) = match state.stop_reason() {
            Some(StopReason::TimedOut) => (Verdict::Failed, Status::TIMED_OUT),
            _ if own.is_success() => (Verdict::Succeeded, own),
            Some(StopReason::Interrupted) => (Verdict::Interrupted, own),
            None => (Verdict::Failed, own),
        };
        Ending {
            verdict,
            status,
            signal,
        }
    }

    /// The end of a command that could not even be started, and would not be for any other message.
    pub(super) fn of_unstartable(error: &io::Error) -> Ending {
        let status = match error.kind() {
            io::ErrorKind::NotFound => Status::NOT_FOUND,
            _ => Status::NOT_EXECUTABLE,
        };
        Ending {
            verdict: Verdict::Failed,
            status,
            signal: 0,
        }
    }
}

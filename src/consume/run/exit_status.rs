//! The exit status: the one place that decides it.

use super::Run;
use super::phase::Cause;
use crate::status::Status;

impl Run {
    /// The exit status.
    ///
    /// | end | | status |
    /// |---|---|---|
    /// | counted | some command failed | that of the first |
    /// | counted | some acknowledgement is not certain | `--error-status` |
    /// | counted | otherwise | 0 |
    /// | idle, with a count | some command failed | that of the first |
    /// | idle, without | some that failed went back at the end, or did not come again | that of the first of these |
    /// | idle | some acknowledgement is not certain on the last connection | `--error-status` |
    /// | idle, without a count, before `--max-time` | a message of a stream is not done and did not come again | `--error-status` |
    /// | idle | not one message was handled | `--idle-status` |
    /// | idle | otherwise | 0 |
    /// | signal n | as many are certain as were asked for, and none failed | 0 |
    /// | signal n | otherwise | 128 + n |
    /// | a message failed, and the run ends with it | | its status |
    /// | a command cannot be started | | 127, 126, or `--error-status` for the machine |
    /// | failure | | `--error-status` |
    ///
    /// "Idle" is also the end by `--max-time`.
    pub(super) fn exit_status(&self, cause: &Cause) -> Status {
        let is_uncertain = self.connection.uncertain.messages() > 0;
        let uncertain = is_uncertain.then_some(self.options.error_status);
        match *cause {
            Cause::Failed(_) | Cause::CannotStart(Status::FAILURE) => self.options.error_status,
            Cause::CannotStart(status) | Cause::Stopped(status) => status,
            Cause::Counted => self.first_failure.or(uncertain).unwrap_or(Status::SUCCESS),
            Cause::Signal(_) if self.first_failure.is_none() && self.is_complete() => {
                Status::SUCCESS
            }
            Cause::Signal(signal) => Status::signalled(signal),
            Cause::Idle => {
                let failure = match self.options.limit {
                    Some(_) => self.first_failure,
                    None => self.unfinished,
                };
                let unread = self.has_unread().then_some(self.options.error_status);
                failure
                    .or(uncertain)
                    .or(unread)
                    .unwrap_or_else(|| self.idle_status())
            }
        }
    }

    /// Whether as many messages succeeded for certain as were asked for.
    fn is_complete(&self) -> bool {
        let limit = self.options.limit;
        limit.is_some_and(|limit| self.succeeded >= limit)
    }

    /// The status of an idle end without failures: `--idle-status` if not one message was handled.
    fn idle_status(&self) -> Status {
        let is_unused = self.succeeded + self.failed == 0 && self.in_doubt == 0;
        if is_unused {
            self.options.status_if_unused
        } else {
            Status::SUCCESS
        }
    }
}

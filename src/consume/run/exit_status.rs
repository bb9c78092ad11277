//! The exit status: the one place that decides it.

use super::phase::Cause;
use crate::status::Status;

/// What the exit status depends on.
#[derive(Clone, Debug)]
pub(super) struct Account<'a> {
    pub(super) cause: &'a Cause,
    pub(super) limit: Option<u64>,
    /// Messages that succeeded and whose acknowledgement is certain.
    pub(super) succeeded: u64,
    /// Messages that failed.
    pub(super) failed: u64,
    /// The status of the first that failed.
    pub(super) first_failure: Option<Status>,
    /// The status of the first failed message that went back at the end, or did not come again.
    pub(super) unfinished: Option<Status>,
    /// Whether messages that were settled on the last connection may not be.
    pub(super) is_uncertain: bool,
    /// Whether messages are in doubt since a connection was lost.
    pub(super) was_in_doubt: bool,
    pub(super) status_if_unused: Status,
}

/// The exit status.
///
/// | end | | status |
/// |---|---|---|
/// | counted | some command failed | that of the first |
/// | counted | some acknowledgement is not certain | 1 |
/// | counted | otherwise | 0 |
/// | idle, with a count | some command failed | that of the first |
/// | idle, without | some that failed went back at the end, or did not come again | that of the first of these |
/// | idle | some acknowledgement is not certain on the last connection | 1 |
/// | idle | not one message was handled | `--idle-status` |
/// | idle | otherwise | 0 |
/// | signal n | as many are certain as were asked for, and none failed | 0 |
/// | signal n | otherwise | 128 + n |
/// | a command cannot be started | | 127, 126, or 1 for the machine |
/// | trouble | | 1 |
pub(super) fn exit_status(account: &Account) -> Status {
    let uncertain = account.is_uncertain.then_some(Status::FAILURE);
    match *account.cause {
        Cause::Failed(_) => Status::FAILURE,
        Cause::CannotStart(status) => status,
        Cause::Counted => account
            .first_failure
            .or(uncertain)
            .unwrap_or(Status::SUCCESS),
        Cause::Signal(_)
            if account.first_failure.is_none()
                && account
                    .limit
                    .is_some_and(|limit| account.succeeded >= limit) =>
        {
            Status::SUCCESS
        }
        Cause::Signal(signal) => Status::signalled(signal),
        Cause::Idle => {
            let failure = match account.limit {
                Some(_) => account.first_failure,
                None => account.unfinished,
            };
            let is_unused = account.succeeded + account.failed == 0 && !account.was_in_doubt;
            failure.or(uncertain).unwrap_or(if is_unused {
                account.status_if_unused
            } else {
                Status::SUCCESS
            })
        }
    }
}

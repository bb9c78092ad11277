//! What amqp-consume has to show for itself in the end: its exit status.

use super::ending::{Ending, Verdict};
use crate::status::Status;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many messages were begun: done with, or in hand.
    pub(super) begun: u64,
    /// How many commands succeeded.
    pub(super) succeeded: u64,
    /// How many messages failed.
    pub(super) failed: u64,
    /// The status of the first that failed.
    pub(super) first_failure: Option<Status>,
}

impl Tally {
    /// Work on a message has ended.
    pub(super) fn count(&mut self, ending: Ending) {
        match ending.verdict {
            Verdict::Succeeded => self.succeeded += 1,
            Verdict::Failed => {
                self.failed += 1;
                self.first_failure.get_or_insert(ending.status);
            }
            Verdict::Interrupted => {}
        }
    }
}

/// Why the tool ended, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As many messages as were asked for were handled, or more failed than can be held.
    Counted,
    /// No message came for as long as it was to be waited for.
    Idle,
    /// It got a signal.
    Signal(i32),
}

/// All that the exit status depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    /// Why the tool ended.
    pub(super) end: End,
    /// What was done.
    pub(super) tally: Tally,
    /// How many messages were asked for.
    pub(super) limit: Option<u64>,
    /// What the first of the messages failed with that were still held at the end.
    pub(super) unfinished: Option<Status>,
    /// What to say if not one message was handled.
    pub(super) status_if_unused: Status,
}

/// The exit status.
///
/// | end | | status |
/// |---|---|---|
/// | counted | no command failed | 0 |
/// | counted | some did | that of the first |
/// | idle, with a count | some failed | that of the first |
/// | idle, without | some that failed are still held | that of the first of these |
/// | idle | not one message was handled | `--idle-status` |
/// | idle | otherwise | 0 |
/// | signal n | as many succeeded as were asked for | 0 |
/// | signal n | otherwise | 128 + n |
pub(super) fn status(account: &Account) -> Status {
    let tally = &account.tally;
    match account.end {
        End::Counted => tally.first_failure.unwrap_or(Status::SUCCESS),
        End::Idle => {
            let failure = match account.limit {
                Some(_) => tally.first_failure,
                None => account.unfinished,
            };
            failure.unwrap_or(if tally.succeeded + tally.failed == 0 {
                account.status_if_unused
            } else {
                Status::SUCCESS
            })
        }
        End::Signal(_) if account.limit.is_some_and(|limit| tally.succeeded >= limit) => {
            Status::SUCCESS
        }
        End::Signal(signal) => Status::signalled(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNUSED: Status = Status::exited(100);
    const OK: Status = Status::SUCCESS;

    fn tally(succeeded: u64, failures: &[u8]) -> Tally {
        let mut tally = Tally {
            begun: succeeded,
            succeeded,
            ..Tally::default()
        };
        for code in failures {
            tally.begun += 1;
            tally.count(Ending {
                verdict: Verdict::Failed,
                status: Status::exited(*code),
                signal: 0,
            });
        }
        tally
    }

    #[test]
    fn every_row_of_the_table() {
        let none = None;
        let held = Some(Status::exited(4));
        for (end, limit, tally, unfinished, expected) in [
            (End::Counted, Some(0), tally(0, &[]), none, OK),
            (End::Counted, Some(2), tally(2, &[]), none, OK),
            (
                End::Counted,
                Some(2),
                tally(0, &[7, 4]),
                held,
                Status::exited(7),
            ),
            (
                End::Counted,
                Some(2),
                tally(1, &[7]),
                none,
                Status::exited(7),
            ),
            (
                End::Idle,
                Some(9),
                tally(1, &[7, 4]),
                held,
                Status::exited(7),
            ),
            (End::Idle, Some(9), tally(1, &[]), none, OK),
            (End::Idle, None, tally(3, &[7, 4]), held, Status::exited(4)),
            (End::Idle, None, tally(3, &[7, 4]), none, OK),
            (End::Idle, None, tally(0, &[7]), none, OK),
            (End::Idle, None, tally(0, &[]), none, UNUSED),
            (End::Idle, Some(9), tally(0, &[]), none, UNUSED),
            (End::Signal(15), Some(1), tally(1, &[]), none, OK),
            (
                End::Signal(15),
                Some(2),
                tally(1, &[]),
                none,
                Status::exited(143),
            ),
            (
                End::Signal(15),
                Some(1),
                tally(0, &[7]),
                none,
                Status::exited(143),
            ),
            (
                End::Signal(2),
                None,
                tally(5, &[]),
                none,
                Status::exited(130),
            ),
        ] {
            let account = Account {
                end,
                tally,
                limit,
                unfinished,
                status_if_unused: UNUSED,
            };
            assert_eq!(status(&account), expected, "{account:?}");
        }
    }
}

//! The options that the core needs.

use std::num::NonZeroUsize;

use std::time::Duration;

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// How many messages may be unconfirmed; `None`: the broker does not confirm.
    pub max_in_flight: Option<NonZeroUsize>,
    /// Whether there is a checkpoint.
    pub has_checkpoint: bool,
    /// How long connections are retried that break without confirming anything; zero: no lost connection is opened again.
    pub retry: Duration,
    /// The time from one message to the next; nothing: they are sent as fast as can be.
    pub pace: Option<Duration>,
}

impl RunOptions {
    pub(super) fn is_confirmed(&self) -> bool {
        self.max_in_flight.is_some()
    }

    /// How many records the window may hold. With a checkpoint that is half of the limit. The other half is for records that are
    /// confirmed and not yet in the checkpoint. So a crash makes at most `max_in_flight` records be sent twice.
    pub(super) fn in_flight(&self) -> usize {
        let all = self.max_in_flight.map_or(1, NonZeroUsize::get);
        if self.has_checkpoint {
            all - all / 2
        } else {
            all
        }
    }

    /// After how many confirmed records the checkpoint is updated.
    pub(super) fn save_every(&self) -> u64 {
        let all = self.max_in_flight.map_or(1, NonZeroUsize::get);
        (all / 2).max(1) as u64
    }

    /// Whether records may be sent again after a lost connection.
    #[must_use]
    pub fn may_send_again(&self) -> bool {
        self.is_confirmed() && !self.retry.is_zero()
    }
}

//! What a run is asked for, as far as the core needs to know it.

use std::num::NonZeroUsize;

use std::time::Duration;

/// What a run is asked for.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// How many messages may be unconfirmed; nothing: the broker does not confirm.
    pub max_in_flight: Option<NonZeroUsize>,
    /// Whether a file keeps the place up to which everything is confirmed.
    pub has_checkpoint: bool,
    /// For how long connections are tried again that break without having been of use; zero: none is opened again.
    pub retry: Duration,
}

impl RunOptions {
    pub(super) fn is_confirmed(&self) -> bool {
        self.max_in_flight.is_some()
    }

    /// How many records the window may hold. With a checkpoint it is one half of what may be unconfirmed, the other is for
    /// those that are confirmed without the checkpoint's knowing it: so many are sent twice after a crash at most.
    pub(super) fn in_flight(&self) -> usize {
        let all = self.max_in_flight.map_or(1, NonZeroUsize::get);
        if self.has_checkpoint {
            all - all / 2
        } else {
            all
        }
    }

    /// So many confirmed records are worth telling the checkpoint of.
    pub(super) fn save_every(&self) -> u64 {
        let all = self.max_in_flight.map_or(1, NonZeroUsize::get);
        (all / 2).max(1) as u64
    }

    /// Whether what was sent may be sent again.
    #[must_use]
    pub fn may_send_again(&self) -> bool {
        self.is_confirmed() && !self.retry.is_zero()
    }
}

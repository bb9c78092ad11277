//! Connections that break one after the other.

use std::time::Duration;

/// Connections that broke one after the other, none of them of use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Breaks {
    /// When the first of them broke.
    since: Option<Duration>,
    count: u32,
}

impl Breaks {
    /// Notes that a connection broke at that time of the run.
    pub(crate) fn note(&mut self, was_of_use: bool, now: Duration) {
        if was_of_use {
            *self = Breaks::default();
        } else {
            self.count = self.count.saturating_add(1);
            self.since.get_or_insert(now);
        }
    }

    /// Whether they have gone on for less than `patience`, so that another connection is to be opened.
    #[must_use]
    pub(crate) fn are_borne(self, patience: Duration, now: Duration) -> bool {
        self.since
            .is_none_or(|since| now.saturating_sub(since) < patience)
    }

    /// The pause before the next connection: none where the last one was of use, else `first`, doubled with each one of them, and
    /// at most `longest`.
    #[must_use]
    pub(crate) fn pause(self, first: Duration, longest: Duration) -> Duration {
        match self.count.checked_sub(1) {
            Some(doublings) => longest.min(first * (1 << doublings.min(16))),
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_borne_for_so_long_and_a_connection_of_use_begins_anew() {
        const MINUTE: Duration = Duration::from_secs(60);
        let mut breaks = Breaks::default();
        let mut is_borne = |was_of_use, second, patience| {
            let now = Duration::from_secs(second);
            breaks.note(was_of_use, now);
            breaks.are_borne(patience, now)
        };
        assert!((100..160).all(|second| is_borne(false, second, MINUTE)));
        assert!(!is_borne(false, 160, MINUTE));
        assert!(is_borne(true, 161, MINUTE));
        assert!(is_borne(false, 200, MINUTE));
        assert!(is_borne(false, 259, MINUTE));
        assert!(!is_borne(false, 260, MINUTE));
        assert!(is_borne(false, 1000, Duration::MAX));
        assert!(!is_borne(false, 1001, Duration::ZERO));
    }

    #[test]
    fn pauses_double_while_connections_are_of_no_use() {
        let mut breaks = Breaks::default();
        let mut pause_after = |was_of_use| {
            breaks.note(was_of_use, Duration::ZERO);
            let [first, longest] = [1, 8].map(Duration::from_secs);
            breaks.pause(first, longest).as_secs()
        };
        assert_eq!([false; 6].map(&mut pause_after), [1, 2, 4, 8, 8, 8]);
        assert_eq!([true, true, false].map(&mut pause_after), [0, 0, 1]);
        assert_eq!([false; 40].map(&mut pause_after)[39], 8);
    }
}

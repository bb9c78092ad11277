//! Failed messages that wait in a queue of the broker before they come back (`retry:DURATION`). The broker's counts do not show
//! them, so a run that ends when the work is done keeps a book of those that it sent there.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::event::{DeliveryId, DeliveryInfo};
use crate::status::Status;

/// How much later than expected a message may come back.
const LATEST: Duration = Duration::from_secs(5);

/// How many messages that are back are remembered.
const MEMORY: usize = 1000;

/// The book.
#[derive(Clone, Debug, Default)]
pub(super) struct Delayed {
    /// By the digests of the messages.
    entries: BTreeMap<u64, Vec<Entry>>,
    /// The digests of those that are back, the latest last.
    back: VecDeque<u64>,
    /// How many have not come back.
    out: u64,
    /// When the last one is due that was confirmed.
    last_due: Duration,
    /// The status of the first one that has not come back, as far as is known.
    status: Option<Status>,
}

/// A copy that was published.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The delivery that it is of.
    id: DeliveryId,
    /// Its `x-attempts`.
    attempts: u64,
    time: Duration,
    is_back: bool,
}

impl Delayed {
    /// A copy is published.
    pub(super) fn sent(
        &mut self,
        id: DeliveryId,
        digest: u64,
        (time, attempts): (Duration, u64),
        status: Status,
    ) {
        self.out += 1;
        self.status.get_or_insert(status);
        self.entries.entry(digest).or_default().push(Entry {
            id,
            attempts,
            time,
            is_back: false,
        });
    }

    /// The copy of this delivery is confirmed: it comes back in time.
    pub(super) fn confirmed(&mut self, id: DeliveryId, now: Duration) {
        let mut entries = self.entries.values().flatten();
        if let Some(entry) = entries.find(|entry| entry.id == id && !entry.is_back) {
            self.last_due = self.last_due.max(now.saturating_add(entry.time));
        }
    }

    /// The copy of this delivery is refused.
    pub(super) fn refused(&mut self, id: DeliveryId) {
        let is_it = |entry: &Entry| entry.id == id && !entry.is_back;
        for entries in self.entries.values_mut() {
            if let Some(index) = entries.iter().position(is_it) {
                entries.remove(index);
                return self.one_less();
            }
        }
    }

    /// A message has come that may be a copy. One that came back before may be delivered again.
    pub(super) fn came(&mut self, delivery: &DeliveryInfo) {
        let (Some(attempts), Some(entries)) =
            (delivery.attempts, self.entries.get_mut(&delivery.digest))
        else {
            return;
        };
        let may_be = |entry: &Entry| entry.attempts <= attempts;
        let came_before = |entry: &Entry| may_be(entry) && entry.is_back;
        if delivery.redelivered && entries.iter().any(came_before) {
            return;
        }
        let came = entries
            .iter_mut()
            .filter(|entry| may_be(entry) && !entry.is_back)
            .max_by_key(|entry| entry.attempts);
        if let Some(entry) = came {
            entry.is_back = true;
            self.back.push_back(delivery.digest);
            self.forget_some();
            self.one_less();
        }
    }

    /// Keeps the book as small as what waits, and a little more.
    fn forget_some(&mut self) {
        if self.back.len() <= MEMORY {
            return;
        }
        let Some(digest) = self.back.pop_front() else {
            return;
        };
        if let Some(entries) = self.entries.get_mut(&digest) {
            if let Some(index) = entries.iter().position(|entry| entry.is_back) {
                entries.remove(index);
            }
            if entries.is_empty() {
                self.entries.remove(&digest);
            }
        }
    }

    fn one_less(&mut self) {
        self.out -= 1;
        if self.out == 0 {
            *self = Delayed::default();
        }
    }

    /// Until when the run must not end since messages may come back.
    pub(super) fn until(&self) -> Duration {
        if self.out == 0 {
            Duration::ZERO
        } else {
            self.last_due.saturating_add(LATEST)
        }
    }

    /// How many have not come back, and the status of one of them.
    pub(super) fn out(&self) -> Option<(u64, Status)> {
        self.status.map(|status| (self.out, status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn delivery(digest: u64, attempts: Option<u64>, redelivered: bool) -> DeliveryInfo {
        DeliveryInfo {
            redelivered,
            attempts,
            digest,
            ..DeliveryInfo::default()
        }
    }

    fn with(sent: &[(u64, u64, u64)]) -> Delayed {
        let mut book = Delayed::default();
        for (id, digest, attempts) in sent {
            book.sent(*id, *digest, (2 * SECOND, *attempts), Status::exited(7));
            book.confirmed(*id, SECOND);
        }
        book
    }

    #[test]
    fn a_message_is_waited_for_until_it_is_back_or_late() {
        let mut book = with(&[(1, 10, 1), (2, 20, 1)]);
        assert_eq!(book.until(), 8 * SECOND);
        book.came(&delivery(10, Some(1), false));
        assert_eq!(book.out(), Some((1, Status::exited(7))));
        book.came(&delivery(20, Some(1), false));
        assert_eq!((book.out(), book.until()), (None, Duration::ZERO));
    }

    #[test]
    fn the_original_is_not_taken_for_its_copy() {
        let mut book = with(&[(1, 10, 2)]);
        book.came(&delivery(10, Some(1), true));
        book.came(&delivery(10, None, true));
        assert_eq!(book.out(), Some((1, Status::exited(7))));
        // Another worker had it meanwhile.
        book.came(&delivery(10, Some(3), true));
        assert_eq!(book.out(), None);
    }

    #[test]
    fn one_that_is_back_and_delivered_again_is_not_taken_for_its_twin() {
        let mut book = with(&[(1, 10, 1), (2, 10, 1)]);
        book.came(&delivery(10, Some(1), false));
        book.came(&delivery(10, Some(1), true));
        assert_eq!(book.out(), Some((1, Status::exited(7))));
        book.came(&delivery(10, Some(1), false));
        assert_eq!(book.out(), None);
    }

    #[test]
    fn a_refused_copy_is_not_waited_for() {
        let mut book = with(&[(1, 10, 1)]);
        book.refused(1);
        assert_eq!(book.out(), None);
    }
}

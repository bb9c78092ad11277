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
    /// The copies that have not come back, and how long each one waits.
    out: BTreeMap<WaitingCopy, Duration>,
    /// The digests and `x-attempts` of the last ones that are back, the latest last.
    back: VecDeque<(u64, u64)>,
    /// When the last one is due that was confirmed.
    last_due: Duration,
    /// The status of the first one that has not come back, as far as is known.
    status: Option<Status>,
}

/// A copy that was published: the digest of the message, its `x-attempts`, and the delivery that it is of.
type WaitingCopy = (u64, u64, DeliveryId);

impl Delayed {
    /// A copy is published.
    pub(super) fn sent(
        &mut self,
        id: DeliveryId,
        digest: u64,
        (time, attempts): (Duration, u64),
        status: Status,
    ) {
        self.status.get_or_insert(status);
        self.out.insert((digest, attempts, id), time);
    }

    /// The copy of this delivery is confirmed: it comes back in time.
    pub(super) fn confirmed(&mut self, id: DeliveryId, now: Duration) {
        if let Some(time) = self.copy_of(id).and_then(|copy| self.out.get(&copy)) {
            self.last_due = self.last_due.max(now.saturating_add(*time));
        }
    }

    /// The copy of this delivery is refused.
    pub(super) fn refused(&mut self, id: DeliveryId) {
        if let Some(copy) = self.copy_of(id) {
            self.remove(copy);
        }
    }

    /// A message has come that may be a copy. One that came back before may be delivered again.
    pub(super) fn came(&mut self, delivery: &DeliveryInfo) {
        let (digest, Some(attempts)) = (delivery.digest, delivery.attempts) else {
            return;
        };
        let came_before = |back: &(u64, u64)| back.0 == digest && back.1 <= attempts;
        if delivery.redelivered && self.back.iter().any(came_before) {
            return;
        }
        let may_be = (digest, 0, DeliveryId::MIN)..=(digest, attempts, DeliveryId::MAX);
        let Some((copy, _)) = self.out.range(may_be).next_back() else {
            return;
        };
        let copy = *copy;
        if self.back.len() == MEMORY {
            self.back.pop_front();
        }
        self.back.push_back((digest, copy.1));
        self.remove(copy);
    }

    fn copy_of(&self, id: DeliveryId) -> Option<WaitingCopy> {
        self.out.keys().find(|copy| copy.2 == id).copied()
    }

    fn remove(&mut self, copy: WaitingCopy) {
        self.out.remove(&copy);
        if self.out.is_empty() {
            *self = Delayed::default();
        }
    }

    /// Until when the run must not end since messages may come back.
    pub(super) fn until(&self) -> Duration {
        if self.out.is_empty() {
            Duration::ZERO
        } else {
            self.last_due.saturating_add(LATEST)
        }
    }

    /// How many have not come back, and the status of one of them.
    pub(super) fn out(&self) -> Option<(u64, Status)> {
        self.status.map(|status| (self.out.len() as u64, status))
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

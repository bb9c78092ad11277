//! Publisher confirms: the messages of a channel have numbers, which count from 1 in the order of publishing, and the broker
//! answers by number, in any order (<https://www.rabbitmq.com/docs/confirms#publisher-confirms>).

use std::collections::VecDeque;

use amiquip::Confirm;

/// The broker's answer for published messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The broker has taken responsibility for these.
    Acked(Numbers),
    /// The broker could not take these: a full queue that rejects, an internal error.
    Nacked(Numbers),
}

/// Which messages a confirmation speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// This one.
    One(u64),
    /// All that are still unconfirmed up to this one, inclusive.
    UpTo(u64),
}

impl Confirmation {
    pub(super) fn from_wire(confirm: Confirm) -> Confirmation {
        let numbers = |payload: amiquip::ConfirmPayload| {
            if payload.multiple {
                Numbers::UpTo(payload.delivery_tag)
            } else {
                Numbers::One(payload.delivery_tag)
            }
        };
        match confirm {
            Confirm::Ack(payload) => Confirmation::Acked(numbers(payload)),
            Confirm::Nack(payload) => Confirmation::Nacked(numbers(payload)),
        }
    }
}

/// The messages that were published on a channel and that the broker has not answered for.
#[derive(Clone, Debug)]
pub struct Unconfirmed<T> {
    /// From the first of them on; `None`: answered before an earlier one.
    messages: VecDeque<Option<T>>,
    /// The number of the first.
    first: u64,
}

impl<T> Default for Unconfirmed<T> {
    fn default() -> Self {
        Unconfirmed {
            messages: VecDeque::new(),
            first: 1,
        }
    }
}

impl<T> Unconfirmed<T> {
    /// Adds the message that was published next.
    pub fn add(&mut self, message: T) {
        self.messages.push_back(Some(message));
    }

    /// Whether the broker has answered for all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages in the order of publishing.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.messages.iter().flatten()
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.messages.iter_mut().flatten()
    }

    /// Removes the messages that an answer is for. Numbers that were never published stand for nothing.
    pub fn answered(&mut self, numbers: Numbers) -> Vec<T> {
        let index = |number: u64| number.checked_sub(self.first).map(usize::try_from);
        let answered = match numbers {
            Numbers::One(number) => match index(number) {
                Some(Ok(index)) => self.messages.get_mut(index).and_then(Option::take),
                _ => None,
            }
            .into_iter()
            .collect(),
            Numbers::UpTo(number) => {
                let count = match index(number) {
                    Some(Ok(index)) => self.messages.len().min(index.saturating_add(1)),
                    Some(Err(_)) => self.messages.len(),
                    None => 0,
                };
                self.first += count as u64;
                self.messages.drain(..count).flatten().collect()
            }
        };
        while let Some(None) = self.messages.front() {
            self.messages.pop_front();
            self.first += 1;
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(count: u32) -> Unconfirmed<u32> {
        let mut unconfirmed = Unconfirmed::default();
        (1..=count).for_each(|message| unconfirmed.add(message));
        unconfirmed
    }

    #[test]
    fn answers_may_come_in_any_order_and_for_many() {
        let mut unconfirmed = published(6);
        assert_eq!(unconfirmed.answered(Numbers::One(3)), [3]);
        assert_eq!(unconfirmed.answered(Numbers::One(1)), [1]);
        assert!(unconfirmed.iter().eq(&[2, 4, 5, 6]));
        assert_eq!(unconfirmed.answered(Numbers::UpTo(4)), [2, 4]);
        unconfirmed.add(7);
        assert_eq!(unconfirmed.answered(Numbers::One(7)), [7]);
        assert_eq!(unconfirmed.answered(Numbers::UpTo(6)), [5, 6]);
        assert!(unconfirmed.is_empty());
        unconfirmed.add(8);
        assert_eq!(unconfirmed.answered(Numbers::One(8)), [8]);
    }

    #[test]
    fn what_was_answered_or_never_published_is_not_answered_again() {
        let mut unconfirmed = published(3);
        assert_eq!(unconfirmed.answered(Numbers::One(2)), [2]);
        for numbers in [
            Numbers::One(0),
            Numbers::One(2),
            Numbers::One(4),
            Numbers::UpTo(0),
        ] {
            assert!(unconfirmed.answered(numbers).is_empty(), "{numbers:?}");
        }
        assert_eq!(unconfirmed.answered(Numbers::UpTo(u64::MAX)), [1, 3]);
    }
}

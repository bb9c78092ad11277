//! The messages in hand: delivered on this connection and not answered for, in the order of their tags.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::event::{Delivery, Subscription, Tag};
use crate::broker::{Confirmation, Numbers};

/// The messages from the first one on that is not answered for.
#[derive(Clone, Debug)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// The tag of the first of them.
    first: Tag,
    /// The copy of this one is published next.
    next_to_publish: Tag,
    /// All before this one are confirmed.
    first_unconfirmed: Tag,
    /// How many copies are on their way.
    open: usize,
    /// How many copies have come back that are not confirmed yet, by their content.
    returned: BTreeMap<u64, u64>,
}

/// What a confirmation said about copies that were on their way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Applied {
    /// So many are confirmed.
    pub(super) confirmed: u64,
    /// So many were returned or rejected.
    pub(super) refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    subscription: Subscription,
    fingerprint: u64,
    state: State,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Delivered; no copy was published.
    Delivered,
    /// Its copy is on its way.
    Open,
    /// Its copy is confirmed.
    Confirmed,
    /// There is no copy of it that a queue has for certain. It stays where it was.
    Refused,
}

/// Messages that are answered for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) is_confirmed: bool,
    pub(super) last: Tag,
    pub(super) messages: u64,
    pub(super) subscriptions: BTreeSet<Subscription>,
}

impl Window {
    pub(super) fn new() -> Window {
        Window {
            entries: VecDeque::new(),
            first: 1,
            next_to_publish: 1,
            first_unconfirmed: 1,
            open: 0,
            returned: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many copies are on their way.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// How many messages were delivered on this connection.
    pub(super) fn delivered(&self) -> u64 {
        self.end() - 1
    }

    /// The tag of the next delivery.
    pub(super) fn end(&self) -> Tag {
        self.first + self.entries.len() as u64
    }

    /// How many messages from the first one of this connection on have a confirmed copy.
    pub(super) fn confirmed_from_start(&self) -> u64 {
        self.first_unconfirmed - 1
    }

    /// Takes in the next delivery.
    pub(super) fn add(&mut self, delivery: &Delivery) {
        self.entries.push_back(Entry {
            subscription: delivery.subscription,
            fingerprint: delivery.fingerprint,
            state: match delivery.unfit {
                None => State::Delivered,
                Some(_) => State::Refused,
            },
        });
    }

    /// The message whose copy is to be published next.
    pub(super) fn next_to_publish(&self) -> Option<Tag> {
        let tag = self.next_to_publish;
        (self.entry(tag)?.state == State::Delivered).then_some(tag)
    }

    /// Notes that the copy which was to be published next has been.
    pub(super) fn publish(&mut self) {
        let tag = self.next_to_publish;
        if let Some(entry) = self.entry_mut(tag) {
            entry.state = State::Open;
            self.open += 1;
            self.next_to_publish += 1;
        }
    }

    /// Notes what the broker says about copies by number.
    pub(super) fn apply(&mut self, confirmation: Confirmation) -> Applied {
        let (numbers, state) = match confirmation {
            Confirmation::Acked(numbers) => (numbers, State::Confirmed),
            Confirmation::Nacked(numbers) => (numbers, State::Refused),
        };
        let tags = match numbers {
            Numbers::One(tag) => tag..tag.saturating_add(1),
            Numbers::UpTo(tag) => self.first_unconfirmed..tag.saturating_add(1),
        };
        let mut applied = Applied::default();
        for tag in tags.start..tags.end.min(self.next_to_publish) {
            let is_returned = state == State::Confirmed && self.is_returned(tag);
            let state = if is_returned { State::Refused } else { state };
            let is_news = u64::from(self.settle(tag, state));
            match state {
                State::Confirmed => applied.confirmed += is_news,
                _ => applied.refused += is_news,
            }
        }
        while self
            .entry(self.first_unconfirmed)
            .is_some_and(|entry| entry.state == State::Confirmed)
        {
            self.first_unconfirmed += 1;
        }
        applied
    }

    /// Notes that a copy has come back. Its confirm follows: of copies with the same content, the next one that is confirmed
    /// is taken for it. Where no copy is like it, none that is on its way counts any more.
    pub(super) fn take_back(&mut self, fingerprint: u64) {
        let has = |state| {
            let is_like = |entry: &Entry| entry.fingerprint == fingerprint && entry.state == state;
            self.entries.iter().any(is_like)
        };
        if has(State::Open) {
            *self.returned.entry(fingerprint).or_default() += 1;
        } else if !has(State::Refused) {
            // A refused one was rejected before it came back.
            for tag in self.first..self.next_to_publish {
                self.settle(tag, State::Refused);
            }
        }
    }

    /// Whether the copy, which is on its way and confirmed now, has come back before.
    fn is_returned(&mut self, tag: Tag) -> bool {
        let open = self.entry(tag).filter(|entry| entry.state == State::Open);
        let Some(fingerprint) = open.map(|entry| entry.fingerprint) else {
            return false;
        };
        match self.returned.get_mut(&fingerprint) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    /// Notes the fate of a copy, if it is on its way.
    fn settle(&mut self, tag: Tag, state: State) -> bool {
        match self.entry_mut(tag) {
            Some(entry) if entry.state == State::Open => {
                entry.state = state;
                self.open -= 1;
                true
            }
            _ => false,
        }
    }

    /// How many messages from the first one on have a confirmed copy and are not acknowledged.
    pub(super) fn confirmed_at_front(&self) -> u64 {
        self.first_unconfirmed - self.first
    }

    /// The messages that can be answered for together, from the first one on: with confirmed copies, or none with. Those
    /// that are given back are of one subscription: a quorum queue takes back one subscription's after the other's.
    pub(super) fn front(&self) -> Option<Group> {
        let is_confirmed = self.entries.front()?.state == State::Confirmed;
        let mut group = Group {
            is_confirmed,
            last: self.first - 1,
            messages: 0,
            subscriptions: BTreeSet::new(),
        };
        for entry in &self.entries {
            let is_of_another = !is_confirmed
                && group.messages > 0
                && !group.subscriptions.contains(&entry.subscription);
            if (entry.state == State::Confirmed) != is_confirmed || is_of_another {
                break;
            }
            group.last += 1;
            group.messages += 1;
            group.subscriptions.insert(entry.subscription);
        }
        Some(group)
    }

    /// Lets go of the messages up to this one, which are answered for.
    pub(super) fn forget_up_to(&mut self, last: Tag) {
        while self.first <= last
            && let Some(entry) = self.entries.pop_front()
        {
            if entry.state == State::Open {
                self.open -= 1;
            }
            self.first += 1;
        }
        self.next_to_publish = self.next_to_publish.max(self.first);
        self.first_unconfirmed = self.first_unconfirmed.max(self.first);
    }

    fn entry(&self, tag: Tag) -> Option<&Entry> {
        self.entries
            .get(usize::try_from(tag.checked_sub(self.first)?).ok()?)
    }

    fn entry_mut(&mut self, tag: Tag) -> Option<&mut Entry> {
        self.entries
            .get_mut(usize::try_from(tag.checked_sub(self.first)?).ok()?)
    }

    /// Whether what is counted is what is there.
    pub(super) fn is_consistent(&self) -> bool {
        let open = |entry: &&Entry| entry.state == State::Open;
        self.entries.iter().filter(open).count() == self.open
            && self.first <= self.first_unconfirmed
            && self.first_unconfirmed <= self.next_to_publish
    }
}

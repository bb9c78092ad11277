//! The records from the first unconfirmed one on, and the state of each.
//!
//! The broker confirms by number, one or many, in any order. Numbers count for one connection; `sent` says which record a number
//! means. A returned message has no number and is recognised by its fingerprint.

use std::collections::VecDeque;

use crate::broker::{Confirmation, Unconfirmed};
use crate::publish::run::event::{RecordId, RecordInfo};

/// How many bytes of bodies may be in flight. A single body may be larger.
const BYTES_IN_FLIGHT: usize = 16 << 20;

/// The numbers of published messages, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Published, each counted once.
    pub published: u64,
    /// Confirmed by the broker.
    pub confirmed: u64,
    /// Returned, because they reached no queue.
    pub returned: u64,
    /// Rejected by the broker (basic.nack).
    pub rejected: u64,
    /// The size of the published bodies.
    pub bytes: u64,
}

/// The records from the first one that is not confirmed on.
#[derive(Clone, Debug)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// The id of the first of them.
    first: RecordId,
    /// No earlier entry is to be sent.
    next_to_send: RecordId,
    /// What was published on this connection and is not confirmed, also what came back.
    sent: Unconfirmed<RecordId>,
    /// How many entries are open.
    open: usize,
    /// The size of the bodies of all entries that were sent.
    bytes: usize,
    tally: Tally,
    /// How many bytes of the input are confirmed or, without confirms, sent.
    input_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    record: RecordInfo,
    state: RecordState,
}

impl Entry {
    fn is_to_be_sent(&self) -> bool {
        matches!(self.state, RecordState::Unsent | RecordState::InDoubt)
    }
}

/// The state of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordState {
    /// It is to be sent.
    Unsent,
    /// It was sent on a lost connection, and is to be sent again.
    InDoubt,
    /// It was sent on this connection and is not confirmed.
    Open,
    Confirmed,
    Returned,
    Rejected,
}

impl Window {
    pub(super) fn new() -> Window {
        Window {
            entries: VecDeque::new(),
            first: 1,
            next_to_send: 1,
            sent: Unconfirmed::default(),
            open: 0,
            bytes: 0,
            tally: Tally::default(),
            input_bytes: 0,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn input_bytes(&self) -> u64 {
        self.input_bytes
    }

    /// The first record that is not confirmed; it may not have been read yet.
    pub(super) fn first(&self) -> RecordId {
        self.first
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many messages are open on this connection.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Whether a message is open on this connection.
    pub(super) fn is_open(&self, id: RecordId) -> bool {
        self.entry(id)
            .is_some_and(|entry| entry.state == RecordState::Open)
    }

    /// The first message that is open on this connection.
    pub(super) fn first_open(&self) -> Option<RecordId> {
        self.sent.iter().copied().find(|id| self.is_open(*id))
    }

    /// How many messages were sent whose result is not known.
    pub(super) fn in_doubt(&self) -> usize {
        let unknown =
            |entry: &&Entry| matches!(entry.state, RecordState::Open | RecordState::InDoubt);
        self.entries.iter().filter(unknown).count()
    }

    /// Whether the bytes in flight leave room for more.
    pub(super) fn has_room_for_bytes(&self) -> bool {
        self.bytes < BYTES_IN_FLIGHT
    }

    /// Adds the next record, which is to be sent.
    pub(super) fn add(&mut self, record: RecordInfo) {
        self.entries.push_back(Entry {
            record,
            state: RecordState::Unsent,
        });
    }

    /// The next record to send, if it may be sent.
    pub(super) fn next_to_send(&self) -> Option<RecordId> {
        let length = self.entry(self.next_to_send)?.record.length;
        let fits = self.bytes == 0 || self.bytes + length <= BYTES_IN_FLIGHT;
        fits.then_some(self.next_to_send)
    }

    /// Whether every record was sent.
    pub(super) fn is_all_sent(&self) -> bool {
        self.next_to_send == self.first + self.entries.len() as u64
    }

    /// Notes that the next record was sent.
    pub(super) fn send(&mut self) {
        let id = self.next_to_send;
        let Some(entry) = self.entry_mut(id) else {
            return;
        };
        let is_first_time = entry.state == RecordState::Unsent;
        entry.state = RecordState::Open;
        let length = entry.record.length;
        if is_first_time {
            self.tally.published += 1;
            self.tally.bytes += length as u64;
        }
        self.bytes += length;
        self.open += 1;
        self.sent.add(id);
        self.next_to_send += 1;
        self.pass_over_sent();
    }

    /// Moves on to the next record that is to be sent.
    fn pass_over_sent(&mut self) {
        self.next_to_send = self.next_to_send.max(self.first);
        while let Some(entry) = self.entry(self.next_to_send)
            && !entry.is_to_be_sent()
        {
            self.next_to_send += 1;
        }
    }

    /// Notes that the first record was sent, and forgets it: it will not be confirmed.
    pub(super) fn send_unconfirmed(&mut self) {
        if let Some(Entry { record, .. }) = self.entries.pop_front() {
            self.first += 1;
            self.next_to_send = self.first;
            self.tally.published += 1;
            self.tally.bytes += record.length as u64;
            self.input_bytes += record.input_length as u64;
        }
    }

    /// Notes that the connection is lost. Open messages are to be sent again on the next one, with new numbers.
    pub(super) fn lose_connection(&mut self) {
        for entry in &mut self.entries {
            if entry.state == RecordState::Open {
                entry.state = RecordState::InDoubt;
                self.bytes -= entry.record.length;
            }
        }
        self.open = 0;
        self.sent = Unconfirmed::default();
        self.next_to_send = self.first;
        self.pass_over_sent();
    }

    /// Notes that a message was returned. Returns which one it was, if that is known.
    pub(super) fn take_back(&mut self, fingerprint: u64) -> Option<RecordId> {
        let found = self.find_returned(fingerprint);
        match found {
            Some(id) if self.is_open(id) => self.settle(id, RecordState::Returned),
            // The broker rejected it before.
            Some(id) => {
                if let Some(entry) = self.entry_mut(id) {
                    entry.state = RecordState::Returned;
                    self.tally.rejected -= 1;
                    self.tally.returned += 1;
                }
            }
            None => self.tally.returned += 1,
        }
        self.forget_settled();
        found
    }

    /// Which message was returned: the first open one with this fingerprint, else a rejected one with it. If the broker has changed
    /// the message, it is the first open one that may be returned.
    fn find_returned(&self, fingerprint: u64) -> Option<RecordId> {
        let is_it = |id: &RecordId| self.fingerprint(*id) == Some(fingerprint);
        let may_be_it = |id: &RecordId| self.fingerprint(*id).is_some();
        let mut open = self.sent.iter().copied().filter(|id| self.is_open(*id));
        let mut rejected = (self.first..)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.state == RecordState::Rejected)
            .map(|(id, _)| id);
        open.clone()
            .find(is_it)
            .or_else(|| rejected.find(is_it))
            .or_else(|| open.find(may_be_it))
    }

    /// What a record is recognised by when it is returned.
    pub(super) fn fingerprint(&self, id: RecordId) -> Option<u64> {
        self.entry(id)?.record.fingerprint
    }

    /// Notes a confirm. Returns the first message that it rejects, if any.
    pub(super) fn apply(&mut self, confirmation: Confirmation) -> Option<RecordId> {
        let (numbers, state) = match confirmation {
            Confirmation::Acked(numbers) => (numbers, RecordState::Confirmed),
            Confirmation::Nacked(numbers) => (numbers, RecordState::Rejected),
        };
        let mut first_rejected = None;
        for id in self.sent.answered(numbers) {
            if self.is_open(id) {
                self.settle(id, state);
                if state == RecordState::Rejected {
                    first_rejected.get_or_insert(id);
                }
            }
        }
        self.forget_settled();
        first_rejected
    }

    /// Sets the final state of an open message.
    fn settle(&mut self, id: RecordId, state: RecordState) {
        let Some(entry) = self.entry_mut(id) else {
            return;
        };
        entry.state = state;
        let input_length = entry.record.input_length as u64;
        self.open -= 1;
        match state {
            RecordState::Confirmed => {
                self.tally.confirmed += 1;
                self.input_bytes += input_length;
            }
            RecordState::Returned => self.tally.returned += 1,
            RecordState::Rejected => self.tally.rejected += 1,
            RecordState::Unsent | RecordState::InDoubt | RecordState::Open => {}
        }
    }

    fn forget_settled(&mut self) {
        while let Some(entry) = self.entries.front()
            && entry.state == RecordState::Confirmed
        {
            self.bytes -= entry.record.length;
            self.entries.pop_front();
            self.first += 1;
        }
        self.pass_over_sent();
    }

    fn entry(&self, id: RecordId) -> Option<&Entry> {
        self.entries
            .get(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    fn entry_mut(&mut self, id: RecordId) -> Option<&mut Entry> {
        self.entries
            .get_mut(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    /// Whether the counters agree with the entries.
    pub(super) fn is_consistent(&self) -> bool {
        let open = |entry: &&Entry| entry.state == RecordState::Open;
        let sent = |entry: &&Entry| !entry.is_to_be_sent();
        let bytes = self
            .entries
            .iter()
            .filter(sent)
            .map(|entry| entry.record.length);
        self.entries.iter().filter(open).count() == self.open
            && bytes.sum::<usize>() == self.bytes
            && self.sent.iter().filter(|id| self.is_open(**id)).count() == self.open
    }
}

#[cfg(test)]
mod tests;

//! What a record is made of, under its number, for as long as the core may speak of it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::Template;
use crate::publish::input::records::{Body, Location, Record};
use crate::publish::run::RecordId;

/// The records from the first one on that is not confirmed.
pub(super) struct UnconfirmedRecords {
    /// The number of the first of them.
    first: RecordId,
    records: VecDeque<UnconfirmedRecord>,
    /// Where the last one stands that was confirmed with all before it.
    confirmed_up_to: Option<Location>,
}

/// A record that is not confirmed.
pub(super) struct UnconfirmedRecord {
    location: Location,
    pub(super) template: Arc<Template>,
    /// Nothing once it was sent, where it is not sent again.
    pub(super) body: Option<Body>,
}

impl UnconfirmedRecords {
    pub(super) fn new() -> UnconfirmedRecords {
        UnconfirmedRecords {
            first: 1,
            records: VecDeque::new(),
            confirmed_up_to: None,
        }
    }

    /// Takes in the next record.
    pub(super) fn push(&mut self, record: Record) {
        self.records.push_back(UnconfirmedRecord {
            location: record.location,
            template: record.template,
            body: Some(record.body),
        });
    }

    pub(super) fn get_mut(&mut self, id: RecordId) -> Option<&mut UnconfirmedRecord> {
        let index = usize::try_from(id.checked_sub(self.first)?).ok()?;
        self.records.get_mut(index)
    }

    /// Where the first record stands that is not confirmed.
    pub(super) fn first_location(&self) -> Option<&Location> {
        self.records.front().map(|record| &record.location)
    }

    /// Where this record stands, or the last one before it that was confirmed, if it is not here any more.
    pub(super) fn location(&self, id: RecordId) -> Option<&Location> {
        match id.checked_sub(self.first) {
            Some(index) => Some(&self.records.get(usize::try_from(index).ok()?)?.location),
            None => self.confirmed_up_to.as_ref(),
        }
    }

    /// Lets go of all records before this one.
    pub(super) fn forget_before(&mut self, id: RecordId) {
        while self.first < id
            && let Some(record) = self.records.pop_front()
        {
            self.first += 1;
            self.confirmed_up_to = Some(record.location);
        }
    }
}

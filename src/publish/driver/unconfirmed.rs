//! The bodies and locations of unconfirmed records, under their numbers.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::broker::Template;
use crate::publish::input::records::{Location, Record};
use crate::publish::run::RecordId;

/// The records from the first unconfirmed one on.
pub(super) struct UnconfirmedRecords {
    /// The number of the first of them.
    first: RecordId,
    records: VecDeque<UnconfirmedRecord>,
    /// The location of the last record that is confirmed with all before it.
    confirmed_up_to: Option<Location>,
}

/// A record that is not confirmed.
pub(super) struct UnconfirmedRecord {
    location: Location,
    pub(super) template: Arc<Template>,
    /// Dropped once it was sent, if it is never sent again.
    pub(super) body: Option<Bytes>,
}

impl UnconfirmedRecords {
    pub(super) fn new() -> UnconfirmedRecords {
        UnconfirmedRecords {
            first: 1,
            records: VecDeque::new(),
            confirmed_up_to: None,
        }
    }

    /// Adds the next record.
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

    /// The location of the first unconfirmed record.
    pub(super) fn first_location(&self) -> Option<&Location> {
        self.records.front().map(|record| &record.location)
    }

    /// The location of this record or, if it is confirmed, that of the last confirmed one.
    pub(super) fn location(&self, id: RecordId) -> Option<&Location> {
        match id.checked_sub(self.first) {
            Some(index) => Some(&self.records.get(usize::try_from(index).ok()?)?.location),
            None => self.confirmed_up_to.as_ref(),
        }
    }

    /// Drops all records before this one.
    pub(super) fn forget_before(&mut self, id: RecordId) {
        while self.first < id
            && let Some(record) = self.records.pop_front()
        {
            self.first += 1;
            self.confirmed_up_to = Some(record.location);
        }
    }
}

//! Chunks to records: each is a message's body, the template of its message, and the place that it came from.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::chunks::record_length;
use super::options::{Address, LineEnd, PublishOptions, Records};
use super::reader::{Bytes, Chunk, Origin};
use crate::broker::{Error, Template};

/// A message to be.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) template: Arc<Template>,
    pub(super) body: Body,
}

/// Where a record stands in the input.
#[derive(Clone, Debug)]
pub(super) struct Place {
    origin: Arc<Origin>,
    /// From 1, within its origin.
    record: u64,
}

impl fmt::Display for Place {
    /// `FILE:RECORD`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin.name, self.record)
    }
}

/// A message's body: a part of a chunk, not copied.
#[derive(Clone)]
pub(super) struct Body {
    bytes: Arc<Bytes>,
    range: Range<usize>,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes.content[self.range.clone()]
    }
}

/// Makes records of the chunks that it is given.
pub(super) struct RecordMaker {
    records: Records,
    template: Arc<Template>,
    open: Option<OpenChunk>,
    /// Of the last record made.
    last: Option<Place>,
}

/// A chunk that still has records.
struct OpenChunk {
    chunk: Chunk,
    /// How many of its bytes have become records.
    done: usize,
}

impl RecordMaker {
    pub(super) fn new(records: Records, options: &PublishOptions) -> Result<RecordMaker, Error> {
        let Address::Given {
            exchange,
            routing_key,
        } = &options.address;
        let unroutable = options.routing.unroutable(exchange);
        let template = Template::new(exchange, routing_key, &options.properties, unroutable)?;
        Ok(RecordMaker {
            records,
            template: Arc::new(template),
            open: None,
            last: None,
        })
    }

    /// Takes the next chunk. All records of the one before must have been made.
    pub(super) fn accept(&mut self, chunk: Chunk) {
        debug_assert!(self.open.is_none());
        self.open = Some(OpenChunk { chunk, done: 0 });
    }

    /// The next record of the chunk at hand, if it has one.
    pub(super) fn next(&mut self) -> Option<Record> {
        let open = self.open.as_mut()?;
        let place = Place::after(self.last.as_ref(), &open.chunk.origin);
        let range = open.next_range(self.records);
        let body = Body {
            bytes: Arc::clone(&open.chunk.bytes),
            range,
        };
        if open.is_done() {
            self.open = None;
        }
        self.last = Some(place.clone());
        Some(Record {
            place,
            template: Arc::clone(&self.template),
            body,
        })
    }

    /// Where the next record stands, as far as it is known that there is one.
    pub(super) fn next_place(&self) -> Option<Place> {
        let open = self.open.as_ref()?;
        Some(Place::after(self.last.as_ref(), &open.chunk.origin))
    }
}

impl Place {
    fn after(last: Option<&Place>, origin: &Arc<Origin>) -> Place {
        let record = match last {
            Some(last) if Arc::ptr_eq(&last.origin, origin) => last.record + 1,
            _ => 1,
        };
        Place {
            origin: Arc::clone(origin),
            record,
        }
    }
}

impl OpenChunk {
    /// Where the next record's body is. The record itself may be longer by its delimiter.
    fn next_range(&mut self, records: Records) -> Range<usize> {
        let start = self.done;
        let rest = &self.chunk.bytes.content[start..];
        self.done += match records.delimiter() {
            Some(delimiter) => record_length(rest, delimiter),
            None => rest.len(),
        };
        let record = &self.chunk.bytes.content[start..self.done];
        let body = match records {
            Records::Lines(LineEnd::Chomped) => record.strip_suffix(b"\n").unwrap_or(record),
            Records::Whole | Records::Lines(LineEnd::Kept) => record,
        };
        start..start + body.len()
    }

    fn is_done(&self) -> bool {
        self.done == self.chunk.bytes.content.len()
    }
}

//! Chunks become records: a message's body, the template of the message, and the location in the input.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::chunks::record_length;
use super::digest::Digest;
use super::reader::{Chunk, Origin, RecordPosition, StartPosition};
use super::template::TemplateMaker;
use crate::broker::Template;
use crate::envelope;
use crate::publish::options::Records;
use crate::reason::printable;

/// A message that is to be published.
#[derive(Clone)]
pub(in crate::publish) struct Record {
    pub(in crate::publish) location: Location,
    pub(in crate::publish) template: Arc<Template>,
    /// A part of a chunk, without a copy, or bytes of its own.
    pub(in crate::publish) body: Bytes,
    /// Its size in the input in bytes.
    pub(in crate::publish) input_length: usize,
}

/// The location of a record in the inputs.
#[derive(Clone, Debug)]
pub(in crate::publish) struct Location {
    pub(in crate::publish) origin: Arc<Origin>,
    pub(in crate::publish) position: RecordPosition,
    /// The offset behind it.
    pub(in crate::publish) end: u64,
    /// The digest of all input up to its end, if digests are taken.
    pub(in crate::publish) digest: Digest,
}

impl fmt::Display for Location {
    /// `FILE:RECORD`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = printable(&self.origin.name.display().to_string());
        write!(f, "{name}:{}", self.position.record)
    }
}

/// What UTF-8 text may begin with, and no JSON does.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Makes records of chunks.
pub(in crate::publish) struct RecordMaker {
    records: Records,
    templates: TemplateMaker,
    /// Whether the locations of records have digests.
    takes_digests: bool,
    /// Of all that has become records.
    digest: Digest,
    /// An empty line among envelopes: nothing if it is the last, else an error.
    empty_line: Option<Location>,
    chunk: Option<OpenChunk>,
    /// The location of the next record, if there is one.
    cursor: Option<Location>,
    /// Whether the record at the cursor cannot be read.
    is_stuck: bool,
}

/// A chunk that has more records.
struct OpenChunk {
    chunk: Chunk,
    /// How many of its bytes have become records.
    done: usize,
}

impl RecordMaker {
    pub(in crate::publish) fn new(
        records: Records,
        templates: TemplateMaker,
        takes_digests: bool,
        start: StartPosition,
    ) -> RecordMaker {
        RecordMaker {
            records,
            templates,
            takes_digests,
            digest: start.digest,
            empty_line: None,
            chunk: None,
            cursor: None,
            is_stuck: false,
        }
    }

    /// Takes the next chunk. The one before must have no more records.
    pub(in crate::publish) fn accept(&mut self, chunk: Chunk) {
        debug_assert!(self.chunk.is_none());
        self.turn_to(&chunk.origin);
        self.chunk = Some(OpenChunk { chunk, done: 0 });
    }

    /// Notes that `origin` cannot be read any further.
    pub(in crate::publish) fn get_stuck_at(&mut self, origin: &Arc<Origin>) {
        self.turn_to(origin);
        self.is_stuck = true;
    }

    /// The next record of the present chunk, if it has one.
    pub(in crate::publish) fn next(&mut self) -> Result<Option<Record>, String> {
        while let (Some(chunk), Some(cursor)) = (&self.chunk, &self.cursor) {
            let range = chunk.next_record(self.records);
            let length = range.len();
            let location = self.location(chunk, cursor, range.clone());
            let digest = location.digest;
            if self.is_empty_line(chunk, cursor, range.clone()) {
                self.empty_line.get_or_insert(location);
                self.advance(length, digest);
                continue;
            }
            if let Some(location) = self.empty_line.take() {
                if let Some(cursor) = &mut self.cursor {
                    cursor.position = location.position;
                }
                return Err(format!("{location}: an empty line, which is no JSON"));
            }
            let record = self.record(chunk, location, range)?;
            self.advance(length, digest);
            return Ok(Some(record));
        }
        Ok(None)
    }

    /// The location of the next record, if it is known that there is one.
    pub(in crate::publish) fn next_location(&self) -> Option<Location> {
        let cursor = self.cursor.as_ref()?;
        (self.chunk.is_some() || self.is_stuck).then(|| cursor.clone())
    }

    fn turn_to(&mut self, origin: &Arc<Origin>) {
        let stays = self
            .cursor
            .as_ref()
            .is_some_and(|cursor| Arc::ptr_eq(&cursor.origin, origin));
        if !stays {
            self.empty_line = None;
            if origin.first == RecordPosition::FIRST {
                self.digest = self.digest.and_input(&origin.name);
            }
            self.cursor = Some(Location {
                origin: Arc::clone(origin),
                position: origin.first,
                end: origin.first.offset,
                digest: Digest::EMPTY,
            });
        }
    }

    fn location(&self, chunk: &OpenChunk, cursor: &Location, range: Range<usize>) -> Location {
        let end = cursor.position.offset + range.len() as u64;
        let digest = if self.takes_digests {
            self.digest.and(&chunk.chunk.bytes[range])
        } else {
            Digest::EMPTY
        };
        Location {
            end,
            digest,
            ..cursor.clone()
        }
    }

    /// Whether there is nothing where an envelope should be.
    fn is_empty_line(&self, chunk: &OpenChunk, cursor: &Location, range: Range<usize>) -> bool {
        let line = &chunk.chunk.bytes[range];
        self.records == Records::Envelopes
            && text_of(line, cursor.position.offset)
                .trim_ascii()
                .is_empty()
    }

    fn record(
        &self,
        chunk: &OpenChunk,
        location: Location,
        range: Range<usize>,
    ) -> Result<Record, String> {
        let input_length = range.len();
        match self.message(chunk, &location, range) {
            Ok((template, body)) => Ok(Record {
                location,
                template,
                body,
                input_length,
            }),
            Err(reason) => Err(format!("{location}: {reason}")),
        }
    }

    fn message(
        &self,
        chunk: &OpenChunk,
        location: &Location,
        range: Range<usize>,
    ) -> Result<(Arc<Template>, Bytes), String> {
        let bytes = &chunk.chunk.bytes;
        if self.records == Records::Envelopes {
            let line = text_of(&bytes[range], location.position.offset);
            let envelope = envelope::from_json_line(line).map_err(|error| error.to_string())?;
            let template = self.templates.for_envelope(&envelope, location)?;
            return Ok((template, envelope.body.into()));
        }
        let body = bytes.slice(self.records.body_of(bytes, range));
        Ok((self.templates.for_body(&body, location)?, body))
    }

    fn advance(&mut self, length: usize, digest: Digest) {
        self.digest = digest;
        if let Some(cursor) = &mut self.cursor {
            cursor.position.record += 1;
            cursor.position.offset += length as u64;
        }
        self.chunk = self.chunk.take().and_then(|chunk| chunk.without(length));
    }
}

/// A line without the byte order mark that its file may begin with.
fn text_of(line: &[u8], offset: u64) -> &[u8] {
    match offset {
        0 => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line),
        _ => line,
    }
}

impl OpenChunk {
    /// The range of the next record, with its delimiter.
    fn next_record(&self, records: Records) -> Range<usize> {
        let rest = &self.chunk.bytes[self.done..];
        let length = match records.delimiter() {
            Some(delimiter) => record_length(rest, delimiter),
            None => rest.len(),
        };
        self.done..self.done + length
    }

    /// The chunk without its next `length` bytes, if it has more.
    fn without(mut self, length: usize) -> Option<OpenChunk> {
        self.done += length;
        (self.done < self.chunk.bytes.len()).then_some(self)
    }
}

impl Records {
    /// The part of a record that is the message's body.
    fn body_of(self, content: &[u8], record: Range<usize>) -> Range<usize> {
        let dropped = match self {
            Records::ChompedLines => Some(b'\n'),
            Records::NulTerminated => Some(b'\0'),
            Records::Whole | Records::Lines | Records::Envelopes => None,
        };
        let bytes = &content[record.clone()];
        if dropped.is_some() && bytes.last().copied() == dropped {
            record.start..record.end - 1
        } else {
            record
        }
    }
}

//! The thread that reads the inputs, so that a wait for input does not delay the broker's answers, and the other way round.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::chunks::Chunks;
use super::digest::Digest;
use super::names::{Input, Inputs};
use super::recheck::{Behind, Changed, Recheck};
use super::source_file::SourceFile;
use crate::publish::options::{BodySource, Records};

/// How many chunks of lines may wait to be published. One holds many lines.
const CHUNKS_OF_LINES_AHEAD: usize = 2;

/// How many files may wait to be published. A small file is one chunk, and switching threads for each would take longer than reading
/// it.
const FILES_AHEAD: usize = 32;

/// A longer chunk is published before the next one is read, so that only one large record is in memory.
const LARGE: usize = 256 << 10;

/// Whole records of one input.
pub(in crate::publish) struct Chunk {
    pub(in crate::publish) origin: Arc<Origin>,
    /// Shared by the messages that are made of them.
    pub(in crate::publish) bytes: Bytes,
}

/// The input of a chunk.
#[derive(Debug)]
pub(in crate::publish) struct Origin {
    /// As it was given.
    pub(in crate::publish) name: OsString,
    /// How many inputs come before it.
    pub(in crate::publish) index: u64,
    /// The position where reading began.
    pub(in crate::publish) first: RecordPosition,
}

/// The position of a record in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) struct RecordPosition {
    /// Its number, from 1.
    pub(in crate::publish) record: u64,
    /// The offset of its first byte.
    pub(in crate::publish) offset: u64,
}

/// The bytes of a large chunk. The receipt is disconnected when they are dropped.
struct WithReceipt(Vec<u8>, #[expect(dead_code)] Sender<()>);

/// Why an input could not be read to its end.
pub(in crate::publish) struct ReadFailure {
    /// The input, if it is not the list of inputs that could not be read.
    pub(in crate::publish) origin: Option<Arc<Origin>>,
    pub(in crate::publish) error: anyhow::Error,
}

/// Where publishing begins. What comes before is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) struct StartPosition {
    /// How many inputs are skipped.
    pub(in crate::publish) input: u64,
    /// Where in the next one.
    pub(in crate::publish) position: RecordPosition,
    /// Of all that comes before.
    pub(in crate::publish) digest: Digest,
}

impl StartPosition {
    /// The beginning of the first input.
    pub(in crate::publish) const BEGINNING: StartPosition = StartPosition {
        input: 0,
        position: RecordPosition::FIRST,
        digest: Digest::EMPTY,
    };
}

impl RecordPosition {
    pub(in crate::publish) const FIRST: RecordPosition = RecordPosition {
        record: 1,
        offset: 0,
    };
}

impl AsRef<[u8]> for WithReceipt {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Starts reading. Chunks arrive on the channel in order. Nothing follows the first error.
pub(in crate::publish) fn start(
    source: BodySource,
    start: StartPosition,
) -> io::Result<Receiver<Result<Chunk, ReadFailure>>> {
    let ahead = match &source {
        BodySource::Argument(_) => 1,
        BodySource::Inputs(_, records) if records.delimiter().is_some() => CHUNKS_OF_LINES_AHEAD,
        BodySource::Inputs(..) => FILES_AHEAD,
    };
    let (chunks, receiver) = bounded(ahead);
    match source {
        BodySource::Argument(body) => {
            let origin = Arc::new(Origin {
                name: "--body".into(),
                index: 0,
                first: RecordPosition::FIRST,
            });
            let bytes = body.into();
            // There is room for one.
            let _ = chunks.send(Ok(Chunk { origin, bytes }));
        }
        BodySource::Inputs(inputs, records) => {
            let reader = Reader { chunks, records };
            thread::Builder::new()
                .name("reader".to_owned())
                .spawn(move || reader.read_all(&inputs, start))?;
        }
    }
    Ok(receiver)
}

struct Reader {
    chunks: Sender<Result<Chunk, ReadFailure>>,
    records: Records,
}

/// Each step returns `None` if reading failed, or the records are not wanted any more.
impl Reader {
    fn read_all(&self, inputs: &Inputs, start: StartPosition) -> Option<()> {
        let mut recheck = Recheck::new(self.records);
        let mut count = 0;
        for (index, input) in (0..).zip(inputs.names()) {
            count += 1;
            let input = input.map_err(|error| self.give_up(None, error)).ok()?;
            if index < start.input {
                self.read_again(&input, &mut recheck)?;
                continue;
            }
            let is_begun = index == start.input && start != StartPosition::BEGINNING;
            let first = if is_begun {
                start.position
            } else {
                RecordPosition::FIRST
            };
            let name = input.name();
            let origin = Arc::new(Origin { name, index, first });
            let unread = |error| self.give_up(Some(&origin), error);
            let mut source = input.source().map_err(unread).ok()?;
            let behind = if is_begun {
                recheck
                    .read_part(&origin.name, &mut source, start)
                    .map_err(|changed| self.refuse(&input, changed))
                    .ok()?
            } else {
                Behind::More
            };
            if behind == Behind::More {
                self.read(&input, source, &origin)?;
            }
        }
        if start != StartPosition::BEGINNING && count <= start.input {
            let confirmed = start.input + 1;
            let there = count;
            self.give_up(None, Changed::InputsMissing { there, confirmed });
        }
        Some(())
    }

    fn read_again(&self, input: &Input, recheck: &mut Recheck) -> Option<()> {
        let unread = |error| self.give_up(None, error);
        let mut source = input.source().map_err(unread).ok()?;
        recheck
            .read_whole(&input.name(), &mut source)
            .map_err(|error| self.give_up(None, input.failed(&error)))
            .ok()
    }

    fn refuse(&self, input: &Input, changed: Changed) {
        match changed {
            Changed::Unread(error) => self.give_up(None, input.failed(&error)),
            changed => self.give_up(None, changed),
        }
    }

    fn read(&self, input: &Input, mut source: SourceFile, origin: &Arc<Origin>) -> Option<()> {
        let failed = |error: io::Error| self.give_up(Some(origin), input.failed(&error));
        let Some(delimiter) = self.records.delimiter() else {
            let mut content = Vec::new();
            if let Ok(size) = usize::try_from(source.size()) {
                // Where memory cannot be had for all of it at once, reading says so.
                let _ = content.try_reserve_exact(size);
            }
            source.read_to_end(&mut content).map_err(failed).ok()?;
            return self.hand_over(origin, content);
        };
        let mut chunks = Chunks::of(source, delimiter);
        while let Some(chunk) = chunks.next().map_err(failed).ok()? {
            self.hand_over(origin, chunk)?;
        }
        Some(())
    }

    fn hand_over(&self, origin: &Arc<Origin>, content: Vec<u8>) -> Option<()> {
        let origin = Arc::clone(origin);
        if content.len() <= LARGE {
            let bytes = content.into();
            return self.chunks.send(Ok(Chunk { origin, bytes })).ok();
        }
        let (receipt, dropped) = bounded(0);
        let bytes = Bytes::from_owner(WithReceipt(content, receipt));
        self.chunks.send(Ok(Chunk { origin, bytes })).ok()?;
        // Ends when the bytes are dropped. Nothing is ever sent.
        let _: Result<(), _> = dropped.recv();
        Some(())
    }

    fn give_up(&self, origin: Option<&Arc<Origin>>, error: impl Into<anyhow::Error>) {
        let origin = origin.map(Arc::clone);
        let error = error.into();
        let _ = self.chunks.send(Err(ReadFailure { origin, error }));
    }
}

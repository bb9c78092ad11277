//! The thread that reads the inputs, so that a wait for input does not delay the broker's answers, and the other way round.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::chunks::Chunks;
use super::names::{Input, Inputs, ReadError};
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
    pub(in crate::publish) bytes: Arc<Bytes>,
}

/// The input of a chunk.
#[derive(Debug)]
pub(in crate::publish) struct Origin {
    /// Its name, for errors.
    pub(in crate::publish) name: String,
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

/// A chunk's bytes, shared by the messages that are made of them.
pub(in crate::publish) struct Bytes {
    pub(in crate::publish) content: Vec<u8>,
    /// Disconnected when the bytes are dropped.
    _receipt: Option<Sender<()>>,
}

/// Why an input could not be read to its end.
pub(in crate::publish) struct ReadFailure {
    /// The input, if it is not the list of inputs that could not be read.
    pub(in crate::publish) origin: Option<Arc<Origin>>,
    pub(in crate::publish) error: ReadError,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) struct StartPosition {
    /// How many inputs are skipped.
    pub(in crate::publish) input: u64,
    /// Where in the next one.
    pub(in crate::publish) position: RecordPosition,
}

impl StartPosition {
    /// The beginning of the first input.
    pub(in crate::publish) const BEGINNING: StartPosition = StartPosition {
        input: 0,
        position: RecordPosition::FIRST,
    };
}

impl RecordPosition {
    pub(in crate::publish) const FIRST: RecordPosition = RecordPosition {
        record: 1,
        offset: 0,
    };
}

impl Bytes {
    /// Bytes that the reader does not wait for.
    pub(in crate::publish) fn new(content: Vec<u8>) -> Bytes {
        Bytes {
            content,
            _receipt: None,
        }
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
                name: "--body".to_owned(),
                index: 0,
                first: RecordPosition::FIRST,
            });
            let bytes = Arc::new(Bytes::new(body));
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
        for (index, input) in (0..).zip(inputs.names()) {
            let input = input.map_err(|error| self.give_up(None, error)).ok()?;
            let first = if index == start.input {
                start.position
            } else {
                RecordPosition::FIRST
            };
            if index >= start.input {
                let name = input.to_string();
                let origin = Arc::new(Origin { name, index, first });
                self.read(&input, &origin)?;
            }
        }
        Some(())
    }

    fn read(&self, input: &Input, origin: &Arc<Origin>) -> Option<()> {
        let unread = |error| self.give_up(Some(origin), error);
        let failed = |error: io::Error| unread(input.failed(&error));
        let mut file = input.open().map_err(unread).ok()?;
        skip(&mut file, origin.first.offset).map_err(failed).ok()?;
        let Some(delimiter) = self.records.delimiter() else {
            let mut content = Vec::new();
            file.read_to_end(&mut content).map_err(failed).ok()?;
            return self.hand_over(origin, content);
        };
        let mut chunks = Chunks::of(file, delimiter);
        while let Some(chunk) = chunks.next().map_err(failed).ok()? {
            self.hand_over(origin, chunk)?;
        }
        Some(())
    }

    fn hand_over(&self, origin: &Arc<Origin>, content: Vec<u8>) -> Option<()> {
        let (receipt, dropped) = bounded(0);
        let large = content.len() > LARGE;
        let bytes = Arc::new(Bytes {
            content,
            _receipt: large.then_some(receipt),
        });
        let origin = Arc::clone(origin);
        self.chunks.send(Ok(Chunk { origin, bytes })).ok()?;
        if large {
            // Ends when the bytes are dropped. Nothing is ever sent.
            let _: Result<(), _> = dropped.recv();
        }
        Some(())
    }

    fn give_up(&self, origin: Option<&Arc<Origin>>, error: ReadError) {
        let origin = origin.map(Arc::clone);
        let _ = self.chunks.send(Err(ReadFailure { origin, error }));
    }
}

/// Skips the first bytes, by seeking in a file, else by reading.
fn skip(file: &mut File, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    if file.metadata()?.is_file() {
        let length = i64::try_from(length).map_err(io::Error::other)?;
        return file.seek(SeekFrom::Current(length)).map(drop);
    }
    io::copy(&mut file.take(length), &mut io::sink()).map(drop)
}

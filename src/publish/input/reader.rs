//! The thread that reads the inputs, so that waiting for input never keeps the broker's answers waiting, nor the other
//! way round.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::chunks::Chunks;
use super::names::{Input, Inputs, ReadError};
use crate::publish::options::{BodySource, Records};

/// How many chunks of lines may wait to be published: one holds many already.
const CHUNKS_OF_LINES_AHEAD: usize = 2;

/// The same for files. A small one is a chunk, and a change of threads for each would take longer than reading it.
const FILES_AHEAD: usize = 32;

/// A chunk longer than this is published before the next one is read, so that memory holds one large record, not many.
const LARGE: usize = 256 << 10;

/// Whole records of one input, in one piece.
pub(in crate::publish) struct Chunk {
    pub(in crate::publish) origin: Arc<Origin>,
    pub(in crate::publish) bytes: Arc<Bytes>,
}

/// What a chunk was read from.
#[derive(Debug)]
pub(in crate::publish) struct Origin {
    /// As errors name it.
    pub(in crate::publish) name: String,
    /// How many inputs come before it.
    pub(in crate::publish) index: u64,
    /// Where in it reading began.
    pub(in crate::publish) first: Position,
}

/// Where a record stands in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) struct Position {
    /// Its number, from 1.
    pub(in crate::publish) record: u64,
    /// The offset of its first byte.
    pub(in crate::publish) offset: u64,
}

/// A chunk's bytes, shared by the messages that are made of them.
pub(in crate::publish) struct Bytes {
    pub(in crate::publish) content: Vec<u8>,
    /// Disconnects when the bytes are dropped.
    _receipt: Option<Sender<()>>,
}

/// Why there are no more chunks, though there should be.
pub(in crate::publish) struct ReadFailure {
    /// What could not be read, if it is one of the inputs and not the list of them.
    pub(in crate::publish) origin: Option<Arc<Origin>>,
    pub(in crate::publish) error: ReadError,
}

/// Where chunks arrive, in order. The first error is the last thing that does.
pub(in crate::publish) type ChunkReceiver = Receiver<Result<Chunk, ReadFailure>>;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) struct StartPosition {
    /// How many inputs are skipped.
    pub(in crate::publish) input: u64,
    /// Where in the next one.
    pub(in crate::publish) position: Position,
}

impl StartPosition {
    /// At the very beginning.
    pub(in crate::publish) const BEGINNING: StartPosition = StartPosition {
        input: 0,
        position: Position::FIRST,
    };
}

impl Position {
    pub(in crate::publish) const FIRST: Position = Position {
        record: 1,
        offset: 0,
    };
}

impl Bytes {
    /// Bytes that nobody waits for the end of.
    pub(in crate::publish) fn new(content: Vec<u8>) -> Bytes {
        Bytes {
            content,
            _receipt: None,
        }
    }
}

/// Starts reading.
pub(in crate::publish) fn start(
    source: BodySource,
    start: StartPosition,
) -> io::Result<ChunkReceiver> {
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
                first: Position::FIRST,
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

/// Each step gives `None` where nobody wants to read on, or nobody can.
impl Reader {
    fn read_all(&self, inputs: &Inputs, start: StartPosition) -> Option<()> {
        for (index, input) in (0..).zip(inputs.names()) {
            let input = input.map_err(|error| self.give_up(None, error)).ok()?;
            let first = if index == start.input {
                start.position
            } else {
                Position::FIRST
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
            // Nothing is ever sent; this ends when the bytes are dropped.
            let _: Result<(), _> = dropped.recv();
        }
        Some(())
    }

    fn give_up(&self, origin: Option<&Arc<Origin>>, error: ReadError) {
        let origin = origin.map(Arc::clone);
        let _ = self.chunks.send(Err(ReadFailure { origin, error }));
    }
}

/// Passes over the first bytes of what is there to read: by seeking where that is possible, else by reading.
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

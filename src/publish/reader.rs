//! The thread that reads the inputs, so that waiting for input never keeps the broker's answers waiting, nor the other
//! way round.

use std::io::{self, Read};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::chunks::Chunks;
use super::input::Input;
use super::options::{Records, Source};

/// How many chunks may wait to be published.
const CHUNKS_AHEAD: usize = 4;

/// A chunk longer than this is published before the next one is read, so that memory holds one large record, not five.
const LARGE: usize = 4 << 20;

/// Whole records of one input, in one piece.
pub(super) struct Chunk {
    pub(super) origin: Arc<Origin>,
    pub(super) bytes: Arc<Bytes>,
}

/// What a chunk was read from.
#[derive(Debug)]
pub(super) struct Origin {
    /// As errors name it.
    pub(super) name: String,
}

/// A chunk's bytes, shared by the messages that are made of them.
pub(super) struct Bytes {
    pub(super) content: Vec<u8>,
    /// Disconnects when the bytes are dropped.
    _receipt: Option<Sender<()>>,
}

/// An input that could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[error("reading {name}: {error}")]
pub(super) struct ReadError {
    name: String,
    error: io::Error,
}

/// Nobody wants to read on.
struct Unwanted;

/// Where chunks arrive, in order. The first error is the last thing that does.
pub(super) type ChunkReceiver = Receiver<Result<Chunk, ReadError>>;

/// Starts reading.
pub(super) fn start(source: Source) -> io::Result<(ChunkReceiver, Records)> {
    let (chunks, receiver) = bounded(CHUNKS_AHEAD);
    let reader = Reader { chunks };
    let records = match source {
        Source::Argument(body) => {
            // There is room for one chunk.
            let _ = reader.hand_over(&Arc::new(Origin::named("--body")), body);
            Records::Whole
        }
        Source::Inputs(inputs, records) => {
            thread::Builder::new()
                .name("reader".to_owned())
                .spawn(move || {
                    let _ = inputs
                        .iter()
                        .try_for_each(|input| reader.read(input, records));
                })?;
            records
        }
    };
    Ok((receiver, records))
}

impl Origin {
    fn named(name: &str) -> Origin {
        Origin {
            name: name.to_owned(),
        }
    }
}

struct Reader {
    chunks: Sender<Result<Chunk, ReadError>>,
}

impl Reader {
    fn read(&self, input: &Input, records: Records) -> Result<(), Unwanted> {
        let origin = Arc::new(Origin::named(&input.to_string()));
        let failed = |error: io::Error| {
            let name = origin.name.clone();
            let _ = self.chunks.send(Err(ReadError { name, error }));
            Unwanted
        };
        let mut file = input.open().map_err(failed)?;
        let Some(delimiter) = records.delimiter() else {
            let mut content = Vec::new();
            file.read_to_end(&mut content).map_err(failed)?;
            return self.hand_over(&origin, content);
        };
        let mut chunks = Chunks::of(file, delimiter);
        while let Some(chunk) = chunks.next().map_err(failed)? {
            self.hand_over(&origin, chunk)?;
        }
        Ok(())
    }

    fn hand_over(&self, origin: &Arc<Origin>, content: Vec<u8>) -> Result<(), Unwanted> {
        let (receipt, dropped) = bounded(0);
        let large = content.len() > LARGE;
        let bytes = Arc::new(Bytes {
            content,
            _receipt: large.then_some(receipt),
        });
        let origin = Arc::clone(origin);
        self.chunks
            .send(Ok(Chunk { origin, bytes }))
            .map_err(|_| Unwanted)?;
        if large {
            // Nothing is ever sent; this ends when the bytes are dropped.
            let _: Result<(), _> = dropped.recv();
        }
        Ok(())
    }
}

//! Where records come from: chunks from the thread that reads, cut up.

use crossbeam_channel::{Receiver, TryRecvError};

use crate::publish::input::reader::{Chunk, ChunkReceiver, ReadFailure};
use crate::publish::input::records::{Location, Record, RecordMaker};
use crate::reason::chain;

/// The input, as far as it has been read.
pub(super) struct RecordSource {
    maker: RecordMaker,
    chunks: ChunkReceiver,
}

/// What there is of the input.
pub(super) enum Next {
    /// A record.
    Record(Record),
    /// Nothing now.
    Nothing,
    /// Nothing any more.
    End,
    /// The next one cannot be read, or is none, for this reason.
    Failed(String),
}

impl RecordSource {
    pub(super) fn new(maker: RecordMaker, chunks: ChunkReceiver) -> RecordSource {
        RecordSource { maker, chunks }
    }

    /// Where more comes from.
    pub(super) fn chunks(&self) -> &Receiver<Result<Chunk, ReadFailure>> {
        &self.chunks
    }

    /// Where the next record stands, as far as it is known that there is one.
    pub(super) fn next_location(&self) -> Option<Location> {
        self.maker.next_location()
    }

    /// What there is, without waiting.
    pub(super) fn next(&mut self) -> Next {
        loop {
            match self.maker.next() {
                Ok(Some(record)) => return Next::Record(record),
                Ok(None) => {}
                Err(bad) => return Next::Failed(bad.to_string()),
            }
            match self.chunks.try_recv() {
                Ok(Ok(chunk)) => self.maker.accept(chunk),
                Ok(Err(unread)) => return self.get_stuck(unread),
                Err(TryRecvError::Empty) => return Next::Nothing,
                Err(TryRecvError::Disconnected) if self.maker.misses_confirmed_record() => {
                    return Next::Failed(
                        "the inputs end before the place that the checkpoint calls confirmed"
                            .to_owned(),
                    );
                }
                Err(TryRecvError::Disconnected) => return Next::End,
            }
        }
    }

    fn get_stuck(&mut self, unread: ReadFailure) -> Next {
        if let Some(origin) = &unread.origin {
            self.maker.get_stuck_at(origin);
        }
        Next::Failed(chain(&unread.error.into()))
    }
}

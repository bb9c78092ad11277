//! The source of records: chunks from the reader thread, cut into records.

use crossbeam_channel::{Receiver, TryRecvError};

use crate::publish::input::reader::{Chunk, ChunkReceiver, ReadFailure};
use crate::publish::input::records::{Location, Record, RecordMaker};
use crate::reason::chain;

/// The input, as far as it has been read.
pub(super) struct RecordSource {
    maker: RecordMaker,
    chunks: ChunkReceiver,
}

/// What the input gives next.
pub(super) enum Next {
    /// A record.
    Record(Record),
    /// Nothing yet.
    Nothing,
    /// The input has ended.
    End,
    /// The next record cannot be read, or is malformed, for this reason.
    Failed(String),
}

impl RecordSource {
    pub(super) fn new(maker: RecordMaker, chunks: ChunkReceiver) -> RecordSource {
        RecordSource { maker, chunks }
    }

    /// The channel that chunks arrive on.
    pub(super) fn chunks(&self) -> &Receiver<Result<Chunk, ReadFailure>> {
        &self.chunks
    }

    /// The location of the next record, if it is known that there is one.
    pub(super) fn next_location(&self) -> Option<Location> {
        self.maker.next_location()
    }

    /// The next record, without waiting.
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

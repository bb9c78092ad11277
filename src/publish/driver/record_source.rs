//! The source of records: chunks from the reader thread, cut into records.

use crossbeam_channel::{Receiver, TryRecvError};

use crate::publish::input::reader::{Chunk, ReadFailure};
use crate::publish::input::records::{Location, Record, RecordMaker};
use crate::publish::run::Event;
use crate::reason::chain;

/// The input, as far as it has been read.
pub(super) struct RecordSource {
    maker: RecordMaker,
    chunks: Receiver<Result<Chunk, ReadFailure>>,
}

impl RecordSource {
    pub(super) fn new(
        maker: RecordMaker,
        chunks: Receiver<Result<Chunk, ReadFailure>>,
    ) -> RecordSource {
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

    /// The next record, without waiting, or the event for the core that says why there is none.
    pub(super) fn next(&mut self) -> Result<Record, Event> {
        loop {
            if let Some(record) = self.maker.next().map_err(Event::InputFailed)? {
                return Ok(record);
            }
            match self.chunks.try_recv() {
                Ok(Ok(chunk)) => self.maker.accept(chunk),
                Ok(Err(failure)) => return Err(self.get_stuck(&failure)),
                Err(TryRecvError::Empty) => return Err(Event::NoRecord),
                Err(TryRecvError::Disconnected) => return Err(Event::InputEnded),
            }
        }
    }

    fn get_stuck(&mut self, failure: &ReadFailure) -> Event {
        if let Some(origin) = &failure.origin {
            self.maker.get_stuck_at(origin);
        }
        Event::InputFailed(chain(&failure.error))
    }
}

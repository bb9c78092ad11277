//! Byte streams cut into chunks of whole records: each chunk is what one read gave, so that a record is handed on as
//! soon as it is there, and many short ones cost little.

use std::io::{self, Read};

/// How much is read at once: what a pipe holds.
const READ_SIZE: usize = 64 << 10;

/// Reads chunks of one or more records, each ended by a delimiter, the last one possibly by the end of the stream.
pub(super) struct Chunks<R> {
    source: R,
    delimiter: u8,
    scratch: Box<[u8]>,
    /// The beginning of a record whose end has not been read yet.
    begun: Vec<u8>,
}

impl<R: Read> Chunks<R> {
    pub(super) fn of(source: R, delimiter: u8) -> Chunks<R> {
        Chunks {
            source,
            delimiter,
            scratch: vec![0; READ_SIZE].into_boxed_slice(),
            begun: Vec::new(),
        }
    }

    /// The next chunk, or nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let length = match self.source.read(&mut self.scratch) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let read = &self.scratch[..length];
            if read.is_empty() {
                let last = std::mem::take(&mut self.begun);
                return Ok(Some(last).filter(|last| !last.is_empty()));
            }
            let Some(last_delimiter) = memchr::memrchr(self.delimiter, read) else {
                self.begun.extend_from_slice(read);
                continue;
            };
            let (ended, begun) = read.split_at(last_delimiter + 1);
            let mut chunk = std::mem::replace(&mut self.begun, begun.to_vec());
            chunk.extend_from_slice(ended);
            return Ok(Some(chunk));
        }
    }
}

/// The length of the first record in `bytes`, with its delimiter if it has one. `bytes` must not be empty.
pub(super) fn record_length(bytes: &[u8], delimiter: u8) -> usize {
    memchr::memchr(delimiter, bytes).map_or(bytes.len(), |position| position + 1)
}

//! Byte streams are cut into chunks of whole records. A chunk is the result of one read: so a record is available as soon as it is
//! read, and many short records cost little.

use std::io::{self, Read};

/// How much is read at once: the size of a pipe.
const READ_SIZE: usize = 64 << 10;

/// Reads chunks of one or more records, each ended by a delimiter, the last one possibly by the end of the stream.
pub(in crate::publish) struct Chunks<R> {
    source: R,
    delimiter: u8,
    scratch: Box<[u8]>,
    /// The beginning of a record whose end has not been read.
    begun: Vec<u8>,
}

impl<R: Read> Chunks<R> {
    pub(in crate::publish) fn of(source: R, delimiter: u8) -> Chunks<R> {
        Chunks {
            source,
            delimiter,
            scratch: vec![0; READ_SIZE].into_boxed_slice(),
            begun: Vec::new(),
        }
    }

    /// The next chunk, or `None` at the end.
    pub(in crate::publish) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
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
pub(in crate::publish) fn record_length(bytes: &[u8], delimiter: u8) -> usize {
    memchr::memchr(delimiter, bytes).map_or(bytes.len(), |position| position + 1)
}

/// All records of a stream, as publishing would cut it. Only public for the fuzzer.
#[doc(hidden)]
pub fn cut_into_records(source: impl Read, delimiter: u8) -> io::Result<Vec<Vec<u8>>> {
    let mut chunks = Chunks::of(source, delimiter);
    let mut records = Vec::new();
    while let Some(chunk) = chunks.next()? {
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let (record, behind) = rest.split_at(record_length(rest, delimiter));
            records.push(record.to_vec());
            rest = behind;
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Gives its bytes in pieces of these sizes, over and over.
    struct InPieces<'a> {
        bytes: &'a [u8],
        sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    }

    impl Read for InPieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.sizes.next().copied().unwrap_or(1);
            if size == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let (now, later) = self.bytes.split_at(size.min(self.bytes.len()));
            self.bytes = later;
            (&mut &now[..]).read(buffer)
        }
    }

    fn chunks_of(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let sizes = sizes.iter().cycle();
        let mut chunks = Chunks::of(InPieces { bytes, sizes }, b'\n');
        std::iter::from_fn(|| chunks.next().unwrap()).collect()
    }

    fn records_in(mut chunk: &[u8]) -> Vec<&[u8]> {
        let mut records = Vec::new();
        while !chunk.is_empty() {
            let (record, rest) = chunk.split_at(record_length(chunk, b'\n'));
            records.push(record);
            chunk = rest;
        }
        records
    }

    /// Bytes with many delimiters among them.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(b'\n'), Just(0), any::<u8>()], 0..300)
    }

    proptest! {
        #[test]
        fn records_are_what_a_simple_splitter_makes_of_the_whole(
            bytes in input(),
            sizes in vec(0usize..20, 1..10).prop_filter("some progress", |sizes| sizes.iter().any(|size| *size > 0)),
        ) {
            let chunks = chunks_of(&bytes, &sizes);
            let records: Vec<&[u8]> = chunks.iter().flat_map(|chunk| records_in(chunk)).collect();
            let expected: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            prop_assert_eq!(records, expected);
        }

        #[test]
        fn every_chunk_but_the_last_ends_with_a_record(bytes in input(), size in 1usize..20) {
            let chunks = chunks_of(&bytes, &[size]);
            prop_assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
            let but_the_last = chunks.split_last().map_or(&[][..], |(_, others)| others);
            prop_assert!(but_the_last.iter().all(|chunk| chunk.ends_with(b"\n")));
        }
    }

    #[test]
    fn a_record_is_handed_on_before_the_next_is_there() {
        assert_eq!(chunks_of(b"ab\ncd\n", &[3]), [b"ab\n", b"cd\n"]);
    }

    #[test]
    fn records_may_lie_on_and_be_longer_than_what_is_read_at_once() {
        for length in [READ_SIZE - 1, READ_SIZE, READ_SIZE + 1, 3 * READ_SIZE] {
            let mut bytes = vec![b'x'; length];
            bytes.extend_from_slice(b"\ny\n");
            let mut chunks = Chunks::of(&*bytes, b'\n');
            let mut all = Vec::new();
            while let Some(chunk) = chunks.next().unwrap() {
                assert!(chunk.ends_with(b"\n"));
                all.extend(chunk);
            }
            assert!(all == bytes, "{length}");
        }
    }

    #[test]
    fn a_failed_read_is_an_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        assert!(Chunks::of(Broken, b'\n').next().is_err());
    }
}

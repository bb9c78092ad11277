//! A file that is being read: one that becomes shorter meanwhile is an error, not an end.

use std::fs::File;
use std::io::{self, Read};

/// An open input.
pub(in crate::publish) struct SourceFile {
    file: File,
    /// How many bytes have been read.
    offset: u64,
    /// The largest size that a regular file has had since it was opened.
    size: Option<u64>,
}

impl SourceFile {
    pub(in crate::publish) fn new(file: File) -> io::Result<SourceFile> {
        let metadata = file.metadata()?;
        Ok(SourceFile {
            size: metadata.is_file().then_some(metadata.len()),
            offset: 0,
            file,
        })
    }

    /// How many bytes there are to read, as far as that is known.
    pub(in crate::publish) fn size(&self) -> u64 {
        self.size.unwrap_or(0)
    }
}

impl Read for SourceFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(size) = &mut self.size {
            *size = (*size).max(self.file.metadata()?.len());
        }
        let length = self.file.read(buffer)?;
        self.offset += length as u64;
        let ends_early = length == 0 && self.size.is_some_and(|size| self.offset < size);
        if ends_early && !buffer.is_empty() {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_that_becomes_shorter_has_no_end() {
        for left in [0, 2, 5] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(b"0123456789").unwrap();
            let mut source = SourceFile::new(file.reopen().unwrap()).unwrap();
            source.read_exact(&mut [0; 4]).unwrap();
            file.as_file().set_len(left).unwrap();
            let mut rest = Vec::new();
            assert!(source.read_to_end(&mut rest).is_err(), "{left}");
        }
    }

    #[test]
    fn a_file_that_becomes_longer_is_read_to_its_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"01").unwrap();
        let mut source = SourceFile::new(file.reopen().unwrap()).unwrap();
        source.read_exact(&mut [0; 2]).unwrap();
        file.write_all(b"23").unwrap();
        let mut rest = Vec::new();
        source.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"23");
    }
}

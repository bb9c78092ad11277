//! A wire for tests.

use std::io::{self, Write};

/// Takes a few bytes at a time, and nothing every other time.
#[derive(Default)]
pub(super) struct SlowWire {
    pub(super) written: Vec<u8>,
    is_full: bool,
}

impl Write for SlowWire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_full = !self.is_full;
        if self.is_full {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = bytes.len().min(5);
        self.written.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

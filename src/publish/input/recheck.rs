//! Going on behind a checkpoint: what was confirmed is read again, and must be what it was.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;

use super::digest::Digest;
use super::reader::StartPosition;
use crate::publish::options::Records;

/// How much is read at once.
const READ_SIZE: usize = 64 << 10;

const ANEW: &str = "without the checkpoint's file, publishing begins anew";

/// Why publishing cannot go on behind the checkpoint.
#[derive(Debug, thiserror::Error)]
pub(in crate::publish) enum Changed {
    #[error(
        "the input was edited: what is in {name} up to {place} is not what is confirmed; {ANEW}"
    )]
    Edited { name: String, place: String },
    #[error(
        "the input was edited: {name} goes on in record {record}, which is confirmed without that; {ANEW}"
    )]
    Continued { name: String, record: u64 },
    #[error(
        "the input was cut: {name} ends before record {record}, up to which all is confirmed; {ANEW}"
    )]
    Cut { name: String, record: u64 },
    #[error("the input was cut: {}, and {confirmed} are confirmed or begun; {ANEW}", inputs(*there))]
    InputsMissing { there: u64, confirmed: u64 },
    #[error(transparent)]
    Unread(#[from] io::Error),
}

/// Whether an input has records behind the place of the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) enum Behind {
    /// It may have.
    More,
    /// It has none.
    Nothing,
}

/// The digest of all inputs that have been read again.
pub(in crate::publish) struct Recheck {
    records: Records,
    digest: Digest,
}

impl Digest {
    /// The digest when another input begins. One without records never does.
    pub(in crate::publish) fn and_input(self, name: &OsStr) -> Digest {
        self.and(b"\0").and(name.as_bytes()).and(b"\0")
    }
}

impl Recheck {
    pub(in crate::publish) fn new(records: Records) -> Recheck {
        Recheck {
            records,
            digest: Digest::EMPTY,
        }
    }

    /// Reads an input that is confirmed to its end.
    pub(in crate::publish) fn read_whole(
        &mut self,
        name: &OsStr,
        source: &mut impl Read,
    ) -> io::Result<()> {
        let before = self.digest;
        self.digest = before.and_input(name);
        let read = self.read(source, u64::MAX)?;
        if read.length == 0 && self.records.delimiter().is_some() {
            self.digest = before;
        }
        Ok(())
    }

    /// Reads the confirmed part of the input in which the checkpoint's place is.
    pub(in crate::publish) fn read_part(
        &mut self,
        name: &OsStr,
        source: &mut impl Read,
        start: StartPosition,
    ) -> Result<Behind, Changed> {
        let shown = || name.display().to_string();
        let record = start.position.record - 1;
        self.digest = self.digest.and_input(name);
        let read = self.read(source, start.position.offset)?;
        if read.length < start.position.offset {
            return Err(Changed::Cut {
                name: shown(),
                record,
            });
        }
        if self.digest != start.digest {
            return Err(Changed::Edited {
                name: shown(),
                place: format!("record {record}"),
            });
        }
        let delimiter = self.records.delimiter();
        if delimiter.is_some() && read.last == delimiter {
            return Ok(Behind::More);
        }
        // The record ended with its input.
        match source.take(1).read_to_end(&mut Vec::new())? {
            0 => Ok(Behind::Nothing),
            _ => Err(Changed::Continued {
                name: shown(),
                record,
            }),
        }
    }

    /// Takes so many bytes into the digest, or all that there are.
    fn read(&mut self, source: &mut impl Read, length: u64) -> io::Result<Passed> {
        let mut passed = Passed {
            length: 0,
            last: None,
        };
        let mut buffer = vec![0; READ_SIZE];
        let mut source = source.take(length);
        loop {
            let length = match source.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let Some(last) = buffer[..length].last() else {
                return Ok(passed);
            };
            self.digest = self.digest.and(&buffer[..length]);
            passed.length += length as u64;
            passed.last = Some(*last);
        }
    }
}

fn inputs(count: u64) -> String {
    match count {
        1 => "there is 1 input".to_owned(),
        _ => format!("there are {count} inputs"),
    }
}

/// What has been read again.
struct Passed {
    length: u64,
    last: Option<u8>,
}

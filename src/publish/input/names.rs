//! Inputs by name: files, and `-` for standard input, named on the command line or in a list.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::source_file::SourceFile;
use crate::reason::reason;
use crate::system::closed;

/// A file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input, named `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// Inputs, one after the other.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// These inputs.
    Named(Vec<Input>),
    /// The files that a list names.
    Listed {
        /// What the list is read from.
        list: Input,
        /// What ends each name: a newline, or a NUL, which no file name contains.
        terminator: u8,
    },
}

/// An input that could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[error("reading {name}: {reason}")]
pub(in crate::publish) struct ReadError {
    pub(in crate::publish) name: String,
    pub(in crate::publish) reason: String,
}

impl Input {
    /// Opens it for reading records.
    pub(in crate::publish) fn source(&self) -> Result<SourceFile, ReadError> {
        SourceFile::new(self.open()?).map_err(|error| self.failed(&error))
    }

    /// Opens it for reading. A directory is refused here rather than at the first read.
    fn open(&self) -> Result<File, ReadError> {
        let file = match self {
            // Unbuffered: a line must not wait in a buffer for the next one.
            Input::Stdin => closed::ensure_stdin_open()
                .and_then(|()| io::stdin().as_fd().try_clone_to_owned())
                .map(File::from),
            Input::File(path) => File::open(path),
        };
        match file.and_then(|file| Ok((file.metadata()?.is_dir(), file))) {
            Ok((false, file)) => Ok(file),
            Ok((true, _)) => Err(self.failed(&io::ErrorKind::IsADirectory.into())),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Its size, if that is known before it is read.
    pub(in crate::publish) fn size(&self) -> Option<u64> {
        let metadata = match self {
            Input::Stdin => self.open().ok()?.metadata(),
            Input::File(path) => path.metadata(),
        };
        metadata
            .ok()
            .filter(Metadata::is_file)
            .map(|file| file.len())
    }

    /// As it was given.
    pub(in crate::publish) fn name(&self) -> OsString {
        match self {
            Input::Stdin => "-".into(),
            Input::File(path) => path.clone().into_os_string(),
        }
    }

    /// The error for an input that cannot be read.
    pub(in crate::publish) fn failed(&self, error: &io::Error) -> ReadError {
        ReadError {
            name: self.to_string(),
            reason: reason(error),
        }
    }
}

impl From<OsString> for Input {
    fn from(name: OsString) -> Self {
        if name == "-" {
            Input::Stdin
        } else {
            Input::File(name.into())
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("-"),
            Input::File(path) => path.display().fmt(f),
        }
    }
}

impl Inputs {
    /// The inputs in order, named one by one as the list is read. A list is opened again each time.
    pub(in crate::publish) fn names(
        &self,
    ) -> Box<dyn Iterator<Item = Result<Input, ReadError>> + Send> {
        match self {
            Inputs::Named(inputs) => Box::new(inputs.clone().into_iter().map(Ok)),
            Inputs::Listed { list, terminator } => match list.open() {
                Ok(file) => Box::new(ListReader {
                    list: list.clone(),
                    terminator: *terminator,
                    file: BufReader::new(file),
                    count: 0,
                }),
                Err(error) => Box::new(std::iter::once(Err(error))),
            },
        }
    }

    /// Whether their names can be read more than once.
    pub(in crate::publish) fn are_rereadable(&self) -> bool {
        match self {
            Inputs::Named(_) => true,
            Inputs::Listed { list, .. } => *list != Input::Stdin && list.size().is_some(),
        }
    }

    /// Whether standard input is among them, or is what they are listed on.
    #[must_use]
    pub fn come_from_stdin(&self) -> bool {
        match self {
            Inputs::Named(inputs) => inputs.contains(&Input::Stdin),
            Inputs::Listed { list, .. } => *list == Input::Stdin,
        }
    }
}

/// Reads names from a list.
struct ListReader {
    list: Input,
    terminator: u8,
    file: BufReader<File>,
    /// How many names were read.
    count: u64,
}

impl ListReader {
    fn next_name(&mut self) -> Result<Option<Input>, ReadError> {
        let mut name = Vec::new();
        self.file
            .read_until(self.terminator, &mut name)
            .map_err(|error| self.list.failed(&error))?;
        if name.is_empty() {
            return Ok(None);
        }
        self.count += 1;
        if name.last() == Some(&self.terminator) {
            name.pop();
        }
        if name.is_empty() {
            return Err(self.bad_name("an empty file name"));
        }
        if name.contains(&b'\0') {
            return Err(self.bad_name(
                "a NUL, which no file name has; give a list that has one behind each name with --files0-from",
            ));
        }
        Ok(Some(Input::File(OsStr::from_bytes(&name).into())))
    }

    fn bad_name(&self, reason: &str) -> ReadError {
        ReadError {
            name: format!("{}:{}", self.list, self.count),
            reason: reason.to_owned(),
        }
    }
}

impl Iterator for ListReader {
    type Item = Result<Input, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_name().transpose()
    }
}

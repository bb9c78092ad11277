//! Inputs by name: files, and standard input as `-`.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// A file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input, named `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// Opens it for reading. A directory is refused here rather than at the first read.
    pub(super) fn open(&self) -> io::Result<File> {
        let file = match self {
            // Unbuffered: a line must not wait in a buffer for the next one.
            Input::Stdin => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            Input::File(path) => File::open(path)?,
        };
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(file)
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

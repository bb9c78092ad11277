//! Standard output: whether it is open, and the formats of results on it.
//!
//! If standard output is closed at the start, Rust's runtime opens `/dev/null` in its place before `main`. Every write then succeeds,
//! and the data is lost. A tool that takes a message from a queue to write it there must know that before.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use rustix::io::fcntl_getfd;

static WAS_CLOSED_AT_START: AtomicBool = AtomicBool::new(false);

ctor::declarative::ctor! {
    /// Runs before Rust's runtime and uses nothing of it.
    #[ctor(unsafe)]
    fn look_before_the_runtime() {
        let is_closed = fcntl_getfd(rustix::stdio::stdout()).is_err();
        WAS_CLOSED_AT_START.store(is_closed, Ordering::Relaxed);
    }
}

/// An error if standard output was closed when this process started (`>&-`).
pub(crate) fn ensure_open() -> io::Result<()> {
    if WAS_CLOSED_AT_START.load(Ordering::Relaxed) {
        return Err(io::Error::other("it is closed"));
    }
    Ok(())
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As amqp-tools writes them.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Format {
    /// The format that `--json` chooses.
    #[must_use]
    pub fn of(json: bool) -> Format {
        if json { Format::Json } else { Format::Text }
    }
}

/// Prints a line at once, so that what was done is known even if the next thing fails.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("writing to standard output")
}

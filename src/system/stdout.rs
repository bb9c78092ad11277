//! Standard output: the formats of results on it, and printing a line.

use std::io::{self, Write};

use anyhow::Context;

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

//! Standard error: what the tool has to say while it works.

use std::io::{self, Write};

/// Prints a line, whole, on standard error.
pub(super) fn say(line: &str) {
    // If nobody can read it, the work goes on all the same.
    let _ = io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
}

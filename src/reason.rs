//! Errors in words, for the person at the terminal.

use std::io;

use errno::Errno;

/// The reason of an I/O error, without the error number that the standard library adds.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno(number).to_string(),
        None => error.to_string(),
    }
}

/// Why a connection ended, or could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionFailure {
    /// In words.
    pub reason: String,
    /// Whether a new connection may do better.
    pub is_transient: bool,
}

/// A text without control characters: names of files and words of brokers may have any.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .fold(String::new(), |mut printable, character| {
            if character.is_control() {
                printable.extend(character.escape_default());
            } else {
                printable.push(character);
            }
            printable
        })
}

/// An error and what it came of, in one line.
#[must_use]
pub fn chain(error: &anyhow::Error) -> String {
    let causes = error.chain().map(|cause| match cause.downcast_ref() {
        Some(error) => reason(error),
        None => cause.to_string(),
    });
    printable(&causes.collect::<Vec<_>>().join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn numbers_are_left_out_and_all_else_is_told() {
        let full = io::Error::from(rustix::io::Errno::NOSPC);
        assert_eq!(reason(&full), "No space left on device");
        let error = Err::<(), _>(full).context("writing").unwrap_err();
        assert_eq!(chain(&error), "writing: No space left on device");
        let by_ourselves = io::Error::other("no process id");
        assert_eq!(reason(&by_ourselves), "no process id");
        assert_eq!(chain(&anyhow::anyhow!("no queue")), "no queue");
        let hostile = anyhow::anyhow!("no queue '\u{1b}[2J\n\u{9b}ü'");
        assert_eq!(chain(&hostile), "no queue '\\u{1b}[2J\\n\\u{9b}ü'");
    }
}

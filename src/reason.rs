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

/// A text that shows what it is: names of files and words of brokers may have control characters, and some that reverse the text
/// or that nobody sees.
#[must_use]
pub fn printable(text: &str) -> String {
    escape(text, is_hidden)
}

/// The same for what may have several lines.
#[must_use]
pub fn printable_lines(lines: &str) -> String {
    escape(lines, |character| character != '\n' && is_hidden(character))
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        if is_escaped(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
        escaped
    })
}

/// Whether the standard library knows no visible sign for it: control and format characters, separators other than the space,
/// characters for private use or without a meaning. What combines with the character before it is visible behind one.
fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    let mut behind_another = [b'a'; 5];
    let length = character.encode_utf8(&mut behind_another[1..]).len();
    let text = std::str::from_utf8(&behind_another[..=length]);
    text.is_ok_and(|text| text.escape_debug().count() > 2)
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

    #[test]
    fn what_turns_a_text_round_or_is_not_seen_is_escaped() {
        for hidden in [
            '\u{85}',
            '\u{a0}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{3000}',
            '\u{e000}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            let text = format!("a{hidden}b");
            let number = u32::from(hidden);
            assert_eq!(printable(&text), format!("a\\u{{{number:x}}}b"));
        }
        let visible = "Größe e\u{301} \"it's\" C:\\x 日本 קובץ 📦";
        assert_eq!(printable(visible), visible);
        assert_eq!(printable_lines("a\nb\u{202e}\tc"), "a\nb\\u{202e}\\tc");
    }
}

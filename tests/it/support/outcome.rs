//! How a command ended and what it wrote, held against what it should have.

use std::fmt;

use super::command::Expectations;
use super::test::Test;

/// What must be on a stream.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    Exactly(Vec<u8>),
    Containing(Vec<String>),
    LineContaining(String),
    Anything,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exit(i32),
    Signal(i32),
}

/// A command that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) ended: Ended,
}

impl Finished {
    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// What is not as it should be, a line for each; nothing if all is well.
    pub(crate) fn complaints(&self, expected: &Expectations, ended: Option<Ended>) -> String {
        let ended = ended.filter(|ended| *ended != self.ended);
        let wrong_end = ended.map(|ended| {
            format!(
                "  it should have ended with {ended}, not with {}\n",
                self.ended
            )
        });
        let streams = [
            ("stdout", &self.stdout, &expected.stdout),
            ("stderr", &self.stderr, &expected.stderr),
        ];
        let wrong_streams = streams
            .into_iter()
            .filter(|(_, is, must)| !must.is_met_by(is))
            .map(|(stream, _, must)| format!("  {stream} should be {must}\n"));
        wrong_end.into_iter().chain(wrong_streams).collect()
    }

    /// The whole story of a failure.
    pub(crate) fn report(&self, test: &Test, line: &str, complaints: &str) -> String {
        let Self {
            stdout,
            stderr,
            ended,
        } = self;
        let (stdout, stderr) = (quote(stdout), quote(stderr));
        let queues = test.describe_queues();
        format!(
            "{line}\n{complaints}  {ended}\n  stdout: {stdout}\n  stderr: {stderr}\nqueues:\n{queues}"
        )
    }
}

impl Expected {
    pub(crate) fn also_containing(&mut self, text: String) {
        match self {
            Self::Containing(texts) => texts.push(text),
            _ => *self = Self::Containing(vec![text]),
        }
    }

    fn is_met_by(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        match self {
            Self::Exactly(exactly) => bytes == exactly,
            Self::Containing(parts) => parts.iter().all(|part| text.contains(part.as_str())),
            Self::LineContaining(part) => {
                text.ends_with('\n') && text.lines().count() == 1 && text.contains(part.as_str())
            }
            Self::Anything => true,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(bytes) => write!(f, "{}", quote(bytes)),
            Self::Containing(texts) => write!(f, "something with {texts:?} in it"),
            Self::LineContaining(text) => write!(f, "one line with {text:?} in it"),
            Self::Anything => write!(f, "anything"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "death by signal {signal}"),
        }
    }
}

/// The bytes as text in quotes, cut where they are too many to read.
fn quote(bytes: &[u8]) -> String {
    const MANY: usize = 4000;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(MANY)]).into_owned();
    match bytes.len() {
        0..=MANY => format!("{shown:?}"),
        all => format!("{shown:?}... ({all} bytes)"),
    }
}

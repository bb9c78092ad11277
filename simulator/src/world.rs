//! What a simulated world has to offer: a run that decisions determine, and that is judged.

use crate::choices::Choices;
use crate::reached::Reached;

/// A core among models of all that it deals with.
pub trait World {
    /// Its name on the command line.
    const NAME: &'static str;

    /// The situations that the runs must come to, taken together.
    const MARKS: &'static [&'static str];

    /// One run, from the beginning to the end. All that happens follows from `choices`. The error names the property that
    /// did not hold.
    fn run(
        choices: &mut Choices,
        reached: &mut Reached,
        transcript: &mut Transcript,
    ) -> Result<Stats, Failure>;
}

/// What there is to say of a run that went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many events the core was given.
    pub events: u64,
}

/// Something that must hold and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name. Shrinking looks for smaller runs in which the same does not hold.
    pub property: &'static str,
    /// What was seen instead.
    pub details: String,
}

impl Failure {
    /// That `property` does not hold.
    pub fn of(property: &'static str, details: impl Into<String>) -> Failure {
        Failure {
            property,
            details: details.into(),
        }
    }
}

/// What happened in a run, a line an event, if anybody wants to read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript(Option<String>);

impl Transcript {
    /// One that nobody reads and that costs nothing.
    #[must_use]
    pub fn unread() -> Transcript {
        Transcript(None)
    }

    /// One that is kept.
    #[must_use]
    pub fn kept() -> Transcript {
        Transcript(Some(String::new()))
    }

    /// Whether anybody reads it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Adds a line. `line` is called only if somebody reads it.
    pub fn line(&mut self, line: impl FnOnce() -> String) {
        if let Some(text) = &mut self.0 {
            text.push_str(&line());
            text.push('\n');
        }
    }

    /// What was written.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

//! What came of it all: how the run ended, and what became of the messages.

use std::time::Duration;

use serde_json::json;

use super::options::Confirms;
use super::run::Tally;
use crate::status::Status;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Whether the broker was asked to confirm.
    pub confirms: Confirms,
    /// What became of the messages.
    pub tally: Tally,
    /// Where the first message stands that is not confirmed, as far as is known.
    pub first_unconfirmed: Option<String>,
    /// How long it took, connecting included.
    pub took: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// Everything is published, and confirmed unless nobody wanted to know.
    Complete,
    /// It could not be.
    Failed(anyhow::Error),
    /// By this signal, in order.
    Interrupted(i32),
}

impl Outcome {
    /// The exit status that says so.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.ending {
            Ending::Complete => Status::SUCCESS,
            Ending::Failed(_) => Status::FAILURE,
            Ending::Interrupted(signal) => Status::signalled(signal),
        }
    }

    /// The line that `--json` prints.
    #[must_use]
    pub fn to_json_line(&self) -> String {
        json!({
            "published": self.tally.published,
            "confirmed": self.tally.confirmed,
            "returned": self.tally.returned,
            "rejected": self.tally.rejected,
            "bytes": self.tally.bytes,
            "seconds": self.took.as_secs_f64(),
            "first_unconfirmed": self.first_unconfirmed,
        })
        .to_string()
    }

    /// How many are confirmed and which is the first that is not, in a sentence.
    #[must_use]
    pub fn progress_made(&self) -> String {
        let (count, state) = match self.confirms {
            Confirms::Awaited { .. } => (self.tally.confirmed, "confirmed"),
            Confirms::Off => (
                self.tally.published,
                "sent, whether they arrived is not known",
            ),
        };
        let noun = if count == 1 { "message" } else { "messages" };
        match (&self.first_unconfirmed, self.confirms) {
            (Some(location), Confirms::Awaited { .. }) => {
                format!("{count} {noun} {state}; the first unconfirmed is {location}")
            }
            _ => format!("{count} {noun} {state}"),
        }
    }
}

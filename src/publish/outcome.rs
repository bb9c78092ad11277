//! The result of a run: how it ended, and the numbers of messages.

use std::time::Duration;

use serde_json::json;

use super::run::{Ended, Tally};
use crate::status::Status;

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Whether the broker was asked to confirm.
    pub is_confirmed: bool,
    /// The numbers of messages.
    pub tally: Tally,
    /// The location of the first unconfirmed record, if it is known.
    pub first_unconfirmed: Option<String>,
    /// How long the run took, with connecting.
    pub took: Duration,
}

impl Outcome {
    /// The exit status.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.ended {
            Ended::Complete => Status::SUCCESS,
            Ended::Failed(_) => Status::FAILURE,
            Ended::Interrupted(signal) => Status::signalled(signal),
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

    /// How many messages are confirmed and which is the first unconfirmed one, in a sentence.
    #[must_use]
    pub fn progress_made(&self) -> String {
        let (count, state) = if self.is_confirmed {
            (self.tally.confirmed, "confirmed")
        } else {
            (
                self.tally.published,
                "sent, whether they arrived is not known",
            )
        };
        let noun = if count == 1 { "message" } else { "messages" };
        match &self.first_unconfirmed {
            Some(location) if self.is_confirmed => {
                format!("{count} {noun} {state}; the first unconfirmed is {location}")
            }
            _ => format!("{count} {noun} {state}"),
        }
    }
}

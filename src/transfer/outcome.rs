//! What came of it all: how the run ended, and what became of the messages.

use super::run::Tally;
use crate::status::Status;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// What became of the messages.
    pub tally: Tally,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// All that was to be moved is.
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

    /// How many are moved, and how many perhaps, in a sentence.
    #[must_use]
    pub fn progress_made(&self) -> String {
        let Tally {
            moved, in_doubt, ..
        } = self.tally;
        let noun = if moved == 1 { "message" } else { "messages" };
        match in_doubt {
            0 => format!("{moved} {noun} moved"),
            _ => format!(
                "{moved} {noun} moved; {in_doubt} more have a copy, and it is not known whether their acknowledgement \
                 arrived before the connection was lost: they may have been moved, or stand in both places"
            ),
        }
    }
}

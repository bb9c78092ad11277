//! What must hold of what is told of failed commands: each failure of each message is told once, and what is said to become of the
//! message becomes of it.

use amqp_tools::consume::Acknowledgement;
use amqp_tools::consume::run::{DeliveryId, FailedCommand, Fate, Outcome};
use amqp_tools::status::Status;

use crate::consume::Simulation;
use crate::world::Failure;

/// What is told of a message whose command failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Telling {
    due: Due,
    /// Its command got a signal. Whether it failed or was interrupted depends on why.
    was_signalled: bool,
    fate: Option<Fate>,
}

/// Whether a failure is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Due {
    #[default]
    No,
    Perhaps,
    Yes,
}

impl Telling {
    /// Whether the message may end so after what was told. A run that ends does not run a command again that was to run again.
    pub(super) fn allows(self, outcome: Outcome) -> bool {
        match (self.fate, outcome) {
            (None | Some(Fate::RunsAgain(_) | Fate::RunsInHalves), _)
            | (Some(Fate::Rejected), Outcome::Rejected)
            | (Some(Fate::Parked), Outcome::Parked)
            | (Some(Fate::Delayed(_)), Outcome::Delayed)
            | (Some(Fate::Ignored | Fate::AcknowledgedBefore), Outcome::Ignored) => true,
            // What cannot be published goes back.
            (Some(fate), Outcome::Requeued) => fate != Fate::AcknowledgedBefore,
            _ => false,
        }
    }
}

impl Simulation<'_> {
    pub(in crate::consume) fn note_signalled(&mut self, ids: &[DeliveryId]) {
        for id in ids {
            if let Some(record) = self.oracle.record(*id) {
                record.telling.was_signalled = true;
            }
        }
    }

    /// The job log has a line about a command that ended so.
    pub(super) fn note_failure(&mut self, id: DeliveryId, status: Status) {
        let is_unfit = self.scenario.frames() && self.is_unfit(id);
        let is_lost = self.is_lost(id);
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        let Some(record) = self.oracle.record(id) else {
            return;
        };
        let is_failure = !status.is_success() && status != Status::NOT_FOUND && !is_unfit;
        let is_certain = status == Status::TIMED_OUT || !record.telling.was_signalled;
        record.telling.due = match (is_failure, is_lost) {
            (false, _) => Due::No,
            (true, true) if !on_arrival => Due::No,
            (true, false) if is_certain => Due::Yes,
            (true, _) => Due::Perhaps,
        };
    }

    pub(super) fn judge_told(&mut self, failed: &FailedCommand) -> Result<(), Failure> {
        for id in &failed.ids {
            let is_due = self.oracle.record(*id).is_some_and(|record| {
                record.telling.fate = Some(failed.fate);
                let due = std::mem::take(&mut record.telling.due);
                due != Due::No && !record.is_forgotten
            });
            if !is_due {
                return Err(Failure::of(
                    "a failed command is told once",
                    format!("{id} {failed:?}"),
                ));
            }
        }
        if failed.ids.len() > 1 {
            self.reached.mark("a failure is told for several messages");
        }
        if failed.fate == Fate::DeliveredAgain {
            self.reached
                .mark("a connection is lost before it is known what becomes of a failure");
        }
        Ok(())
    }

    /// Whatever failed was told before the message is worked on again, or forgotten.
    pub(super) fn judge_untold(&mut self, id: DeliveryId) -> Result<(), Failure> {
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        let telling = std::mem::take(&mut record.telling);
        if telling.due != Due::Yes {
            return Ok(());
        }
        Err(Failure::of(
            "a failed command is told",
            format!("{id} {record:?}"),
        ))
    }
}

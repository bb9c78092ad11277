//! What became of a message, for the job log and for metrics. Each end of a command is logged, and has one outcome: by the settlement of
//! the message, or since the command runs again, or since the delivery is lost.

use super::Run;
use super::event::{Action, DeliveryId, Outcome, Settlement};
use crate::status::Status;

impl Run {
    /// A command has ended for this message, or could not be started.
    pub(super) fn log(&mut self, id: DeliveryId, status: Status, signal: i32) {
        let Some(message) = self.in_hand.get_mut(&id) else {
            return;
        };
        message.is_outcome_due = true;
        let attempt = message.attempt;
        self.act(Action::Log {
            id,
            attempt,
            status,
            signal,
        });
    }

    pub(super) fn decide_outcome(&mut self, id: DeliveryId, outcome: Outcome) {
        self.take_outcome_due(id);
        self.act(Action::Conclude(id, outcome));
    }

    /// Settles the delivery of a message that was worked on.
    pub(super) fn conclude(&mut self, id: DeliveryId, settlement: Settlement, outcome: Outcome) {
        if self.settle(id, settlement) {
            self.decide_outcome(id, outcome);
        }
    }

    /// The end of a message that was acknowledged on arrival.
    pub(super) fn conclude_acknowledged(&mut self, id: DeliveryId, outcome: Outcome) {
        if self.is_acknowledged(id) {
            self.decide_outcome(id, outcome);
        }
    }

    /// The command runs again, if it has run.
    pub(super) fn conclude_repeated(&mut self, id: DeliveryId) {
        if self.take_outcome_due(id) {
            self.act(Action::Conclude(id, Outcome::Repeated));
        }
    }

    /// The delivery was lost, if nothing else became of it.
    pub(super) fn conclude_dropped(&mut self, id: DeliveryId) {
        if self.take_outcome_due(id) {
            self.act(Action::Conclude(id, Outcome::Dropped));
        }
    }

    fn take_outcome_due(&mut self, id: DeliveryId) -> bool {
        let message = self.in_hand.get_mut(&id);
        message.is_some_and(|message| std::mem::take(&mut message.is_outcome_due))
    }
}

//! What is told of a command that failed: how it ended, and what becomes of its messages. Each failure of each message is told once.
//!
//! How a command ended is known before it is known what becomes of its messages. Until then the message keeps the failure.

use super::Run;
use super::event::{Action, CommandEnd, DeliveryId, FailedCommand, Fate};
use super::message::{Job, StopReason};
use crate::status::Status;

/// The failure of a command that ran for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The message that the command is named by.
    command: DeliveryId,
    end: CommandEnd,
}

impl Run {
    /// How a command ended that failed with this status.
    pub(super) fn end_of(&self, job: Job, status: Status, signal: i32) -> CommandEnd {
        match job.stop_reason() {
            Some(StopReason::TimedOut) => {
                CommandEnd::TimedOut(self.options.timeout().unwrap_or_default())
            }
            _ if signal != 0 => CommandEnd::Killed(signal),
            _ => CommandEnd::Exited(status),
        }
    }

    /// Notes that the command failed of which this message is the first.
    pub(super) fn note_failure(&mut self, command: DeliveryId, end: CommandEnd) {
        for id in self.batch(command) {
            if let Some(message) = self.in_hand.get_mut(&id) {
                message.untold = Some(Failure { command, end });
            }
        }
    }

    /// Tells what becomes of a message whose command failed, if that is not told yet.
    pub(super) fn tell(&mut self, id: DeliveryId, fate: Fate) {
        let message = self.in_hand.get_mut(&id);
        let Some(failure) = message.and_then(|message| message.untold.take()) else {
            return;
        };
        let Failure { command, end } = failure;
        let fate = match fate {
            Fate::Requeued(_) if self.is_stream() => Fate::StaysInStream,
            fate => fate,
        };
        // One notice names all messages of a command of which the same becomes.
        if let Some((place, told)) = self.told
            && told == command
            && let Some(Action::TellFailed(failed)) = self.actions.get_mut(place)
            && failed.fate == fate
        {
            failed.ids.push(id);
            return;
        }
        self.told = Some((self.actions.len(), command));
        let ids = vec![id];
        self.act(Action::TellFailed(FailedCommand { ids, end, fate }));
    }

    /// The same for all messages of a batch.
    pub(super) fn tell_all(&mut self, first: DeliveryId, fate: Fate) {
        for id in self.batch(first) {
            self.tell(id, fate);
        }
    }
}

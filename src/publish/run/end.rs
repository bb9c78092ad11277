//! The last steps of a run.

use std::time::Duration;

use super::Run;
use super::connection::ConnectionState;
use super::event::Action;
use super::phase::{Cause, Phase};

/// How long the broker may take to confirm records in flight after a signal.
const GRACE: Duration = Duration::from_secs(5);

impl Run {
    /// Stops publishing. Only the first cause counts.
    pub(super) fn end(&mut self, cause: Cause) {
        if self.phase == Phase::Publishing {
            self.phase = Phase::Ending(cause);
            // The wait for the records in flight starts now.
            self.silence.since = self.now;
        }
    }

    /// The first signal leaves some time for the records in flight, the second one none.
    pub(super) fn on_signal(&mut self, signal: i32) {
        let patience = match self.patience_ends {
            None => GRACE,
            Some(_) => Duration::ZERO,
        };
        let until = self.now + patience;
        self.patience_ends = Some(self.patience_ends.map_or(until, |before| before.min(until)));
        self.end(Cause::Interrupted(signal));
    }

    /// When the run stops waiting for records in flight, if it is waiting.
    pub(super) fn patience_deadline(&self) -> Option<Duration> {
        let is_waiting = matches!(self.phase, Phase::Ending(_))
            && self.connection.state != ConnectionState::Gone;
        self.patience_ends.filter(|_| is_waiting)
    }

    /// Ends step by step: records in flight, returns, connection, checkpoint.
    pub(super) fn wind_up(&mut self, actions: &mut Vec<Action>) {
        if self
            .patience_deadline()
            .is_some_and(|deadline| self.now >= deadline)
        {
            self.abandon(actions);
        }
        match self.connection.state {
            ConnectionState::Connecting => self.abandon(actions),
            ConnectionState::Open if self.window.open() > 0 => {}
            ConnectionState::Open if self.may_come_back() => {
                self.connection.state = ConnectionState::CatchingUp;
                actions.push(Action::CatchUp);
            }
            ConnectionState::Open => {
                self.connection.state = ConnectionState::Closing;
                actions.push(Action::Close);
            }
            ConnectionState::CatchingUp | ConnectionState::Closing | ConnectionState::Gone => {}
        }
        if self.connection.state == ConnectionState::Gone
            && let Phase::Ending(cause) = &self.phase
        {
            let cause = cause.clone();
            if self.options.has_checkpoint {
                self.phase = Phase::SyncingCheckpoint(cause);
                actions.push(Action::SyncCheckpoint);
            } else {
                self.phase = Phase::Over(cause);
            }
        }
    }

    /// Whether the message whose rejection ends the run may still be returned.
    fn may_come_back(&self) -> bool {
        matches!(
            self.phase,
            Phase::Ending(Cause::Rejected {
                fingerprint: Some(_),
                ..
            })
        )
    }

    /// Cuts the connection.
    pub(super) fn abandon(&mut self, actions: &mut Vec<Action>) {
        if self.connection.state == ConnectionState::Gone {
            return;
        }
        actions.push(Action::Abandon);
        let was_closing = self.connection.state == ConnectionState::Closing;
        self.lose_connection();
        if was_closing && self.owes_close_ok() {
            self.phase = Phase::Ending(Cause::Failed(
                "closing connection: the broker did not answer in time".to_owned(),
            ));
        }
    }

    pub(super) fn on_checkpoint_synced(&mut self) {
        if let Phase::SyncingCheckpoint(cause) = &self.phase {
            self.phase = Phase::Over(cause.clone());
        }
    }
}

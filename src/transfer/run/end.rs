//! Whether and how the run ends.

use super::Run;
use super::certainty::PROVEN_BY_CLOSE;
use super::event::{Action, Time};
use super::link::LinkState;

/// How long after a signal the broker may take to confirm what is on its way.
const GRACE: Time = Time::from_secs(5);

/// What the run is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Moving,
    /// No copy is published any more; the fates of those on their way are waited for, then the connection is closed.
    Ending(Cause),
    Over(Cause),
}

/// Why a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// All that was to be moved is, if the acknowledgements become certain.
    Complete,
    /// It could not be.
    Failed(String),
    /// A copy was rejected. It may come back yet, with a better reason.
    Rejected(String),
    /// By this signal, in order.
    Interrupted(i32),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All that was to be moved is in its new place and, for certain, not in the old one.
    Complete,
    /// It could not be.
    Failed(String),
    /// By this signal, in order.
    Interrupted(i32),
}

impl Phase {
    pub(super) fn ended(&self) -> Option<Ended> {
        let Phase::Over(cause) = self else {
            return None;
        };
        Some(match cause.clone() {
            Cause::Complete => Ended::Complete,
            Cause::Failed(reason) | Cause::Rejected(reason) => Ended::Failed(reason),
            Cause::Interrupted(signal) => Ended::Interrupted(signal),
        })
    }
}

impl Run {
    /// Moves no more. The first cause is the one that counts.
    pub(super) fn end(&mut self, cause: Cause) {
        if self.phase == Phase::Moving {
            self.phase = Phase::Ending(cause);
            // The fates of what is on its way are waited for anew.
            self.silence.since = self.now;
        }
    }

    /// The first signal leaves some time for what is on its way, a second one none.
    pub(super) fn on_signal(&mut self, signal: i32) {
        self.patience = Some(match self.patience {
            None => (self.now + GRACE, signal),
            Some((until, first)) => (until.min(self.now), first),
        });
        self.end(Cause::Interrupted(signal));
    }

    /// When the broker is no longer waited for, since a signal came.
    pub(super) fn patience_deadline(&self) -> Option<Time> {
        let is_waiting =
            matches!(self.phase, Phase::Ending(_)) && self.link.state != LinkState::Gone;
        self.patience.filter(|_| is_waiting).map(|(until, _)| until)
    }

    /// Ends step by step: fates, answers, connection.
    pub(super) fn wind_up(&mut self, actions: &mut Vec<Action>) {
        if self
            .patience_deadline()
            .is_some_and(|deadline| self.now >= deadline)
        {
            self.abandon(actions);
        }
        match self.link.state {
            LinkState::Connecting => self.abandon(actions),
            LinkState::Open if self.may_close() => {
                self.answer_for_all(actions);
                self.link.state = LinkState::Closing;
                actions.push(Action::Close);
            }
            LinkState::Open | LinkState::Closing | LinkState::Gone => {}
        }
        if self.link.state == LinkState::Gone
            && let Phase::Ending(cause) = &self.phase
        {
            self.phase = Phase::Over(cause.clone());
        }
    }

    /// A broker that takes nothing would not answer the close that makes the last acknowledgements certain.
    fn may_close(&self) -> bool {
        let depends_on_close = self.phase == Phase::Ending(Cause::Complete);
        self.subscriptions.is_none()
            && self.window.open() == 0
            && !(depends_on_close && self.link.is_paused)
    }

    /// Acknowledges and gives back what is in hand, as far as the close carries it out for certain. The rest goes back by
    /// the close.
    fn answer_for_all(&mut self, actions: &mut Vec<Action>) {
        while let Some(front) = self.window.front()
            && self.certainty.cost() + front.subscriptions.len() <= PROVEN_BY_CLOSE
        {
            self.answer_for(&front, actions);
        }
    }

    /// Expects nothing more of the connection.
    pub(super) fn abandon(&mut self, actions: &mut Vec<Action>) {
        if self.link.state == LinkState::Gone {
            return;
        }
        actions.push(Action::Abandon);
        let is_certain = self.certainty.uncertain() == 0;
        self.lose_connection();
        if self.phase == Phase::Ending(Cause::Complete) && !is_certain {
            self.phase = Phase::Ending(self.cause_of_doubt());
        }
    }

    /// Why a run ends that did all and does not know whether it counts.
    fn cause_of_doubt(&self) -> Cause {
        match self.patience {
            Some((_, signal)) => Cause::Interrupted(signal),
            None => Cause::Failed("closing connection: the broker did not answer".to_owned()),
        }
    }
}

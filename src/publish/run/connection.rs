//! The connection: its events, and whether another one is opened when it is lost.

use std::time::Duration;

use super::event::{Action, ConnectionId, FromBroker, Notice};
use super::phase::{Cause, Phase};
use super::{Run, Silence};
use crate::breaks::Breaks;
use crate::broker::Confirmation;
use crate::reason::ConnectionFailure;

/// The pause before a new connection, if the last one broke without confirming anything.
const PAUSE: Duration = Duration::from_millis(250);

/// A connection that has lasted this long counts as one that works.
const SETTLED: Duration = Duration::from_secs(5);

/// The message of a negative confirmation.
const REJECTED: &str = "basic.publish: the broker rejected a message: a queue is full and rejects (x-overflow), or the broker is in trouble";

/// The present connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) number: ConnectionId,
    pub(super) state: ConnectionState,
    /// The broker reads no messages.
    pub(super) is_paused: bool,
    since: Duration,
    /// How many messages were confirmed when it was opened.
    confirmed_before: u64,
    breaks: Breaks,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    Connecting,
    Open,
    /// The broker is asked whether it has handled what was published: all of it, without confirms, or a message that it
    /// rejected and may return.
    CatchingUp,
    Closing,
    Gone,
}

impl Connection {
    pub(super) fn first() -> Connection {
        Connection {
            number: 1,
            state: ConnectionState::Connecting,
            is_paused: false,
            since: Duration::ZERO,
            confirmed_before: 0,
            breaks: Breaks::default(),
        }
    }

    /// Whether it has this number and has not ended.
    pub(super) fn is(&self, number: ConnectionId) -> bool {
        self.number == number && self.state != ConnectionState::Gone
    }
}

impl Run {
    pub(super) fn on_broker(&mut self, event: FromBroker, actions: &mut Vec<Action>) {
        match event {
            FromBroker::Connected if self.connection.state == ConnectionState::Connecting => {
                self.on_connected();
            }
            FromBroker::Connected => {}
            FromBroker::CannotConnect(reason) => {
                self.lose_connection();
                self.end(Cause::Failed(reason));
            }
            FromBroker::Lost(failure) => self.on_lost(failure, actions),
            FromBroker::Confirmed(confirmation) => self.on_confirmed(confirmation, actions),
            FromBroker::Returned {
                fingerprint,
                reason,
            } => self.on_returned(fingerprint, reason),
            FromBroker::Paused => self.connection.is_paused = true,
            FromBroker::Resumed => {
                self.connection.is_paused = false;
                self.broker_is_heard();
            }
            FromBroker::CaughtUp => self.on_caught_up(),
            FromBroker::Closed => self.lose_connection(),
        }
    }

    fn on_connected(&mut self) {
        self.connection.state = ConnectionState::Open;
        self.connection.since = self.now;
        self.connection.confirmed_before = self.window.tally().confirmed;
        self.broker_is_heard();
    }

    fn on_confirmed(&mut self, confirmation: Confirmation, actions: &mut Vec<Action>) {
        let confirmed_before = self.window.tally().confirmed;
        let rejected = self.window.apply(confirmation);
        if let Some(id) = rejected {
            self.end(Cause::Rejected {
                fingerprint: self.window.fingerprint(id),
                reason: REJECTED.to_owned(),
            });
        }
        if rejected.is_some() || self.window.tally().confirmed > confirmed_before {
            self.broker_is_heard();
        }
        self.save_checkpoint(self.options.save_every(), actions);
    }

    /// The broker has handled all that was published, and returns nothing more of it.
    fn on_caught_up(&mut self) {
        self.connection.state = ConnectionState::Open;
        self.end(Cause::Complete);
        let is_refused = self.window.tally().returned > 0;
        match &self.phase {
            Phase::Ending(Cause::Rejected { reason, .. }) => {
                self.phase = Phase::Ending(Cause::Failed(reason.clone()));
            }
            // All was sent that there is: a signal that came meanwhile has changed nothing.
            Phase::Ending(Cause::Interrupted(_)) if !is_refused => {
                self.phase = Phase::Ending(Cause::Complete);
            }
            _ => {}
        }
    }

    /// A broker may reject a message before it returns it with the reason.
    fn on_returned(&mut self, fingerprint: u64, reason: String) {
        self.window.take_back(fingerprint);
        self.broker_is_heard();
        match &self.phase {
            Phase::Ending(Cause::Rejected {
                fingerprint: Some(rejected),
                ..
            }) if *rejected == fingerprint => {
                self.phase = Phase::Ending(Cause::Failed(reason));
            }
            _ => self.end(Cause::Failed(reason)),
        }
    }

    fn broker_is_heard(&mut self) {
        self.silence = Silence {
            since: self.now,
            is_told: false,
            ..self.silence
        };
    }

    /// Opens another connection, or ends the run.
    fn on_lost(&mut self, failure: ConnectionFailure, actions: &mut Vec<Action>) {
        let state = self.connection.state;
        self.lose_connection();
        if self.phase == Phase::Publishing {
            if self.may_reopen_after(&failure) {
                self.reopen(failure.reason, actions);
            } else {
                self.end(Cause::Failed(failure.reason));
            }
        } else if state == ConnectionState::Closing && self.owes_close_ok() {
            self.phase = Phase::Ending(Cause::Failed(failure.reason));
        }
    }

    /// Whether only the answer to connection.close is missing. Without confirms, that answer alone says that the broker has received
    /// everything.
    pub(super) fn owes_close_ok(&self) -> bool {
        !self.options.is_confirmed() && self.phase == Phase::Ending(Cause::Complete)
    }

    pub(super) fn lose_connection(&mut self) {
        self.connection.state = ConnectionState::Gone;
        self.connection.is_paused = false;
        self.window.lose_connection();
    }

    fn reopen(&mut self, reason: String, actions: &mut Vec<Action>) {
        let pause = self.connection.breaks.pause(PAUSE, PAUSE);
        self.connection.number += 1;
        self.connection.state = ConnectionState::Connecting;
        actions.push(Action::Say(Notice::ConnectingAnew(reason)));
        actions.push(Action::Connect(self.connection.number, pause));
    }

    /// Whether to open a new connection. Connections that break again and again are retried for as long as one that cannot be opened.
    fn may_reopen_after(&mut self, failure: &ConnectionFailure) -> bool {
        if !failure.is_transient || !self.options.may_send_again() {
            return false;
        }
        let was_of_use = self.window.tally().confirmed > self.connection.confirmed_before
            || self.now.saturating_sub(self.connection.since) > SETTLED;
        self.connection.breaks.note(was_of_use, self.now);
        self.connection
            .breaks
            .are_borne(self.options.retry, self.now)
    }
}

//! The core of a run. It has no I/O. It decides what is published when, what happens to the connection, and how the run ends.
//!
//! [`Run::on`] takes an [`Event`] and the time, and adds [`Action`]s to a list. The core has no clock, no file and no thread. The
//! driver keeps bodies, locations and templates, under a [`RecordId`].
//!
//! **A record** is in the [`Window`](window::Window) from when it is read until it and all records before it are confirmed:
//!
//! ```text
//! read ─► Unsent ─► Open ─► Confirmed: leaves the window when all before it have left
//!                   │  ▲ ├─► Returned
//!   connection lost │  │ └─► Rejected ─► Returned (if a broker rejects first)
//!                   ▼  │
//!                  InDoubt
//! ```
//!
//! A returned or rejected record ends the run, whatever happens to the connection. A lost connection is opened again as far as the
//! options allow it, and records in doubt are sent again.
//!
//! **A run** is publishing, or ending for a [`Cause`](phase::Cause). An ending run sends nothing more, waits for the records in flight,
//! asks whether a rejected message is returned, closes the connection, and writes the checkpoint. Each of these waits has an end: see [`Run::deadline`].
//!
//! * `event`, `options`: what goes in and what comes out.
//! * `window`: the records and their states.
//! * `connection`: the connection, and whether it is opened again.
//! * `phase`: how far the run is from its end, and why it ends.
//! * `end`: the last steps of a run.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod connection;
mod end;
mod event;
mod options;
mod phase;
mod window;

pub use event::{Action, ConnectionId, Event, FromBroker, Notice, RecordId, RecordInfo};
pub use options::RunOptions;
pub use phase::Ended;
pub use window::Tally;

use std::time::Duration;

use connection::{Connection, ConnectionState};
use phase::{Cause, Phase};
use window::Window;

/// How many records are sent before the driver looks for other events.
const SENT_AT_ONCE: usize = 64;

/// The broker is expected to confirm something within this time, unless it is blocked.
const SILENCE: Duration = Duration::from_secs(30);

/// So much later than it was due a message may be sent without its putting off the next.
const LATENESS: Duration = Duration::from_millis(1);

/// The state of a run.
#[derive(Clone, Debug)]
pub struct Run {
    options: RunOptions,
    now: Duration,
    phase: Phase,
    connection: Connection,
    window: Window,
    input_has_ended: bool,
    /// The record up to which the checkpoint says that everything is confirmed.
    saved: RecordId,
    silence: Silence,
    /// When the next message may be sent.
    next_send: Duration,
    /// When fates are no longer waited for, since a signal asked to end.
    patience_ends: Option<Duration>,
}

/// How long the broker has confirmed nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    /// The time of the last confirm, or of the last check of the queue.
    since: Duration,
    /// Whether the person at the terminal was told.
    is_told: bool,
    /// Whether the queue is being checked.
    is_asking: bool,
}

impl Run {
    /// A new run. The first action is to connect.
    #[must_use]
    pub fn begin(options: RunOptions, actions: &mut Vec<Action>) -> Run {
        let connection = Connection::first();
        actions.push(Action::Connect(connection.number, Duration::ZERO));
        Run {
            options,
            now: Duration::ZERO,
            phase: Phase::Publishing,
            connection,
            window: Window::new(),
            input_has_ended: false,
            saved: 0,
            silence: Silence::default(),
            next_send: Duration::ZERO,
            patience_ends: None,
        }
    }

    /// Takes in an event and adds what is to be done to `actions`. `now` never decreases.
    pub fn on(&mut self, event: Event, now: Duration, actions: &mut Vec<Action>) {
        self.now = now;
        self.take_in(event, actions);
        if self.phase == Phase::Publishing {
            self.publish(actions);
        }
        self.mind_silence(actions);
        if self.phase != Phase::Publishing {
            self.wind_up(actions);
        }
        self.check();
    }

    /// When [`Event::Tick`] is due, if no other event comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        if self.phase == Phase::Publishing
            && self.may_send()
            && self.window.next_to_send().is_some()
        {
            return Some(self.now.max(self.next_send));
        }
        let silence = self
            .expects_confirms()
            .then_some(self.silence.since + SILENCE);
        [self.patience_deadline(), silence]
            .into_iter()
            .flatten()
            .min()
    }

    /// How the run ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.phase.ended()
    }

    /// Whether the run wants the next record.
    #[must_use]
    pub fn wants_record(&self) -> bool {
        self.phase == Phase::Publishing
            && !self.input_has_ended
            && self.may_send()
            && self.window.is_all_sent()
            && self.window.len() < self.options.in_flight()
            && self.window.has_room_for_bytes()
    }

    /// The numbers of published, confirmed, returned and rejected messages.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.window.tally()
    }

    /// How many bytes of the input are confirmed or, without confirms, sent.
    #[must_use]
    pub fn input_bytes(&self) -> u64 {
        self.window.input_bytes()
    }

    /// The first record that is not confirmed; it may not have been read yet. The core does not name earlier records again.
    #[must_use]
    pub fn first_unconfirmed(&self) -> RecordId {
        self.window.first()
    }

    /// How many messages were sent whose result is not known.
    #[must_use]
    pub fn in_doubt(&self) -> usize {
        self.window.in_doubt()
    }

    fn take_in(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Signal(signal) => self.on_signal(signal),
            Event::Record(record) => {
                debug_assert!(self.wants_record());
                self.window.add(record);
            }
            Event::NoRecord => self.save_checkpoint(1, actions),
            Event::InputEnded => self.input_has_ended = true,
            Event::InputFailed(reason) => self.end(Cause::Failed(reason)),
            Event::Broker(connection, event) if self.connection.is(connection) => {
                self.on_broker(event, actions);
            }
            Event::Broker(..) | Event::Tick => {}
            Event::QueueChecked(id, gone) => self.on_queue_checked(id, gone, actions),
            Event::CheckpointSynced => self.on_checkpoint_synced(),
            Event::CannotSaveCheckpoint(reason) => self.on_cannot_save_checkpoint(reason),
        }
    }

    fn may_send(&self) -> bool {
        self.connection.state == ConnectionState::Open && !self.connection.is_paused
    }

    /// Sends records while that is allowed, and ends the run when all are done.
    fn publish(&mut self, actions: &mut Vec<Action>) {
        for _ in 0..SENT_AT_ONCE {
            let is_due = self.may_send() && self.now >= self.next_send;
            let Some(id) = self.window.next_to_send().filter(|_| is_due) else {
                break;
            };
            self.keep_pace();
            if self.options.is_confirmed() {
                if self.window.open() == 0 {
                    self.silence = Silence {
                        since: self.now,
                        ..self.silence
                    };
                }
                self.window.send();
            } else {
                self.window.send_unconfirmed();
            }
            actions.push(Action::Publish(id));
        }
        if self.input_has_ended
            && self.window.is_empty()
            && self.connection.state == ConnectionState::Open
        {
            if self.options.is_confirmed() {
                self.end(Cause::Complete);
            } else {
                self.connection.state = ConnectionState::CatchingUp;
                actions.push(Action::CatchUp);
            }
        }
    }

    /// Puts the next message off. One that was sent a little late does not put off the others: so the rate is what it is to
    /// be, though no clock wakes in time.
    fn keep_pace(&mut self) {
        if let Some(pace) = self.options.pace {
            let earliest = self.now.saturating_sub(LATENESS);
            self.next_send = self.next_send.max(earliest) + pace;
        }
    }

    /// Tells the checkpoint how far everything is confirmed, if it does not know of at least so many records.
    fn save_checkpoint(&mut self, at_least: u64, actions: &mut Vec<Action>) {
        let confirmed = self.window.first() - 1;
        if self.options.has_checkpoint && confirmed - self.saved >= at_least {
            self.saved = confirmed;
            actions.push(Action::SaveCheckpoint(confirmed));
        }
    }

    fn on_cannot_save_checkpoint(&mut self, reason: String) {
        let failed = Cause::Failed(reason);
        match &self.phase {
            Phase::Publishing => self.end(failed),
            Phase::Ending(Cause::Complete) => self.phase = Phase::Ending(failed),
            Phase::SyncingCheckpoint(Cause::Complete) => self.phase = Phase::Over(failed),
            Phase::SyncingCheckpoint(_) => self.on_checkpoint_synced(),
            Phase::Ending(_) | Phase::Over(_) => {}
        }
    }

    /// Whether the broker is expected to say something. At the end of a run that holds even if the broker is blocked.
    fn expects_confirms(&self) -> bool {
        let is_ending = matches!(self.phase, Phase::Ending(_));
        match self.connection.state {
            ConnectionState::Open => {
                self.window.open() > 0 && (is_ending || !self.connection.is_paused)
            }
            ConnectionState::CatchingUp => is_ending,
            ConnectionState::Connecting | ConnectionState::Closing | ConnectionState::Gone => false,
        }
    }

    /// When the broker has confirmed nothing for too long: checks whether the queue exists or, at the end of the run, cuts the
    /// connection.
    fn mind_silence(&mut self, actions: &mut Vec<Action>) {
        if !self.expects_confirms() || self.now < self.silence.since + SILENCE {
            return;
        }
        if self.phase != Phase::Publishing {
            self.abandon(actions);
            return;
        }
        self.silence.since = self.now;
        if !self.silence.is_told {
            self.silence.is_told = true;
            actions.push(Action::Say(Notice::NoConfirms(SILENCE)));
        }
        if let Some(id) = self.window.first_open().filter(|_| !self.silence.is_asking) {
            self.silence.is_asking = true;
            actions.push(Action::AskForQueue(id));
        }
    }

    /// A missing queue ends the run, unless its message has been confirmed meanwhile. The connection is cut, since it may not answer
    /// any more.
    fn on_queue_checked(&mut self, id: RecordId, gone: Option<String>, actions: &mut Vec<Action>) {
        self.silence.is_asking = false;
        if let Some(reason) = gone
            && self.phase == Phase::Publishing
            && self.window.is_open(id)
        {
            self.end(Cause::Failed(reason));
            self.abandon(actions);
        }
    }

    /// Invariants between two events.
    fn check(&self) {
        debug_assert!(self.window.len() > 100 || self.window.is_consistent());
        debug_assert!(self.connection.state != ConnectionState::Gone || self.window.open() == 0);
        debug_assert!(self.saved < self.window.first());
    }
}

#[cfg(test)]
mod tests;

//! Whether the run ends, and its last steps.

use std::time::Duration;

use super::Run;
use super::connection::ConnectionState;
use super::event::{Action, Copy, DeliveryId, Fate, Notice, Outcome, Settlement};
use super::message::{DeliveryState, MessageState};
use super::phase::{Cause, Phase};

/// How long nothing must have come before the queue is asked whether it is empty.
const LULL: Duration = Duration::from_millis(50);

/// The same after failed messages were requeued. A busy queue takes time to deliver them again, and reports 0 ready messages
/// meanwhile.
const LULL_AFTER_GIVING_BACK: Duration = Duration::from_secs(5);

/// How long the run waits for outstanding answers after a signal, when no command runs.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the run waits for lines to be written after a signal.
const TIME_TO_WRITE: Duration = Duration::from_secs(1);

impl Run {
    /// Ends the run if the work is done.
    pub(super) fn decide_to_end(&mut self) {
        self.end_in_time();
        if !self.phase.is_consuming() || !self.connection.is_open() {
            return;
        }
        let is_counted = !self.may_begin_another() && !self.works_on_ours();
        let is_stuck = self.options.limit.is_some() && self.holds_too_many();
        if is_stuck {
            self.say(Notice::TooManyFailed);
        }
        if is_counted || is_stuck {
            self.phase = Phase::Draining(Cause::Counted);
        } else if self.has_read_all() || self.is_quiet() {
            self.end_idle();
        }
    }

    /// Whether all is done that was in the stream when the run began.
    fn has_read_all(&self) -> bool {
        self.is_at_end_of_stream() && self.idle_at().is_some()
    }

    /// Whether nothing has come for the idle timeout, where that alone ends the run.
    fn is_quiet(&self) -> bool {
        !self.drains() && self.connection.active_count() > 0 && self.is_idle()
    }

    pub(super) fn end_idle(&mut self) {
        self.phase = Phase::Draining(Cause::Idle);
        if let Some((_, status)) = self.given_back.front() {
            self.unfinished.get_or_insert(*status);
            self.say(Notice::NotSeenAgain(self.given_back.len() as u64));
        }
        if let Some((count, status)) = self.delayed.out() {
            self.unfinished.get_or_insert(status);
            self.say(Notice::NotBack(count));
        }
    }

    fn works_on_ours(&self) -> bool {
        let ours = |message: &super::MessageInHand| {
            message.is_working() && message.delivery_state != DeliveryState::Lost
        };
        self.in_hand.values().any(ours)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.connection.is_open() && self.idle_at().is_some_and(|at| at <= self.now)
    }

    /// When the run will have been idle for long enough, if no message comes before.
    fn idle_at(&self) -> Option<Duration> {
        let timeout = self.options.idle_timeout?;
        let will_be_done = |state: &MessageState| match state {
            MessageState::Working(_)
            | MessageState::With(_)
            | MessageState::Behind
            | MessageState::Split(_)
            | MessageState::Resting(..)
            | MessageState::Postponed(_)
            | MessageState::Undecided(_)
            | MessageState::Copying(..) => true,
            // With a count, failed messages are held to the end. Without counted attempts, they may never be done.
            MessageState::Held(..) => {
                self.options.limit.is_none() && self.options.failure.max_attempts.is_some()
            }
            MessageState::Refused(..) => false,
        };
        let is_busy = !self.waiting.is_empty()
            || !self.unanswered_copies.is_empty()
            || self
                .in_hand
                .values()
                .any(|message| will_be_done(&message.state));
        (!is_busy).then(|| {
            let lull = if self.given_back.is_empty() {
                LULL
            } else {
                LULL_AFTER_GIVING_BACK
            };
            let quiet_until = self.quiet_since.saturating_add(timeout.max(lull));
            quiet_until.max(self.delayed.until())
        })
    }

    /// The same, if the run would then ask the queue or end.
    pub(super) fn idle_deadline(&self) -> Option<Duration> {
        let listens = self.connection.active_count() > 0
            && self.connection.active_count() == self.connection.subscriptions.len();
        self.idle_at()
            .filter(|_| listens && self.connection.question.is_none())
    }

    /// A signal asks the tool to end. The first one lets commands finish, the second one sends them SIGTERM, the third one SIGKILL.
    pub(super) fn on_signal(&mut self, signal: i32) {
        self.signals = self.signals.saturating_add(1);
        if self.phase.lies_in_the_work() {
            self.phase = Phase::Draining(Cause::Signal(signal));
        }
        if self.signals == 1 {
            self.grace_ends = self.grace().and_then(|grace| self.now.checked_add(grace));
        } else if self.phase.is_stopping() {
            self.kill_all();
        } else {
            self.stop_commands();
        }
        if self.signals > 1 && !self.is_working() {
            self.abandon();
        }
        if comes_from_terminal(signal) {
            self.pass_on(signal);
        }
    }

    fn grace(&self) -> Option<Duration> {
        match self.options.grace {
            grace if !self.prints() => grace,
            grace => Some(grace.unwrap_or(TIME_TO_WRITE).min(TIME_TO_WRITE)),
        }
    }

    /// Ends the run because of a failure. Running commands may finish.
    pub(super) fn fail(&mut self, reason: String) {
        if self.phase.lies_in_the_work() {
            self.phase = Phase::Draining(Cause::Failed(reason));
        } else {
            self.say(Notice::AlsoFailed(reason)); // the first failure says more
        }
    }

    /// Goes from draining to stopping: running commands get SIGTERM.
    pub(super) fn stop_commands(&mut self) {
        if let Phase::Draining(cause) = &self.phase {
            self.phase = Phase::Stopping(cause.clone());
            self.terminate_all();
        }
    }

    pub(super) fn enforce_deadlines(&mut self) {
        self.enforce_job_deadlines();
        self.enforce_deadlines_of_children();
        if self.grace_ends.is_some_and(|end| end <= self.now) {
            self.grace_ends = None;
            self.stop_commands();
        }
        if self.patience_deadline().is_some_and(|end| end <= self.now) {
            self.lose_patience();
        }
    }

    /// When the run stops waiting for outstanding answers.
    pub(super) fn patience_deadline(&self) -> Option<Duration> {
        self.patience_ends
            .filter(|_| self.connection.state != ConnectionState::Gone && !self.is_working())
    }

    /// Gives up copies first, then the connection.
    fn lose_patience(&mut self) {
        self.patience_ends = self.now.checked_add(PATIENCE);
        let pending = self.all(|state| {
            matches!(
                state,
                MessageState::Undecided(_) | MessageState::Copying(..)
            )
        });
        if pending.is_empty() || !self.connection.is_open() {
            self.abandon();
        }
        for id in pending {
            self.requeue_at_end(id);
        }
    }

    /// Cuts the connection.
    pub(super) fn abandon(&mut self) {
        if self.connection.state == ConnectionState::Gone {
            return;
        }
        self.act(Action::Abandon);
        let doubtful = self.connection.uncertain;
        self.leave_connection();
        self.give_up_uncertain(doubtful);
    }

    /// Takes no more messages, requeues those that no command runs for, and closes the connection when all are settled.
    pub(super) fn wind_up(&mut self) {
        self.close_inputs();
        for id in self.all(|state| {
            matches!(
                state,
                MessageState::Resting(..) | MessageState::Split(_) | MessageState::Postponed(_)
            )
        }) {
            self.give_up_together(id);
        }
        match self.connection.state {
            ConnectionState::Connecting => self.abandon(),
            ConnectionState::Open => self.wind_up_connection(),
            ConnectionState::Closing | ConnectionState::Gone => {}
        }
        if self.signals > 0 && self.patience_ends.is_none() && !self.is_working() {
            self.patience_ends = self.now.checked_add(PATIENCE);
        }
    }

    fn wind_up_connection(&mut self) {
        let has_nothing = self.in_hand.is_empty()
            && self.waiting.is_empty()
            && self.connection.uncertain.messages() == 0;
        if self.signals > 0 && self.connection.is_subscribing() && has_nothing {
            return self.abandon(); // the answer would prove nothing
        }
        if self.connection.subscriptions.is_empty() {
            self.give_back_waiting();
        }
        if self.works_on_ours() {
            return;
        }
        self.give_back_at_end();
        let is_settled = self.waiting.is_empty()
            && !self
                .in_hand
                .values()
                .any(super::MessageInHand::is_unsettled);
        if !is_settled
            || !self.connection.subscriptions.is_empty()
            || self.connection.question.is_some()
        {
            return;
        }
        if self.fits_a_close(self.connection.uncertain) {
            self.close();
        } else {
            // Too many settlements for connection.close. The answer to another basic.cancel makes them certain.
            self.act(Action::Prefetch(1));
            self.subscribe();
        }
    }

    /// Returns held messages to the queue. When the run is stopping, it does not wait for copies any more, but for the output of
    /// commands that succeeded.
    fn give_back_at_end(&mut self) {
        let held = self.all(|state| matches!(state, MessageState::Held(..)));
        for id in held {
            self.note_unfinished(id);
            if self.phase.is_stopping() {
                self.requeue_at_end(id);
            }
        }
        self.give_back_held();
        for id in self.all(|state| matches!(state, MessageState::Refused(..))) {
            self.requeue_at_end(id);
        }
        if self.phase.is_stopping() {
            for id in self.all(|state| {
                matches!(
                    state,
                    MessageState::Undecided(_) | MessageState::Copying(..)
                ) && !matches!(state, MessageState::Copying(Copy::Output, _))
            }) {
                self.requeue_at_end(id);
            }
        }
    }

    /// Requeues a message as it is. If a copy was published, the message may then be in the queue twice. For a message that was not
    /// tried the queue must count no failed delivery.
    fn requeue_at_end(&mut self, id: DeliveryId) {
        self.note_unfinished(id);
        self.tell(id, Fate::Requeued(None));
        let was_tried = self.in_hand.get(&id).is_some_and(|message| {
            let has_failed = match &message.state {
                MessageState::Copying(_, copy_state) | MessageState::Refused(_, _, copy_state) => {
                    copy_state.status.is_some()
                }
                _ => true,
            };
            has_failed || message.runs > 0
        });
        if was_tried {
            self.conclude(id, Settlement::Requeue, Outcome::Requeued);
        } else {
            self.settle(id, Settlement::Return);
        }
        self.forget(id);
    }

    fn note_unfinished(&mut self, id: DeliveryId) {
        let status = match self.in_hand.get(&id).map(|message| &message.state) {
            Some(MessageState::Held(_, _, status) | MessageState::Undecided(status)) => *status,
            Some(MessageState::Copying(Copy::Renew(_), _)) => return,
            Some(
                MessageState::Copying(_, copy_state) | MessageState::Refused(_, _, copy_state),
            ) => copy_state.status.unwrap_or(self.options.error_status),
            _ => return,
        };
        self.unfinished.get_or_insert(status);
    }
}

/// Whether the signal is one that a terminal sends to its foreground processes: SIGHUP, SIGINT, SIGQUIT. Commands run in process
/// groups of their own and get it from the tool.
fn comes_from_terminal(signal: i32) -> bool {
    matches!(signal, 1..=3)
}

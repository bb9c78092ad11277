//! Limits to the whole run: how long it takes messages, how fast it starts commands, and which failures end it.

use std::time::Duration;

use super::Run;
use super::message::MessageState;
use super::phase::{Cause, Phase};
use crate::status::Status;

/// A command that starts late by less than a tenth of the pace, and by less than this, does not put off the next ones, so that the
/// rate is kept though no clock wakes in time. What could have started before is not made up for.
const LATENESS: Duration = Duration::from_millis(100);

impl Run {
    /// Ends the run if it has failed with this message, or too often.
    pub(super) fn stop_after_failure(&mut self, status: Status) {
        let in_a_row = self.failures_in_a_row;
        let ends = self.options.failure.ends_run(status, in_a_row);
        if ends && self.phase.lies_in_the_work() {
            self.phase = Phase::Draining(Cause::Stopped(status));
        }
    }

    /// Ends the run if its time is over. Commands may finish; those that failed do not run again.
    pub(super) fn end_in_time(&mut self) {
        if !self.is_out_of_time() || !self.phase.is_consuming() {
            return;
        }
        if !self.connection.is_open() {
            return self.fail("--max-time was over while there was no connection".to_owned());
        }
        self.end_idle();
        let is_cut_short = |state: &MessageState| {
            matches!(state, MessageState::Resting(..) | MessageState::Split(_))
        };
        for id in self.all(is_cut_short) {
            let state = self.in_hand.get(&id).map(|message| &message.state);
            if let Some(&(MessageState::Resting(_, status) | MessageState::Split(status))) = state {
                for id in self.dissolve(id) {
                    self.tell_if_lost(id);
                    self.on_failed(id, status);
                }
            }
        }
    }

    /// Whether the time of the run is over.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.options.max_time.is_some_and(|time| time <= self.now)
    }

    /// When the time of the run is over, while it consumes.
    pub(super) fn time_limit(&self) -> Option<Duration> {
        self.options.max_time.filter(|_| self.phase.is_consuming())
    }

    /// Whether the rate allows that a command starts.
    pub(super) fn may_start_now(&self) -> bool {
        self.next_start <= self.now
    }

    /// The time, or when the rate allows that a command starts.
    pub(super) fn paced(&self, time: Duration) -> Duration {
        time.max(self.next_start)
    }

    /// Puts the next start off.
    pub(super) fn keep_pace(&mut self) {
        if let Some(pace) = self.options.pace {
            let earliest = self.now.saturating_sub(LATENESS.min(pace / 10));
            self.next_start = self.next_start.max(earliest).saturating_add(pace);
        }
    }
}

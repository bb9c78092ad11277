//! What must hold of limits to the whole run: its time, its rate, and the failures that end it.

use std::time::Duration;

use amqp_tools::consume::run::{RunOptions, RunWork};
use amqp_tools::consume::{FailureAction, FailurePolicy};
use amqp_tools::status::Status;

use crate::reached::Reached;
use crate::world::Failure;

/// So much sooner than the rate says a command may start, after one that started late: a tenth of the pace, and this at most.
const LATENESS: Duration = Duration::from_millis(100);

/// What was seen of starts and failures.
#[derive(Debug, Default)]
pub(super) struct Limits {
    starts: u32,
    first_start: Duration,
    last_start: Duration,
    failures_in_a_row: u64,
    /// The status of the failure that ends the run.
    stopped: Option<Status>,
    /// Something else may have ended the run, or it is not known whether a command failed.
    has_other_end: bool,
}

impl Limits {
    pub(super) fn note_other_end(&mut self) {
        self.has_other_end = true;
    }

    /// A command has ended for good, by itself.
    pub(super) fn note_result(
        &mut self,
        status: Status,
        policy: &FailurePolicy,
        reached: &mut Reached,
    ) {
        if status.is_success() {
            self.failures_in_a_row = 0;
            return;
        }
        self.failures_in_a_row += 1;
        if self.has_other_end || self.stopped.is_some() {
            return;
        }
        let is_halted = policy
            .halt
            .is_some_and(|limit| self.failures_in_a_row >= limit.get());
        let is_stopped = policy.action_for(status) == FailureAction::Stop;
        if is_stopped {
            reached.mark("a failed message ends the run");
        } else if is_halted {
            reached.mark("failures in a row end the run");
        }
        self.stopped = (is_stopped || is_halted).then_some(status);
    }

    /// A command starts, or a line is written.
    pub(super) fn judge_start(
        &mut self,
        options: &RunOptions,
        now: Duration,
        reached: &mut Reached,
    ) -> Result<(), Failure> {
        if self.stopped.is_some() {
            return Err(Failure::of(
                "nothing starts after the failure that ends the run",
                "",
            ));
        }
        if options.max_time.is_some_and(|time| time <= now) {
            return Err(Failure::of("nothing starts when the time is over", ""));
        }
        if let (Some(pace), RunWork::Command { .. }, true) =
            (options.pace, &options.work, self.starts > 0)
        {
            let allowed = (self.last_start + pace).max(self.first_start + pace * self.starts);
            let lateness = LATENESS.min(pace / 10);
            if now + lateness < allowed {
                return Err(Failure::of(
                    "no more commands start than the rate allows",
                    format!("at {now:?}, not {allowed:?}"),
                ));
            }
            if now <= allowed + lateness {
                reached.mark("a start waits for the rate");
            }
        } else {
            self.first_start = now;
        }
        self.last_start = now;
        self.starts += 1;
        Ok(())
    }

    pub(super) fn judge_status(&self, status: Status) -> Result<(), Failure> {
        match self.stopped {
            Some(stopped) if stopped != status => Err(Failure::of(
                "the failure that ends the run gives its status",
                format!("{} and not {}", status.code(), stopped.code()),
            )),
            _ => Ok(()),
        }
    }
}

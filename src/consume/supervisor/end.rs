//! The end of the tool: when it comes, what is still to be done then, and the exit status.

use std::time::{Duration, Instant};

use super::Supervisor;
use crate::broker;
use crate::console::say;
use crate::consume::link::{Answer, Link};
use crate::consume::outcome::{self, Account, End};
use crate::consume::signals;
use crate::reason;
use crate::status::Status;

/// How long nothing must come before the broker is asked whether the queue is empty.
const LULL: Duration = Duration::from_millis(50);

/// The same where failed messages were given back. A busy quorum queue takes its time to deliver them again, and says
/// meanwhile that it is empty.
const LULL_AFTER_GIVING_BACK: Duration = Duration::from_secs(5);

/// How far the tool is from its end.
pub(super) enum Stage {
    /// Messages are taken and commands started.
    Consuming,
    /// No more are; running commands end by themselves.
    Draining(Cause),
    /// Running commands have been told to end.
    Stopping(Cause),
}

/// Why the tool is to end.
pub(super) enum Cause {
    /// An orderly end.
    Orderly(End),
    /// The broker, the machine or the reader of its output lets it go on no longer.
    Trouble(anyhow::Error),
}

impl Supervisor {
    /// Sees whether it is time to end for one of the reasons that lie in the work itself.
    pub(super) fn decide_to_end(&mut self, link: &Link) -> broker::Result<()> {
        if !matches!(self.stage, Stage::Consuming) {
            return Ok(());
        }
        let counted = !self.may_begin_another() && !self.is_working();
        let stuck = self.options.limit.is_some() && self.failed.is_full();
        if stuck {
            say("too many messages have failed; they go back to the queue");
        }
        if counted || stuck {
            self.stage = Stage::Draining(Cause::Orderly(End::Counted));
        } else if self.is_idle(Instant::now()) {
            let waits_for_empty_queue =
                self.options.idle.is_some_and(|idle| idle.timeout.is_zero());
            if waits_for_empty_queue && !link.queue_is_drained()? {
                self.quiet_since = Instant::now();
            } else {
                self.stage = Stage::Draining(Cause::Orderly(End::Idle));
            }
        }
        Ok(())
    }

    fn is_working(&self) -> bool {
        !self.crew.is_empty() || !self.printer.is_empty() || !self.resting.is_empty()
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.idle_at().is_some_and(|idle_at| idle_at <= now)
    }

    /// When there will have been nothing to do for long enough, if nothing comes until then.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        let idle = self.options.idle?;
        let is_busy = self.is_working() || !self.waiting.is_empty() || self.failed.is_busy();
        // With a count, failed messages are held to the end; without a limit to their attempts, they might never be done.
        let is_unfinished = self.options.limit.is_none() && self.failed.will_be_done();
        if is_busy || is_unfinished {
            return None;
        }
        let lull = if self.failed.expects_some() {
            LULL_AFTER_GIVING_BACK
        } else {
            LULL
        };
        self.quiet_since.checked_add(idle.timeout.max(lull))
    }

    /// The tool is asked to end: at first it lets commands finish, then it tells them to, then it ends them.
    pub(super) fn on_signal(&mut self, signal: i32) {
        let now = Instant::now();
        let stage = std::mem::replace(&mut self.stage, Stage::Consuming);
        self.stage = match stage {
            Stage::Consuming | Stage::Draining(Cause::Orderly(End::Counted | End::Idle)) => {
                self.grace_ends = self.options.grace.and_then(|grace| now.checked_add(grace));
                Stage::Draining(Cause::Orderly(End::Signal(signal)))
            }
            Stage::Draining(cause) => {
                self.crew.stop_all(now);
                Stage::Stopping(cause)
            }
            Stage::Stopping(cause) => {
                self.crew.kill_all();
                Stage::Stopping(cause)
            }
        };
        if signals::comes_from_terminal(signal) {
            self.crew.pass_on(signal);
        }
    }

    /// Something came up that the tool can't go on after. What it has begun it brings to an end.
    pub(super) fn fail(&mut self, trouble: anyhow::Error) {
        match self.stage {
            Stage::Consuming | Stage::Draining(Cause::Orderly(End::Counted | End::Idle)) => {
                self.stage = Stage::Draining(Cause::Trouble(trouble));
            }
            // It ends already, and for a reason that says more.
            _ => say(&reason::chain(&trouble)),
        }
    }

    pub(super) fn enforce_deadlines(&mut self) {
        let now = Instant::now();
        self.crew.enforce_deadlines(now);
        if self.grace_ends.is_some_and(|end| end <= now) {
            self.grace_ends = None;
            self.stop_commands();
        }
    }

    /// From draining to stopping.
    fn stop_commands(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Consuming);
        self.stage = match stage {
            Stage::Draining(cause) => {
                self.crew.stop_all(Instant::now());
                Stage::Stopping(cause)
            }
            other => other,
        };
    }

    /// Takes no more messages and gives back those that are not worked on. True when everything is settled.
    pub(super) fn wind_up(&mut self, link: &mut Link) -> broker::Result<bool> {
        self.take_no_more(link)?;
        for (_, task) in self.resting.drain(..) {
            link.settle(task.claim, Answer::NotTried)?;
        }
        let is_stopping = matches!(self.stage, Stage::Stopping(_));
        if is_stopping {
            for task in self.printer.give_up() {
                link.settle(task.claim, Answer::NotTried)?;
            }
        }
        if self.is_working() {
            return Ok(false);
        }
        self.unfinished = self.unfinished.or(self.failed.first_status());
        if is_stopping {
            self.failed.give_up(link)?;
        } else {
            self.failed.give_back_all(link)?;
        }
        Ok(!self.failed.is_busy())
    }

    /// Brings to an end what is still worked on though its messages are no longer ours.
    pub(super) fn finish_without_broker(&mut self) {
        if matches!(self.stage, Stage::Draining(Cause::Trouble(_))) {
            self.stop_commands();
        }
        while !self.crew.is_empty() {
            self.enforce_deadlines();
            let event = self.next_event(None);
            self.on_event_without_broker(event);
        }
    }

    pub(super) fn outcome(self) -> anyhow::Result<Status> {
        let end = match self.stage {
            Stage::Draining(Cause::Trouble(error)) | Stage::Stopping(Cause::Trouble(error)) => {
                return Err(error);
            }
            Stage::Draining(Cause::Orderly(end)) | Stage::Stopping(Cause::Orderly(end)) => end,
            Stage::Consuming => return Err(anyhow::anyhow!("ended without a reason")),
        };
        let idle = self.options.idle;
        Ok(outcome::status(&Account {
            end,
            tally: self.tally,
            limit: self.options.limit,
            unfinished: self.unfinished,
            status_if_unused: idle.map_or(Status::SUCCESS, |idle| idle.status_if_unused),
        }))
    }
}

//! The running commands: started, told to end, waited for.
//!
//! All children of the process are waited for here and nowhere else, so that a status can't go to the wrong place; those
//! that nobody knows (orphans that fall to the first process of a container) are only laid to rest.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use super::command::Started;
use super::ending::Ending;
use super::feeder::Feeder;
use super::joblog::Start;
use super::task::Task;

/// How long a command that was told to end by SIGTERM has until SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running command.
pub(super) struct Job {
    /// The message that it runs for.
    pub(super) task: Task,
    /// When it was started.
    pub(super) start: Start,
    state: JobState,
    _feeder: Option<Feeder>,
}

/// Where a command is on its way from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    /// It runs.
    Running {
        /// When it has run too long.
        deadline: Option<Instant>,
    },
    /// A signal that the tool got from its terminal was passed on; whether it ends by that is up to it.
    Signalled {
        /// When it has run too long.
        deadline: Option<Instant>,
    },
    /// It was sent SIGTERM.
    Stopping {
        /// Why.
        reason: StopReason,
        /// When SIGKILL follows.
        kill_at: Instant,
    },
    /// It was sent SIGKILL.
    Killed {
        /// Why it was to end.
        reason: StopReason,
    },
}

/// Why a command was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// It ran too long.
    TimedOut,
    /// The tool is to end.
    Interrupted,
}

impl JobState {
    /// Why the command was told to end, if it was.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        match *self {
            JobState::Running { .. } => None,
            JobState::Signalled { .. } => Some(StopReason::Interrupted),
            JobState::Stopping { reason, .. } | JobState::Killed { reason } => Some(reason),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match *self {
            JobState::Running { deadline } | JobState::Signalled { deadline } => deadline,
            JobState::Stopping { kill_at, .. } => Some(kill_at),
            JobState::Killed { .. } => None,
        }
    }
}

/// The running commands, by process.
#[derive(Default)]
pub(super) struct Crew {
    jobs: HashMap<Pid, Job>,
}

impl Crew {
    /// Takes charge of a command that was just started.
    pub(super) fn enlist(
        &mut self,
        started: Started,
        start: Start,
        task: Task,
        timeout: Option<Duration>,
    ) {
        let job = Job {
            task,
            start,
            state: JobState::Running {
                deadline: timeout.and_then(|timeout| start.instant.checked_add(timeout)),
            },
            _feeder: started.feeder,
        };
        self.jobs.insert(started.pid, job);
    }

    /// How many commands run.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether none runs.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Waits for all children that have ended, and says how those that are ours did.
    pub(super) fn reap(&mut self) -> Vec<(Job, Ending)> {
        let mut ended = Vec::new();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(job) = self.discharge(pid, status) {
                let ending = Ending::of_child(status, &job.state);
                ended.push((job, ending));
            }
        }
        ended
    }

    /// Tells every command to end, because the tool is to.
    pub(super) fn stop_all(&mut self, now: Instant) {
        for (pid, job) in &mut self.jobs {
            job.stop(*pid, StopReason::Interrupted, now);
        }
    }

    /// Ends every command.
    pub(super) fn kill_all(&mut self) {
        for (pid, job) in &mut self.jobs {
            job.kill(*pid);
        }
    }

    /// Passes on a signal that the tool got from its terminal.
    pub(super) fn pass_on(&mut self, number: i32) {
        let Some(signal) = Signal::from_named_raw(number) else {
            return;
        };
        for (pid, job) in &mut self.jobs {
            send(*pid, signal);
            if let JobState::Running { deadline } = job.state {
                job.state = JobState::Signalled { deadline };
            }
        }
    }

    /// Tells those to end that have run too long, and ends those that did not listen.
    pub(super) fn enforce_deadlines(&mut self, now: Instant) {
        for (pid, job) in &mut self.jobs {
            if job.state.deadline().is_none_or(|deadline| now < deadline) {
                continue;
            }
            match job.state {
                JobState::Running { .. } | JobState::Signalled { .. } => {
                    job.stop(*pid, StopReason::TimedOut, now);
                }
                JobState::Stopping { .. } | JobState::Killed { .. } => job.kill(*pid),
            }
        }
    }

    /// When [`Crew::enforce_deadlines`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.jobs
            .values()
            .filter_map(|job| job.state.deadline())
            .min()
    }

    /// The connection is gone, and with it the claim to what the commands run for. Says for how many that is news.
    pub(super) fn lose_claims(&mut self) -> usize {
        self.jobs
            .values_mut()
            .map(|job| job.task.lose_claim())
            .filter(|lost| *lost)
            .count()
    }

    fn discharge(&mut self, pid: Pid, status: WaitStatus) -> Option<Job> {
        if !status.exited() && !status.signaled() {
            return None;
        }
        let job = self.jobs.remove(&pid)?;
        if matches!(
            job.state,
            JobState::Stopping { .. } | JobState::Killed { .. }
        ) {
            // What it has started is to end with it. The number can't be another group's yet: there are too many others.
            send(pid, Signal::KILL);
        }
        Some(job)
    }
}

impl Job {
    fn stop(&mut self, pid: Pid, reason: StopReason, now: Instant) {
        if matches!(
            self.state,
            JobState::Running { .. } | JobState::Signalled { .. }
        ) {
            send(pid, Signal::TERM);
            // A process that is stopped would not hear of it.
            send(pid, Signal::CONT);
            self.state = JobState::Stopping {
                reason,
                kill_at: now + PATIENCE,
            };
        }
    }

    fn kill(&mut self, pid: Pid) {
        send(pid, Signal::KILL);
        self.state = JobState::Killed {
            reason: self.state.stop_reason().unwrap_or(StopReason::Interrupted),
        };
    }
}

/// Sends a signal to a command and all that it has started.
fn send(group: Pid, signal: Signal) {
    // It may have ended this very moment, or run as another user by now; there is nothing else to be done about it.
    let _ = kill_process_group(group, signal);
}

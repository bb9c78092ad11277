//! The options that the core needs.

use std::time::Duration;

use crate::consume::failure::FailurePolicy;
use crate::consume::options::{Acknowledgement, Batch, Coprocess, Form};
use crate::status::Status;

/// What is done with each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunWork {
    /// A command is run.
    Command {
        /// How many at once.
        jobs: usize,
        /// How long each may run.
        timeout: Option<Duration>,
        /// How often a failed command is run again.
        retries: u32,
        /// The pause before the first of these, doubled before each further one.
        retry_delay: Duration,
        /// How messages are given to commands.
        form: Form,
    },
    /// Its line is written.
    Print,
}

/// The options of a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What is done with each message.
    pub work: RunWork,
    /// How many messages to handle; `None`: no limit.
    pub limit: Option<u64>,
    /// Whether the queue is said to be a stream.
    pub is_stream: bool,
    /// The prefetch limit of a subscription.
    pub prefetch: u16,
    /// When messages are acknowledged.
    pub acknowledgement: Acknowledgement,
    /// Whether what a command wrote is published when it has succeeded, before its message is acknowledged.
    pub publishes_output: bool,
    /// Whether it is also published when a message has failed for good.
    pub replies: bool,
    /// What happens to failed messages.
    pub failure: FailurePolicy,
    /// How long no message has come and no command has run when the run ends; zero: as soon as the queue is empty.
    pub idle_timeout: Option<Duration>,
    /// How long the run takes messages.
    pub max_time: Option<Duration>,
    /// The exit status of a run that one of these ended, if no message was handled.
    pub status_if_unused: Status,
    /// The exit status if the tool itself failed.
    pub error_status: Status,
    /// The time from one start of a command to the next.
    pub pace: Option<Duration>,
    /// How long running commands may take after the first signal.
    pub grace: Option<Duration>,
    /// How long connections are opened anew that break without having been of use; zero: no connection is.
    pub retry: Duration,
    /// Whether the broker deletes the queue with its last consumer (auto-delete).
    pub queue_ends_with_consumer: bool,
    /// With a count and `retry`: after how many messages that are not certain they are made so, so that a break leaves few in
    /// doubt.
    pub certain_every: u64,
    /// How many failed messages are held at most.
    pub most_held: usize,
}

impl RunOptions {
    /// Whether a lost connection is opened anew.
    #[must_use]
    pub fn reconnects(&self) -> bool {
        !self.retry.is_zero()
    }

    /// The pause before a command runs again that failed `runs` times; `None`: it does not.
    pub(super) fn retry_pause(&self, runs: u32) -> Option<Duration> {
        let RunWork::Command {
            retries,
            retry_delay,
            ..
        } = self.work
        else {
            return None;
        };
        let doublings = runs.saturating_sub(1).min(16);
        (runs <= retries).then(|| retry_delay.saturating_mul(1 << doublings))
    }

    /// How many messages are worked on at once.
    pub(super) fn places(&self) -> usize {
        match self.work {
            RunWork::Command {
                jobs,
                form: Form::Coprocess(coprocess),
                ..
            } => jobs.saturating_mul(coprocess.unanswered.get().into()),
            RunWork::Command { jobs, .. } => jobs,
            RunWork::Print => self.prefetch.into(),
        }
    }

    /// How many commands run at once.
    pub(super) fn jobs(&self) -> usize {
        match self.work {
            RunWork::Command { jobs, .. } => jobs,
            RunWork::Print => 0,
        }
    }

    pub(super) fn coprocess(&self) -> Option<Coprocess> {
        match self.work {
            RunWork::Command {
                form: Form::Coprocess(coprocess),
                ..
            } => Some(coprocess),
            _ => None,
        }
    }

    pub(super) fn batch(&self) -> Option<Batch> {
        match self.work {
            RunWork::Command {
                form: Form::Batch(batch),
                ..
            } => Some(batch),
            _ => None,
        }
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        match self.work {
            RunWork::Command { timeout, .. } => timeout,
            RunWork::Print => None,
        }
    }
}

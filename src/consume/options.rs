//! What amqp-consume was asked for, validated.

use std::ffi::OsString;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::failure::FailurePolicy;
use crate::queues::Binding;
use crate::status::Status;

/// What amqp-consume was asked for.
#[derive(Clone, Debug)]
pub struct ConsumeOptions {
    /// The queue.
    pub source: SourceQueue,
    /// What is done with each message.
    pub work: Work,
    /// How many messages to handle; `None`: no limit.
    pub limit: Option<u64>,
    /// How many unsettled messages the broker may hand over.
    pub prefetch: NonZeroU16,
    /// When messages are acknowledged.
    pub acknowledgement: Acknowledgement,
    /// What becomes of a message whose command failed.
    pub failure: FailurePolicy,
    /// When to end for want of messages.
    pub idle: Option<Idle>,
    /// How long running commands may take to end after the first signal; `None`: as long as they like.
    pub grace: Option<Duration>,
    /// Where to write a line about each command.
    pub joblog: Option<PathBuf>,
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceQueue {
    /// A queue that exists.
    Existing(String),
    /// A queue to declare, which ends with its last consumer.
    Declared {
        /// Its name; empty: the broker makes one up.
        name: String,
        /// Whether it belongs to this connection alone.
        exclusive: bool,
        /// What it is bound to.
        bindings: Vec<Binding>,
    },
}

/// What is done with each message.
#[derive(Clone, Debug)]
pub enum Work {
    /// A command is run for it.
    Command(Arc<CommandWork>),
    /// Its envelope is written to standard output.
    Print,
}

/// The command to run for each message, and what is granted to it.
#[derive(Clone, Debug)]
pub struct CommandWork {
    /// The program: a path, or a name to look for in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What it reads the body from.
    pub stdin: Stdin,
    /// How many may run at once.
    pub jobs: NonZeroUsize,
    /// How long each may run.
    pub timeout: Option<Duration>,
    /// How often it is run again on the same message before that counts as failed.
    pub retries: u32,
    /// The pause before the first of these, doubled before each further one.
    pub retry_delay: Duration,
}

/// What a command reads the body from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// A pipe.
    #[default]
    Pipe,
    /// A file: it can be sought in, and opened anew as `/dev/stdin`.
    File,
}

/// When messages are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// When their command has exited 0.
    AfterCommand,
    /// Before their command is started.
    OnArrival,
}

/// When to end for want of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// How long none has come and nothing has run; zero: as soon as the queue is empty.
    pub timeout: Duration,
    /// The exit status if not one message was handled.
    pub status_if_unused: Status,
}

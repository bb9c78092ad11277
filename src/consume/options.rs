//! The options of amqp-consume, validated.

use std::ffi::OsString;
use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::failure::FailurePolicy;
use super::offset::StreamOffset;
use super::publication::{OutputTarget, Publishing};
use crate::broker::{Binding, SubscribeOptions};
use crate::status::Status;

/// The options of amqp-consume.
#[derive(Clone, Debug)]
pub struct ConsumeOptions {
    /// The queue.
    pub source: SourceQueue,
    /// How the queue is subscribed to.
    pub subscription: SubscribeOptions,
    /// Where the reading begins, if the queue is said to be a stream.
    pub offset: Option<StreamOffset>,
    /// What is done with each message.
    pub work: Work,
    /// How many messages to handle; `None`: no limit.
    pub limit: Option<u64>,
    /// The prefetch limit.
    pub prefetch: NonZeroU16,
    /// When messages are acknowledged.
    pub acknowledgement: Acknowledgement,
    /// What happens to failed messages.
    pub failure: FailurePolicy,
    /// How the output of commands is published, if it is.
    pub publishing: Option<Publishing>,
    /// Whether each line that a command writes has a tag.
    pub tags: bool,
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
    /// How long running commands may take to end after the first signal; `None`: no limit.
    pub grace: Option<Duration>,
    /// Whether failed commands are not told on standard error.
    pub quiet: bool,
    /// The file for a line about each command.
    pub joblog: Option<JoblogFile>,
    /// HOST:PORT of the status server.
    pub status_address: Option<String>,
}

impl ConsumeOptions {
    /// Whether the run ends where the stream ends when it begins.
    pub(super) fn reads_to_the_end(&self) -> bool {
        self.offset.is_some() && self.idle_timeout == Some(Duration::ZERO)
    }

    /// Where outputs go, if they are published.
    pub(super) fn output_target(&self) -> Option<&OutputTarget> {
        self.publishing.as_ref()?.target.as_ref()
    }
}

/// The job log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoblogFile {
    /// Its path.
    pub path: PathBuf,
    /// The format of its lines.
    pub format: JoblogFormat,
}

/// The format of the job log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoblogFormat {
    /// Fields with tabs between them, as GNU parallel's.
    #[default]
    Tsv,
    /// JSON objects, which also say what became of the message.
    Json,
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceQueue {
    /// A queue that exists.
    Existing(String),
    /// A queue to declare, which the broker deletes with its last consumer.
    Declared {
        /// Its name; empty: the broker names it.
        name: String,
        /// Whether it is exclusive to this connection.
        exclusive: bool,
        /// Its bindings.
        bindings: Vec<Binding>,
    },
}

/// What is done with each message.
#[derive(Clone, Debug)]
pub enum Work {
    /// A command is run for it.
    Command(Arc<CommandWork>),
    /// Its envelope is written to standard output.
    Print {
        /// Also where it cannot hold all of the message.
        lossy: bool,
    },
}

/// The command to run for each message, and its limits.
#[derive(Clone, Debug)]
pub struct CommandWork {
    /// The program: a path, or a name to look for in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its kind of standard input.
    pub stdin: Stdin,
    /// Whether `AMQP_URL` is kept from it.
    pub hides_url: bool,
    /// How many may run at once.
    pub jobs: NonZeroUsize,
    /// How long each may run.
    pub timeout: Option<Duration>,
    /// How often it runs again on the same message before the message counts as failed.
    pub retries: u32,
    /// The pause before the first of these, doubled before each further one.
    pub retry_delay: Duration,
    /// How messages are given to commands.
    pub form: Form,
    /// How they follow one another where a command gets several.
    pub framing: Framing,
}

/// How messages are given to commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Each message has a command of its own.
    #[default]
    Single,
    /// A command gets several messages.
    Batch(Batch),
    /// A command gets message after message, and answers each.
    Coprocess(Coprocess),
}

/// The limits of a command that gets several messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many at most.
    pub size: NonZeroU16,
    /// How long the first one waits for the others.
    pub wait: Duration,
    /// Whether a batch that failed is run again in halves.
    pub splits: bool,
}

impl Batch {
    /// How many messages it has at most.
    #[must_use]
    pub fn size(self) -> usize {
        self.size.get().into()
    }
}

/// The limits of a command that answers message after message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coprocess {
    /// How many messages it may have that it has not answered.
    pub unanswered: NonZeroU16,
    /// After how many messages another one is started in its place.
    pub recycle: Option<NonZeroU64>,
}

/// How messages follow one another on one standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Envelopes, a line each.
    #[default]
    Json,
    /// Bodies, a newline after each that does not end in one.
    Lines,
    /// Bodies, a NUL after each.
    Null,
}

/// The kind of a command's standard input, which holds the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// A pipe.
    #[default]
    Pipe,
    /// A file. It is seekable, and can be opened as `/dev/stdin`.
    File,
}

/// When messages are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// After their command has exited 0.
    AfterCommand,
    /// Before their command starts.
    OnArrival,
}

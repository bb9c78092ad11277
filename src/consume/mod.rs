//! amqp-consume: a command for each message, and the message settled by how the command ended.
//!
//! One thread, the supervisor's loop, does it all; it waits for whatever comes first of messages, ended commands, signals
//! and deadlines. Broker -> task -> command -> ending -> answer to the broker -> exit status.

mod command;
mod crew;
mod ending;
mod environment;
mod failed;
mod failure;
mod feeder;
mod held;
mod joblog;
mod link;
mod options;
mod outbox;
mod outcome;
mod printer;
mod reissue;
pub mod run;
pub(crate) mod signals;
mod supervisor;
mod task;

pub use failure::{Action, AttemptLimit, FailurePolicy, Rule};
pub use options::{
    Acknowledgement, CommandLine, CommandWork, ConsumeOptions, Idle, Source, Stdin, Work,
};

use anyhow::Context;

use crate::broker::ConnectOptions;
use crate::status::Status;
use crate::stdout;
use signals::Notices;
use supervisor::Supervisor;

/// Runs the command for each message, or prints it, until there is a reason to end.
pub fn consume(connect: &ConnectOptions, options: ConsumeOptions) -> anyhow::Result<Status> {
    if matches!(options.work, Work::Print) {
        stdout::ensure_open().context("standard output")?;
    }
    // First of all: a signal that comes while we connect is to end us in order.
    let notices = Notices::listen().context("taking note of signals")?;
    Supervisor::new(options, notices, connect)?.run()
}

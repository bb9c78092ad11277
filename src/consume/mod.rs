//! amqp-consume: a command for each message, and the message settled by how the command ended.
//!
//! [`run`] decides, without I/O; `driver` waits, tells it what happened and does what it says. Broker -> delivery -> command ->
//! exit status -> settlement -> exit status of the tool.
//!
//! * `run`: the core: where each message is, and how far the run.
//! * `driver`: the loop, and the threads that may wait: for the broker, for standard output, for confirms.
//! * `options`, `failure`: what was asked for.
//! * `command`, `feeder`, `environment`: a command is started, with the body and the message's properties.
//! * `republish`: copies of failed messages.
//! * `signals`, `joblog`: signals to the tool, its log of commands.

mod driver;
mod failure;
mod joblog;
mod options;
mod process;
mod republish;
pub mod run;
mod signals;

pub use failure::{AttemptLimit, DeliveryLimit, FailureAction, FailurePolicy, Rule};
pub use options::{Acknowledgement, CommandWork, ConsumeOptions, Idle, SourceQueue, Stdin, Work};

use anyhow::Context;

use crate::broker::ConnectOptions;
use crate::status::Status;
use crate::system::stdout;
use driver::Driver;
use signals::SignalQueue;

/// Runs the command for each message, or prints it, until there is a reason to end.
pub fn consume(connect: &ConnectOptions, options: ConsumeOptions) -> anyhow::Result<Status> {
    if matches!(options.work, Work::Print) {
        stdout::ensure_open().context("standard output")?;
    }
    // First of all: a signal that comes while we connect is to end us in order.
    let signals = SignalQueue::listen().context("taking note of signals")?;
    Driver::new(options, signals, connect)?.run()
}

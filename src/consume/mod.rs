//! amqp-consume: runs a command for each message and settles the message by the command's exit status.
//!
//! ```text
//! delivery ─► command ─► exit status ─► acknowledgement, requeue, reject or republication ─► exit status of the tool
//! ```
//!
//! [`run`] decides everything and has no I/O. `driver` waits, tells the core what happened, and carries out its actions.
//!
//! * `options`, `failure`: what the command line asks for; `failure` decides by exit status and number of failures.
//! * `run`: the core: the state of each message, of the connection and of the run.
//! * `driver`: the loop, and the threads that wait for the broker, for standard output and for confirms.
//! * `process`: commands as processes.
//! * `republish`: what a republished copy of a failed message looks like.
//! * `signals`: signals to the tool.
//! * `joblog`: the log of commands.

mod driver;
mod failure;
mod joblog;
mod options;
mod process;
pub(crate) mod republish;
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
    // Signals come first, so that one that comes while the tool connects ends it in order.
    let signals = SignalQueue::listen().context("taking note of signals")?;
    Driver::new(options, signals, connect)?.run()
}

//! amqp-move: messages from a queue to another, each acknowledged once its copy is confirmed and routed, many at a time.
//!
//! ```text
//! source ─► driver ─► copy ─► target
//!             │ ▲               │
//!             ▼ │               ▼
//!             run ◄─ deliveries, confirms, signals, time
//! ```
//!
//! **The theory.** No message is lost, because none is acknowledged before the broker has confirmed that a queue has its
//! copy: killed at any moment, the tool leaves it in the source, in the target, or in both. Exit status 0 says more: that no
//! moved message is left in the source. That is known once the acknowledgements are certain. [`run`] keeps account of both;
//! it has no I/O and is simulated (`cargo xtask simulate move`).
//!
//! One session takes and publishes on one channel: so copies are published in the order of the deliveries, and have their
//! numbers.
//!
//! * `options`, `outcome`: what is asked for, and what came of it.
//! * `copy`: what a copy is like.
//! * `run`: the core. `driver`: all around it.
//! * `monitor`: what `--status-address` shows.

mod copy;
mod driver;
mod monitor;
mod options;
mod outcome;
// Public for the simulator alone.
#[doc(hidden)]
pub mod run;

pub use options::{Destination, Form, MoveOptions};
pub use outcome::{Ending, Outcome};
pub use run::{Extent, Tally};

use anyhow::Context as _;

use crate::broker::ConnectOptions;
use crate::monitoring::StatusServer;
use crate::publish::interrupts::Caught;
use crate::system::closed;
use monitor::Monitor;

/// Moves messages, and says what came of it. A signal that comes afterwards ends the process.
#[must_use]
pub fn transfer(connect: &ConnectOptions, options: &MoveOptions) -> Outcome {
    try_transfer(connect, options).unwrap_or_else(|error| Outcome {
        ending: Ending::Failed(error),
        tally: Tally::default(),
    })
}

/// An error means that nothing was moved.
fn try_transfer(connect: &ConnectOptions, options: &MoveOptions) -> anyhow::Result<Outcome> {
    if options.form == Form::Json {
        closed::ensure_stdout_open().context("standard output")?;
    }
    let address = options.status_address.as_deref();
    let server = address.map(StatusServer::listen_for).transpose()?;
    let caught = Caught::signals().context("listening for signals")?;
    let monitor = Monitor::start(server).context("starting a thread")?;
    driver::transfer(connect, options, caught, monitor)
}

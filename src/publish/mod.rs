//! amqp-publish: records are read, published as messages, and confirmed, many at a time.
//!
//! ```text
//! input ─► reader ─► records ─► driver ─► broker
//!  (files)  (thread,   (cut,      │  ▲      │
//!           chunks)   digested)   ▼  │      ▼
//!                                run ◄─ confirmations, returns, signals, time
//! ```
//!
//! **The theory.** Exit status 0 says that every record is confirmed; the checkpoint says up to where all are; whatever
//! else happens, stderr says how many are confirmed and which is the first that is not. All that this depends on is one
//! state, [`run`]: which records are in flight, what the broker has said of each, which connection it said it on, what the
//! checkpoint knows, and why the run ends, if it does. It has no I/O: it is told of events and says what is to be done.
//! So it can be run through millions of schedules in the simulator (`cargo xtask simulate publish`).
//!
//! What must hold there:
//!
//! * A record is done with when it and all before it are confirmed: the window begins with the first that is not.
//! * Numbers of confirmations count for one connection. What is in doubt when a connection is lost is sent again, with new
//!   numbers; what was returned or rejected before has ended the run.
//! * The cause of an end does not change: what happens afterwards only says more about records on the way. Two exceptions:
//!   a rejected message may come back yet, and success is lost where the checkpoint cannot be written.
//! * Every wait has an end: the broker's heartbeats, 30 s without a confirmation, 5 s after a signal.
//!
//! The driver keeps what belongs to the outside: bodies and places by their records' numbers, the session, the files. It
//! takes in what is at hand, tells the run, does what that says in this order, and tells it what failed.
//!
//! * `options`, `preparation`, `survey`, `template`: what is asked for, and what can be found out beforehand.
//! * `input`, `reader`, `chunks`, `records`, `digest`: from files to records.
//! * `run`: the core. `driver`: all around it.
//! * `checkpoint`, `progress`, `screen`, `interrupts`: files, the terminal, signals.
//! * `outcome`: what came of it.

mod checkpoint;
mod driver;
mod input;
mod interrupts;
mod options;
mod outcome;
mod preparation;
mod progress;
// Public for the simulator alone.
#[doc(hidden)]
pub mod run;

use std::time::Instant;

#[doc(hidden)]
pub use input::cut_into_records;
pub use input::{Input, Inputs};
pub use options::{Address, BodySource, PublishOptions, Records, Routing};
pub use outcome::Outcome;
pub use run::{Ended, Tally};

use crate::broker::ConnectOptions;
use crate::reason::chain;
use anyhow::Context as _;
use interrupts::Caught;
use preparation::Preparation;

/// Publishes everything, and says what came of it. A signal that comes afterwards ends the process.
#[must_use]
pub fn publish(connect: &ConnectOptions, options: PublishOptions) -> Outcome {
    let began = Instant::now();
    let is_confirmed = options.max_in_flight.is_some();
    let (ended, tally, first_unconfirmed) = try_publish(connect, options)
        .unwrap_or_else(|error| (Ended::Failed(chain(&error)), Tally::default(), None));
    Outcome {
        ended,
        is_confirmed,
        tally,
        first_unconfirmed,
        took: began.elapsed(),
    }
}

/// An error means that nothing was sent.
fn try_publish(
    connect: &ConnectOptions,
    options: PublishOptions,
) -> anyhow::Result<(Ended, Tally, Option<String>)> {
    let caught = Caught::signals().context("listening for signals")?;
    let preparation = Preparation::for_options(options)?;
    driver::publish(connect, preparation, caught)
}

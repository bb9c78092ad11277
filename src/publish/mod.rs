//! amqp-publish: reads records, publishes them as messages, and has them confirmed, many at a time.
//!
//! ```text
//! input ─► reader ─► records ─► driver ─► broker
//!  (files)  (thread,   (cut,      │  ▲      │
//!           chunks)   digested)   ▼  │      ▼
//!                                run ◄─ confirms, returns, signals, time
//! ```
//!
//! **Theory of operation.** Exit status 0 says that every record is confirmed. The checkpoint says up to which record all are
//! confirmed. After a failure, standard error says how many are confirmed and which is the first that is not. All this depends on one
//! state, [`run`]: which records are in flight, what the broker said about each and on which connection, what the checkpoint
//! contains, and why the run ends. It has no I/O: it takes events and returns actions. So the simulator can run it through millions of
//! schedules (`cargo xtask simulate publish`).
//!
//! Its invariants:
//!
//! * A record leaves the window when it and all records before it are confirmed.
//! * Numbers of confirms count for one connection. Records that are in doubt when a connection is lost are sent again, with new
//!   numbers. A returned or rejected record has ended the run before.
//! * A broker may reject a message and return it later (Apache Qpid does). So an ending run asks the broker a question once no
//!   message is in flight. A rejected message that is not returned before the answer was rejected for good.
//! * The first cause of an end counts. There are these exceptions: a rejected message is returned, which is the better reason; success
//!   is lost if the checkpoint cannot be written or, without confirms, if connection.close is not answered; without confirms, a signal
//!   changes nothing if everything was sent and the broker says that it has it.
//! * Every wait has an end. A broker without heartbeats is given up. After 30 s without a confirm another connection asks whether the
//!   queue exists; an ending run gives up after such a silence. After a signal, messages in flight have 5 s. The question for returns
//!   and connection.close have 5 s. Only a live broker that is blocked, or that has the queue and confirms nothing, is waited for until
//!   a signal comes.
//!
//! The driver keeps what belongs to the outside: bodies and locations by their records' numbers, the session, the files. It takes in
//! what has come, tells the core, carries out the actions in order, and tells the core what failed.
//!
//! * `options`: what the command line asks for.
//! * `preparation`: what can be found out, and can fail, before connecting.
//! * `input`: from files to records.
//! * `run`: the core.
//! * `driver`: everything around the core.
//! * `checkpoint`: the file that records how far the input is confirmed.
//! * `progress`: the progress on standard error.
//! * `monitor`: what `--status-address` shows.
//! * `subject`: what a checkpoint is about.
//! * `interrupts`: signals.
//! * `outcome`: the result of a run.

mod checkpoint;
pub(crate) mod driver;
mod input;
pub(crate) mod interrupts;
mod monitor;
mod options;
mod outcome;
mod preparation;
pub(crate) mod progress;
// Public for the simulator alone.
#[doc(hidden)]
pub mod run;
mod subject;

use std::time::Instant;

#[doc(hidden)]
pub use input::cut_into_records;
pub use input::{Input, Inputs};
pub use options::{Address, BodySource, OwnProperties, PublishOptions, Records, Routing};
pub use outcome::Outcome;
pub use run::{Ended, Tally};

use crate::broker::ConnectOptions;
use crate::monitoring::StatusServer;
use crate::reason::chain;
use anyhow::Context as _;
use interrupts::Caught;
use monitor::Monitor;
use preparation::Preparation;

/// Publishes everything and returns the outcome. A signal that comes afterwards ends the process.
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

/// An error means that nothing was published.
fn try_publish(
    connect: &ConnectOptions,
    options: PublishOptions,
) -> anyhow::Result<(Ended, Tally, Option<String>)> {
    let address = options.status_address.as_deref();
    let server = address.map(StatusServer::listen_for).transpose()?;
    let caught = Caught::signals().context("listening for signals")?;
    let monitor = Monitor::start(server).context("starting a thread")?;
    let preparation = Preparation::for_options(connect, options)?;
    driver::publish(connect, preparation, caught, monitor)
}

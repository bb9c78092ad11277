//! amqp-publish: a thread reads the inputs in chunks, these are cut into records, each is published as a message, and
//! the broker confirms them, many at a time, while the next ones are on their way.

mod checkpoint;
mod chunks;
mod digest;
mod driver;
mod input;
mod interrupts;
mod options;
mod outcome;
mod preparation;
mod progress;
mod reader;
mod records;
// Public for the simulator alone.
#[doc(hidden)]
pub mod run;
mod screen;
mod survey;
mod template;

use std::time::Instant;

#[doc(hidden)]
pub use chunks::cut_into_records;
pub use input::{Input, Inputs, List, Terminator};
pub use options::{
    Address, Confirms, LineEnd, PublishOptions, Records, Routing, ShowProgress, Source,
};
pub use outcome::{Ending, Outcome};
pub use run::Tally;

use crate::broker::ConnectOptions;
use anyhow::Context as _;
use driver::Published;
use interrupts::Caught;
use preparation::Preparation;

/// Publishes everything, and says what came of it. A signal that comes afterwards ends the process.
#[must_use]
pub fn publish(connect: &ConnectOptions, options: PublishOptions) -> Outcome {
    let began = Instant::now();
    let confirms = options.confirms;
    let (ending, published) = match try_publish(connect, options) {
        Ok(published) => published,
        Err(error) => (Ending::Failed(error), Published::default()),
    };
    Outcome {
        ending,
        confirms,
        tally: published.tally,
        first_unconfirmed: published.first_unconfirmed,
        took: began.elapsed(),
    }
}

/// An error means that nothing was sent.
fn try_publish(
    connect: &ConnectOptions,
    options: PublishOptions,
) -> anyhow::Result<(Ending, Published)> {
    let caught = Caught::signals().context("listening for signals")?;
    let preparation = Preparation::for_options(options)?;
    driver::publish(connect, preparation, caught)
}

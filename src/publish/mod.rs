//! amqp-publish: a thread reads the inputs in chunks, these are cut into records, each is published as a message, and
//! the broker confirms them, many at a time, while the next ones are on their way.

mod checkpoint;
mod chunks;
mod digest;
mod input;
mod interrupts;
mod options;
mod outcome;
mod preparation;
mod progress;
mod pump;
mod reader;
mod records;
mod screen;
mod sessions;
mod survey;
mod template;
mod window;

use std::time::Instant;

#[doc(hidden)]
pub use chunks::cut_into_records;
pub use input::{Input, Inputs, List, Terminator};
pub use options::{
    Address, Confirms, LineEnd, PublishOptions, Records, Routing, ShowProgress, Source,
};
pub use outcome::{Ending, Outcome};
pub use window::Tally;

use crate::broker::ConnectOptions;
use preparation::Preparation;

/// Publishes everything, and says what came of it.
#[must_use]
pub fn publish(connect: &ConnectOptions, options: PublishOptions) -> Outcome {
    let began = Instant::now();
    let confirms = options.confirms;
    let (ending, pumped) = match Preparation::for_options(options) {
        Ok(preparation) => sessions::publish(connect, preparation),
        Err(error) => (Ending::Failed(error), sessions::Pumped::default()),
    };
    Outcome {
        ending,
        confirms,
        tally: pumped.tally,
        first_unconfirmed: pumped.first_unconfirmed,
        took: began.elapsed(),
    }
}

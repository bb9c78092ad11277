//! amqp-publish: inputs are read by a thread and cut into records, each is published as a message, and the broker
//! confirms them, many at a time, while the next ones are on their way.

mod chunks;
mod input;
mod interrupts;
mod options;
mod outcome;
mod pump;
mod reader;
mod records;
mod window;

use std::time::Instant;

use anyhow::Context;

pub use input::Input;
pub use options::{Address, Confirms, LineEnd, PublishOptions, Records, Routing, Source};
pub use outcome::{Ending, Outcome};
pub use window::Tally;

use crate::broker::{ConnectOptions, Session};
use interrupts::Interrupts;
use pump::{Pump, Stop};
use records::RecordMaker;

/// Publishes everything, and says what came of it. An error means that it did not come to that: nothing was sent.
pub fn publish(connect: &ConnectOptions, options: &PublishOptions) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let interrupts = Interrupts::listen().context("listening for signals")?;
    let session = Session::open(connect)?;
    let (chunks, records) = reader::start(options.source.clone()).context("starting to read")?;
    let maker = RecordMaker::new(records, options)?;
    let mut pump = Pump::new(maker, chunks, &interrupts, options.confirms);
    interrupts.watch_over(&session);
    let ending = pump.run(&session);
    let ending = conclude(ending, session, options.confirms);
    Ok(Outcome {
        ending,
        tally: pump.tally(),
        first_unconfirmed: pump.first_unconfirmed().map(|place| place.to_string()),
        took: started.elapsed(),
    })
}

/// Closes the session and finds out why it ended, if it did so by itself.
fn conclude(ended: Result<(), Stop>, session: Session, confirms: Confirms) -> Ending {
    match (ended, confirms) {
        // All that was asked for is confirmed; what closing brings cannot change that.
        (Ok(()), Confirms::Awaited { .. }) => {
            let _ = session.close();
            Ending::Complete
        }
        (Ok(()), Confirms::Off) => match session.close() {
            Ok(()) => Ending::Complete,
            Err(error) => Ending::Failed(error.into()),
        },
        (Err(Stop::Failed(error)), _) => Ending::Failed(error),
        (Err(Stop::Lost), _) => Ending::Failed(session.autopsy("basic.publish").into()),
        (Err(Stop::Interrupted(signal)), _) => Ending::Interrupted(signal),
    }
}

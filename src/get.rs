//! amqp-get: messages from a queue to standard output, acknowledged once they are written.

use std::io::{self, Write};
use std::num::NonZeroU64;

use anyhow::Context;

use crate::broker::{ConnectOptions, Delivery, Session};
use crate::envelope;
use crate::status::Status;
use crate::stdout;

/// What amqp-get was asked for.
#[derive(Clone, Debug)]
pub struct GetOptions {
    /// The queue's name.
    pub queue: String,
    /// How many messages at most.
    pub count: NonZeroU64,
    /// How each is written.
    pub form: Form,
    /// What becomes of a message that has been written.
    pub fate: Fate,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its body alone, without anything before or after it.
    Body,
    /// Its envelope, on a line.
    Envelope,
}

/// What becomes of a message that has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is acknowledged, and gone.
    Taken,
    /// It goes back to its place in the queue. Until the last one is written all are held, so that none is seen twice.
    GivenBack,
}

/// Takes messages while there are any, and writes them to standard output.
pub fn get(connect: &ConnectOptions, options: &GetOptions) -> anyhow::Result<Status> {
    stdout::ensure_open().context("standard output")?;
    let session = Session::open(connect)?;
    let mut status = Status::QUEUE_EMPTY;
    let mut held = Vec::new();
    for _ in 0..options.count.get() {
        let Some(delivery) = session.get(&options.queue)? else {
            break;
        };
        write(&delivery, options.form)
            .context("writing the message to standard output (it stays in the queue)")?;
        match options.fate {
            Fate::Taken => delivery.unsettled.ack(&session)?,
            Fate::GivenBack => held.push(delivery.unsettled),
        }
        status = Status::SUCCESS;
    }
    for unsettled in held {
        unsettled.requeue(&session)?;
    }
    session.close()?;
    Ok(status)
}

fn write(delivery: &Delivery, form: Form) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match form {
        Form::Body => stdout.write_all(&delivery.message.body)?,
        Form::Envelope => {
            let line = envelope::to_json_line(&delivery.message, Some(delivery.redelivered));
            writeln!(stdout, "{line}")?;
        }
    }
    stdout.flush()
}

//! amqp-get: messages from a queue to standard output, acknowledged once they are written.

use std::io::{self, Write};

use anyhow::Context;

use crate::broker::{ConnectOptions, Session};
use crate::status::Status;
use crate::stdout;

/// What amqp-get was asked for.
#[derive(Clone, Debug)]
pub struct GetOptions {
    /// The queue's name.
    pub queue: String,
}

/// Takes a message and writes its body to standard output.
pub fn get(connect: &ConnectOptions, options: &GetOptions) -> anyhow::Result<Status> {
    stdout::ensure_open().context("standard output")?;
    let session = Session::open(connect)?;
    let Some(delivery) = session.get(&options.queue)? else {
        session.close()?;
        return Ok(Status::QUEUE_EMPTY);
    };
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&delivery.message.body)
        .and_then(|()| stdout.flush())
        .context("writing the message to standard output (it stays in the queue)")?;
    delivery.unsettled.ack(&session)?;
    session.close()?;
    Ok(Status::SUCCESS)
}

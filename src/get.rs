//! amqp-get: messages from a queue to standard output, acknowledged once they are written.

use std::io::{self, Write};
use std::num::NonZeroU64;

use anyhow::Context;

use crate::broker::{
    self, CERTAIN_AT_CLOSE, ConnectOptions, Delivery, DeliveryCount, LeftChannel, Session,
};
use crate::envelope;
use crate::status::Status;
use crate::system::signals::end_at_signals;
use crate::system::stdout;

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
    end_at_signals().context("taking note of signals")?;
    let session = Session::open(connect)?;
    let written = match options.fate {
        Fate::Taken => take(session, options)?,
        Fate::GivenBack => look_at(session, connect, options)?,
    };
    Ok(match written {
        0 => Status::QUEUE_EMPTY,
        _ => Status::SUCCESS,
    })
}

/// Messages that were taken for good.
#[derive(Default)]
struct Taken {
    written: u64,
    /// How many acknowledgements are certain: the broker has answered something since.
    acknowledged: u64,
}

/// Writes and acknowledges messages, one after the other. Says how many.
fn take(mut session: Session, options: &GetOptions) -> anyhow::Result<u64> {
    let mut taken = Taken::default();
    let outcome = taken.write_all(&mut session, options);
    let closed = session.close();
    if closed.is_ok() {
        taken.acknowledged = taken.written;
    }
    match outcome.and_then(|()| Ok(closed?)) {
        Err(error) if taken.written > 0 => Err(error.context(format!(
            "{} written, {} acknowledged for certain",
            taken.written, taken.acknowledged
        ))),
        outcome => outcome.map(|()| taken.written),
    }
}

impl Taken {
    fn write_all(&mut self, session: &mut Session, options: &GetOptions) -> anyhow::Result<()> {
        let mut on_this_channel = 0;
        while self.written < options.count.get() {
            if on_this_channel == CERTAIN_AT_CLOSE {
                session.change_channel()?.close(session)?;
                on_this_channel = 0;
            }
            let delivery = session.get(&options.queue)?;
            self.acknowledged = self.written;
            let Some(delivery) = delivery else {
                break;
            };
            if let Err(error) = write(&delivery, options.form) {
                delivery.unsettled.requeue(session)?;
                return Err(error);
            }
            self.written += 1;
            delivery.unsettled.ack(session)?;
            on_this_channel += 1;
        }
        Ok(())
    }
}

/// Writes messages, holding all until the last is written, and gives them back. Says how many.
fn look_at(
    mut session: Session,
    connect: &ConnectOptions,
    options: &GetOptions,
) -> anyhow::Result<u64> {
    let mut held = Held::default();
    let outcome = held.write_all(&mut session, connect, options);
    let count = held.count;
    held.give_back(session)?;
    outcome.map(|()| count)
}

/// How many messages are given back alike to every kind of queue. A classic queue takes its time for each that is given
/// back by basic.nack, the more the longer it is, and serves nobody meanwhile.
const FEW: u64 = 1000;

/// Messages that were written and are not given back yet.
#[derive(Default)]
struct Held {
    count: u64,
    way_back: WayBack,
    /// Those of them that the present channel does not hold.
    elsewhere: Vec<LeftChannel>,
}

/// How messages go back to their queue.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum WayBack {
    /// By basic.nack. On a quorum queue that keeps their order, and does not count as a failed delivery (`RabbitMQ` 4.3).
    #[default]
    Nack,
    /// By closing the channel: a classic queue takes back all of them at once.
    Close,
}

impl Held {
    fn write_all(
        &mut self,
        session: &mut Session,
        connect: &ConnectOptions,
        options: &GetOptions,
    ) -> anyhow::Result<()> {
        let mut on_this_channel = 0;
        while self.count < options.count.get() {
            if self.count == FEW {
                self.way_back = way_back_of_many(connect, &options.queue)?;
            }
            if self.way_back == WayBack::Nack && on_this_channel == CERTAIN_AT_CLOSE {
                self.leave_channel(session)?;
                on_this_channel = 0;
            }
            // Answered for together with all the others of its channel.
            let Some(delivery) = session.get(&options.queue)? else {
                break;
            };
            write(&delivery, options.form)?;
            self.count += 1;
            on_this_channel += 1;
        }
        Ok(())
    }

    fn leave_channel(&mut self, session: &mut Session) -> anyhow::Result<()> {
        let left = session.change_channel().with_context(|| {
            format!("{} messages are more than can be held at once", self.count)
        })?;
        self.elsewhere.push(left);
        Ok(())
    }

    /// Gives back those that were got first, first.
    fn give_back(self, mut session: Session) -> broker::Result<()> {
        match self.way_back {
            WayBack::Nack => {
                for channel in self.elsewhere {
                    channel.give_back_all(&session)?;
                    channel.close(&session)?;
                }
                session.give_back_all()?;
            }
            WayBack::Close => {
                for channel in self.elsewhere {
                    channel.close(&session)?;
                }
                session.change_channel()?.close(&session)?;
            }
        }
        session.close()
    }
}

fn way_back_of_many(connect: &ConnectOptions, queue: &str) -> broker::Result<WayBack> {
    let kind = Session::open(connect)?.learn_delivery_count(queue);
    Ok(match kind {
        DeliveryCount::NotKept => WayBack::Close,
        DeliveryCount::Kept | DeliveryCount::Unknown => WayBack::Nack,
    })
}

fn write(delivery: &Delivery, form: Form) -> anyhow::Result<()> {
    write_to_stdout(delivery, form)
        .context("writing the message to standard output (it stays in the queue)")
}

fn write_to_stdout(delivery: &Delivery, form: Form) -> io::Result<()> {
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

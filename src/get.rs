//! amqp-get: writes messages of a queue to standard output, and acknowledges them after that.

use std::io::{self, Write};
use std::num::NonZeroU64;

use anyhow::{Context, bail};

use crate::broker::{
    self, CERTAIN_AT_CLOSE, ConnectOptions, Delivery, DeliveryCount, LeftChannel, Session,
};
use crate::envelope;
use crate::message::Fidelity;
use crate::status::Status;
use crate::streams;
use crate::system::closed;
use crate::system::signals::end_at_signals;
use crate::system::stderr::warn;
use crate::system::stdout::Format;

/// The options of amqp-get.
#[derive(Clone, Debug)]
pub struct GetOptions {
    /// The queue's name.
    pub queue: String,
    /// The maximum number of messages.
    pub count: NonZeroU64,
    /// How each is written: its body alone, or its envelope on a line.
    pub format: Format,
    /// Whether a message is also written where an envelope cannot hold all of it.
    pub lossy: bool,
    /// Whether the messages are requeued when the last one is written, instead of being acknowledged.
    pub requeue: bool,
}

/// Takes messages while there are any, and writes them to standard output.
pub fn get(connect: &ConnectOptions, options: &GetOptions) -> anyhow::Result<Status> {
    closed::ensure_stdout_open().context("standard output")?;
    end_at_signals().context("taking note of signals")?;
    let session = Session::open(connect)?;
    let written = if options.requeue {
        look_at(session, connect, options)
    } else {
        take(session, options)
    };
    let written = written.map_err(|error| {
        streams::explain(
            error,
            "a stream is read by amqp-consume, from its beginning with --offset first",
        )
    })?;
    Ok(match written {
        0 => Status::QUEUE_EMPTY,
        _ => Status::SUCCESS,
    })
}

/// Messages that were written and acknowledged.
#[derive(Default)]
struct Taken {
    written: u64,
    /// How many acknowledgements are certain, since the broker has answered after them.
    acknowledged: u64,
}

/// Writes and acknowledges messages, one after another. Returns their number.
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
            if let Err(error) = write(&delivery, options, self.written + 1) {
                // If this fails, the channel has ended, and the broker requeues the message by itself.
                let _ = delivery.unsettled.requeue(session);
                return Err(error);
            }
            self.written += 1;
            delivery.unsettled.ack(session)?;
            on_this_channel += 1;
        }
        Ok(())
    }
}

/// Writes messages, and requeues them when the last one is written, so that none is written twice. Returns their number.
fn look_at(
    mut session: Session,
    connect: &ConnectOptions,
    options: &GetOptions,
) -> anyhow::Result<u64> {
    let mut held = Held::default();
    let outcome = held.write_all(&mut session, connect, options);
    let count = held.count;
    let given_back = held.give_back(session);
    // The first failure is told. If requeuing fails too, the channel has ended, and the broker requeues the messages by itself.
    outcome?;
    given_back?;
    Ok(count)
}

/// Up to this number, messages are requeued in the same way for every type of queue. With more, basic.nack is slow on a classic queue,
/// and blocks it meanwhile.
const FEW: u64 = 1000;

/// Messages that were written and are not requeued yet.
#[derive(Default)]
struct Held {
    count: u64,
    /// Whether closing the channel requeues them, and not basic.nack. That is faster on a classic queue. On a quorum queue basic.nack
    /// keeps their order, and does not count as a failed delivery (`RabbitMQ` 4.3).
    by_closing: bool,
    /// The earlier channels, which hold some of them.
    elsewhere: Vec<LeftChannel>,
    has_warned: bool,
}

const LOOKS_ARE_COUNTED: &str = "warning: a quorum queue of this RabbitMQ counts each --requeue as a delivery, and a message here \
     has 10 or more; after 20 it is dead-lettered, or lost where the queue has no dead-letter exchange";

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
                self.by_closing = keeps_no_delivery_count(connect, &options.queue)?;
            }
            if !self.by_closing && on_this_channel == CERTAIN_AT_CLOSE {
                self.leave_channel(session)?;
                on_this_channel = 0;
            }
            // It is settled with all others of its channel.
            let Some(delivery) = session.get(&options.queue)? else {
                break;
            };
            write(&delivery, options, self.count + 1)?;
            if self.is_near_limit(session, &delivery) {
                warn(LOOKS_ARE_COUNTED);
            }
            self.count += 1;
            on_this_channel += 1;
        }
        Ok(())
    }

    /// Whether a look at the message should be the last for now. It is found once.
    fn is_near_limit(&mut self, session: &Session, delivery: &Delivery) -> bool {
        /// The broker drops a message at its 21st delivery.
        const MANY: u64 = 10;
        let count = delivery.message.header_number("x-delivery-count");
        if self.has_warned || count.is_none_or(|count| count < MANY) {
            return false;
        }
        self.has_warned = true;
        let server = session.server();
        server.is_rabbitmq && server.major == 4 && server.minor < 3
    }

    fn leave_channel(&mut self, session: &mut Session) -> anyhow::Result<()> {
        let left = session.change_channel().with_context(|| {
            format!("{} messages are more than can be held at once", self.count)
        })?;
        self.elsewhere.push(left);
        Ok(())
    }

    /// Requeues the messages in the order in which they came.
    fn give_back(self, mut session: Session) -> broker::Result<()> {
        for channel in self.elsewhere {
            if !self.by_closing {
                channel.requeue_all(&session)?;
            }
            channel.close(&session)?;
        }
        if self.by_closing {
            session.change_channel()?.close(&session)?;
        } else {
            session.requeue_all()?;
        }
        session.close()
    }
}

/// Whether the queue is a classic one.
fn keeps_no_delivery_count(connect: &ConnectOptions, queue: &str) -> broker::Result<bool> {
    let count = Session::open(connect)?.learn_delivery_count(queue);
    Ok(matches!(count, DeliveryCount::NotKept))
}

/// Writes a message, which is the `number`th.
fn write(delivery: &Delivery, options: &GetOptions, number: u64) -> anyhow::Result<()> {
    let is_whole = delivery.fidelity != Fidelity::Lossy;
    if options.format == Format::Json && !is_whole && !options.lossy {
        bail!(
            "message {number} (it stays in the queue): {}",
            envelope::NOT_WHOLE
        );
    }
    write_to_stdout(delivery, options.format)
        .context("writing the message to standard output (it stays in the queue)")
}

fn write_to_stdout(delivery: &Delivery, format: Format) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match format {
        Format::Text => stdout.write_all(&delivery.message.body)?,
        Format::Json => {
            let line = envelope::to_json_line(&delivery.message, Some(delivery.redelivered));
            writeln!(stdout, "{line}")?;
        }
    }
    stdout.flush()
}

//! Publishing with confirms: each message gets a number, and the broker answers by number.
//!
//! A message that reaches no queue is returned before it is confirmed
//! (<https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed>).

use amiquip::{Confirm, Publish, Return};
use crossbeam_channel::{Receiver, RecvError};

use super::error::{Error, Result};
use super::message::{short_string, to_wire};
use super::session::Session;
use crate::message::Message;

/// Publishes on a session's channel and hears how the broker took each message.
pub struct Publisher<'session> {
    session: &'session Session,
    confirms: Receiver<Confirm>,
    returns: Receiver<Return>,
    published: u64,
}

/// What the broker does with a message that no queue gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// It is returned (mandatory).
    Return,
    /// It is dropped, and confirmed as if a queue had it.
    Drop,
}

/// The broker's word on published messages. Numbers count from 1, in the order of publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The broker has taken responsibility for these.
    Acked(Numbers),
    /// The broker could not take these: a full queue that rejects, an internal error.
    Nacked(Numbers),
}

/// Which messages a confirmation speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// This one.
    One(u64),
    /// All that are still unconfirmed up to this one, inclusive.
    UpTo(u64),
}

/// A message that came back because no queue would have got it.
#[derive(Clone, Debug, PartialEq)]
pub struct Returned {
    /// 312, no route.
    pub code: u16,
    /// The broker's words.
    pub text: String,
    /// The message as it was published.
    pub message: Message,
}

impl From<Confirm> for Confirmation {
    fn from(confirm: Confirm) -> Self {
        let numbers = |payload: amiquip::ConfirmPayload| {
            if payload.multiple {
                Numbers::UpTo(payload.delivery_tag)
            } else {
                Numbers::One(payload.delivery_tag)
            }
        };
        match confirm {
            Confirm::Ack(payload) => Confirmation::Acked(numbers(payload)),
            Confirm::Nack(payload) => Confirmation::Nacked(numbers(payload)),
        }
    }
}

impl From<Return> for Returned {
    fn from(wire: Return) -> Self {
        Returned {
            code: wire.reply_code,
            text: wire.reply_text,
            message: Message {
                exchange: wire.exchange,
                routing_key: wire.routing_key,
                properties: super::message::from_wire(&wire.properties),
                body: wire.content,
            },
        }
    }
}

impl Session {
    /// Turns publisher confirms on and hears of them. One publisher a session: numbers count for the channel.
    pub fn publisher(&self) -> Result<Publisher<'_>> {
        let channel = self.channel();
        let listen = || -> amiquip::Result<_> {
            let confirms = channel.listen_for_publisher_confirms()?;
            let returns = channel.listen_for_returns()?;
            channel.enable_publisher_confirms_nowait()?;
            Ok((confirms, returns))
        };
        let (confirms, returns) =
            listen().map_err(|error| Error::from_amiquip("confirm.select", error))?;
        Ok(Publisher {
            session: self,
            confirms,
            returns,
            published: 0,
        })
    }

    /// Publishes without hearing how the broker took it (basic.publish).
    pub fn publish_unconfirmed(&self, message: &Message) -> Result<()> {
        publish(self, message, Unroutable::Drop)
    }
}

impl Publisher<'_> {
    /// Sends a message and says its number (basic.publish). It is not yet confirmed.
    pub fn publish(&mut self, message: &Message, unroutable: Unroutable) -> Result<u64> {
        publish(self.session, message, unroutable)?;
        self.published += 1;
        Ok(self.published)
    }

    /// Where confirmations arrive, for `crossbeam_channel::select!`; each becomes a [`Confirmation`]. It ends when
    /// the channel does: [`Publisher::failure`] says why.
    #[must_use]
    pub fn confirms(&self) -> &Receiver<Confirm> {
        &self.confirms
    }

    /// The messages returned so far. What is returned is there before it is confirmed.
    pub fn returned(&self) -> impl Iterator<Item = Returned> {
        self.returns.try_iter().map(Returned::from)
    }

    /// Waits for the next confirmation.
    pub fn next_confirmation(&self) -> Result<Confirmation> {
        match self.confirms.recv() {
            Ok(confirm) => Ok(confirm.into()),
            Err(RecvError) => Err(self.failure()),
        }
    }

    /// Why the channel ended, once [`Publisher::confirms`] has; a broken connection's reason is known to
    /// [`Session::autopsy`].
    #[must_use]
    pub fn failure(&self) -> Error {
        match self.session.channel().enable_publisher_confirms_nowait() {
            Err(error) => Error::from_amiquip("basic.publish", error),
            Ok(()) => Error::Lost {
                context: "basic.publish",
                reason: "the channel has ended".to_owned(),
            },
        }
    }
}

fn publish(session: &Session, message: &Message, unroutable: Unroutable) -> Result<()> {
    let publish = Publish {
        body: &message.body,
        routing_key: short_string("routing key", &message.routing_key)?,
        mandatory: unroutable == Unroutable::Return,
        immediate: false,
        properties: to_wire(&message.properties)?,
    };
    let exchange = short_string("exchange name", &message.exchange)?;
    session
        .channel()
        .basic_publish(exchange, publish)
        .map_err(|error| Error::from_amiquip("basic.publish", error))
}

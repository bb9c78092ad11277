//! Deliveries: a delivered message, and the one answer that the broker waits for.

use super::convert::{from_wire, short_string};
use super::error::Result;
use super::session::Session;
use super::transport::connection_events::ConnectionEvents;
use super::transport::stream::WireSender;
use crate::message::{Fidelity, Message};

/// A delivered message. The broker keeps it until it is answered.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// The broker's number for it on this channel.
    pub tag: u64,
    /// How much of the message is as it was sent.
    pub fidelity: Fidelity,
    /// The answer that the broker waits for.
    pub unsettled: Unsettled,
}

/// A delivery that is not answered yet. Each answer uses it up.
///
/// If it is dropped, the message stays unacknowledged until the channel closes; then the broker requeues it.
#[derive(Debug)]
#[must_use = "the broker keeps the message until it is answered"]
pub struct Unsettled(Box<amiquip::Delivery>);

/// Acknowledges deliveries from any thread, and waits for nothing.
#[derive(Clone)]
pub struct Acknowledger(WireSender);

impl Session {
    /// Acknowledges what is delivered, for another thread.
    #[must_use]
    pub fn acknowledger(&self) -> Acknowledger {
        Acknowledger(self.sender().clone())
    }
}

impl Delivery {
    /// The delivery on that channel, of the connection that has those events.
    pub(super) fn from_wire(
        mut wire: amiquip::Delivery,
        channel: u16,
        events: &ConnectionEvents,
    ) -> Delivery {
        let message = Message {
            exchange: std::mem::take(&mut wire.exchange),
            routing_key: std::mem::take(&mut wire.routing_key),
            properties: from_wire(&wire.properties),
            body: std::mem::take(&mut wire.body),
        };
        wire.properties = amiquip::AmqpProperties::default();
        Delivery {
            message,
            redelivered: wire.redelivered,
            tag: wire.delivery_tag(),
            fidelity: events.take_fidelity(channel, wire.delivery_tag()),
            unsettled: Unsettled(Box::new(wire)),
        }
    }
}

impl Unsettled {
    /// Acknowledges the message at once (basic.ack), ahead of what the session's thread still does. Its delivery must have come
    /// on the session's first channel.
    pub fn ack_by(self, acknowledger: &Acknowledger) {
        acknowledger.0.acknowledge(self.0.delivery_tag());
    }

    /// Acknowledges the message: the broker deletes it (basic.ack).
    pub fn ack(self, session: &Session) -> Result<()> {
        session.call("basic.ack", |channel| self.0.ack(channel))
    }

    /// Acknowledges the message and all earlier ones on this channel (basic.ack, multiple).
    pub fn ack_up_to(self, session: &Session) -> Result<()> {
        session.call("basic.ack", |channel| self.0.ack_multiple(channel))
    }

    /// Requeues the message and all earlier ones on this channel (basic.nack, multiple).
    pub fn requeue_up_to(self, session: &Session) -> Result<()> {
        session.call("basic.nack", |channel| self.0.nack_multiple(channel, true))
    }

    /// Requeues a message that was never started: quorum queues do not count it as an attempt (basic.nack).
    pub fn requeue(self, session: &Session) -> Result<()> {
        session.call("basic.nack", |channel| self.0.nack(channel, true))
    }

    /// Requeues a message that failed: quorum queues count it as an attempt (basic.reject with requeue).
    pub fn return_to_queue(self, session: &Session) -> Result<()> {
        session.call("basic.reject", |channel| self.0.reject(channel, true))
    }

    /// Rejects the message: it goes to the queue's dead-letter exchange, or is dropped where there is none (basic.reject).
    pub fn reject(self, session: &Session) -> Result<()> {
        session.call("basic.reject", |channel| self.0.reject(channel, false))
    }
}

impl Session {
    /// Takes the message at the head of a queue, if there is one (basic.get).
    pub fn get(&self, queue: &str) -> Result<Option<Delivery>> {
        let queue = short_string("queue name", queue)?;
        let answer = self.call("basic.get", |channel| channel.basic_get(queue, false))?;
        let channel = self.channel().channel_id();
        Ok(answer.map(|get| Delivery::from_wire(get.delivery, channel, self.events())))
    }
}

//! Subscriptions: the broker delivers a queue's messages as they come, up to the prefetch limit.

use std::mem::ManuallyDrop;
use std::num::NonZeroU16;

use amiquip::{Confirm, Consumer, ConsumerMessage, ConsumerOptions};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::{AMQPMethod, Qos};
use crossbeam_channel::{Receiver, RecvError, Select};

use super::connect::endpoint::ConnectOptions;
use super::connect::first_call::FirstCall;
use super::convert::{short_string, table_to_wire};
use super::delivery::Delivery;
use super::error::{Error, Result};
use super::session::Session;
use super::transport::connection_events::ConnectionEvents;
use crate::message::Headers;

const QOS: &str = "basic.qos";

/// The queue's name that stands for a caller's own connection: the broker puts another in its place.
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// A running consumer of one queue.
///
/// If it is dropped without [`Subscription::cancel`], nothing is sent to the broker, which may be stalled. The subscription
/// then ends with the session.
pub struct Subscription<'session> {
    session: &'session Session,
    consumer: ManuallyDrop<Consumer<'session>>,
}

/// How a queue is subscribed to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubscribeOptions {
    /// Whether this is to be the queue's only consumer.
    pub exclusive: bool,
    /// The consumer's arguments: `x-priority`, `x-stream-offset` and so on.
    pub arguments: Headers,
}

/// Where the messages of a subscription arrive.
pub struct Deliveries {
    arrivals: Receiver<ConsumerMessage>,
    channel: u16,
    events: ConnectionEvents,
}

/// Tells when a session's channel has ended, also where there is no subscription.
pub struct ChannelEnd {
    // amiquip drops the sender when the channel ends.
    confirms: Receiver<Confirm>,
    events: ConnectionEvents,
}

/// What arrives from a subscription.
#[derive(Debug)]
pub enum Arrival {
    /// A message.
    Delivery(Box<Delivery>),
    /// The subscription was cancelled by this side. No message follows.
    Ended,
    /// The broker cancelled the subscription: the queue was deleted, or its node went away.
    Cancelled,
    /// The broker closed the channel or the connection, and said why.
    Closed(Error),
    /// The connection broke; [`Session::explain_end`] says why.
    Broken,
}

impl Arrival {
    fn from_wire(
        wire: Result<ConsumerMessage, RecvError>,
        channel: u16,
        events: &ConnectionEvents,
    ) -> Arrival {
        match wire {
            Ok(ConsumerMessage::Delivery(delivery)) => {
                let delivery = Delivery::from_wire(delivery, channel, events);
                Arrival::Delivery(Box::new(delivery))
            }
            Ok(ConsumerMessage::ServerCancelled) => Arrival::Cancelled,
            Ok(
                ConsumerMessage::ClientCancelled
                | ConsumerMessage::ClientClosedChannel
                | ConsumerMessage::ClientClosedConnection,
            ) => Arrival::Ended,
            Ok(
                ConsumerMessage::ServerClosedChannel(error)
                | ConsumerMessage::ServerClosedConnection(error),
            ) => Arrival::Closed(Error::from_amiquip("basic.consume", error)),
            Err(RecvError) => Arrival::Broken,
        }
    }
}

impl Session {
    /// [`Session::open`] with a prefetch limit for each subscription (basic.qos, not global).
    pub fn open_with_prefetch(options: &ConnectOptions, prefetch: NonZeroU16) -> Result<Session> {
        let method = AMQPClass::Basic(AMQPMethod::Qos(Qos {
            prefetch_size: 0,
            prefetch_count: prefetch.get(),
            global: false,
        }));
        let first_call = FirstCall::new(QOS, &method);
        let session = Session::open_sending(options, first_call.as_ref())?;
        session.set_prefetch(prefetch.get())?;
        Ok(session)
    }

    /// Tells when this session's channel has ended; [`Session::explain_end`] says why. Not for a session with a publisher.
    pub fn channel_end(&self) -> Result<ChannelEnd> {
        let confirms = self.call("basic.consume", |channel| {
            channel.listen_for_publisher_confirms()
        })?;
        Ok(ChannelEnd {
            confirms,
            events: self.events().clone(),
        })
    }

    /// Sets the prefetch limit of each further subscription (basic.qos, not global).
    pub fn set_prefetch(&self, count: u16) -> Result<()> {
        self.call(QOS, |channel| channel.qos(0, count, false))
    }

    /// Subscribes to the replies to what is published on this session with the reply-to [`REPLY_TO`]
    /// (<https://www.rabbitmq.com/docs/direct-reply-to>). They need no answer.
    pub fn subscribe_to_replies(&self) -> Result<Subscription<'_>> {
        let options = ConsumerOptions {
            no_ack: true,
            ..ConsumerOptions::default()
        };
        let consumer = self
            .channel()
            .basic_consume(REPLY_TO, options)
            .map_err(|error| self.failure("basic.consume", error))?;
        Ok(Subscription {
            session: self,
            consumer: ManuallyDrop::new(consumer),
        })
    }

    /// Subscribes to `queue` (basic.consume). Each delivery must be answered.
    pub fn subscribe(&self, queue: &str, options: &SubscribeOptions) -> Result<Subscription<'_>> {
        let queue = short_string("queue name", queue)?;
        let options = ConsumerOptions {
            exclusive: options.exclusive,
            arguments: table_to_wire(&options.arguments)?,
            ..ConsumerOptions::default()
        };
        let consumer = self.call("basic.consume", |channel| {
            channel.basic_consume(queue, options)
        })?;
        Ok(Subscription {
            session: self,
            consumer: ManuallyDrop::new(consumer),
        })
    }
}

impl Subscription<'_> {
    /// Where its messages arrive; [`Session::wake_on_arrival`] says when to look.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries {
        Deliveries {
            arrivals: self.consumer.receiver().clone(),
            channel: self.session.channel().channel_id(),
            events: self.session.events().clone(),
        }
    }

    /// Asks for no more messages, and waits for the answer (basic.cancel). All that came before it is among the deliveries.
    pub fn cancel(self) -> Result<()> {
        self.consumer
            .cancel()
            .map_err(|error| self.session.failure("basic.cancel", error))
    }
}

impl Deliveries {
    /// Has `select` wait for what comes next.
    pub fn add_to<'select>(&'select self, select: &mut Select<'select>) {
        select.recv(&self.arrivals);
    }

    /// What has arrived, without waiting.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Arrival> {
        self.events
            .next_from(&self.arrivals)
            .map(|wire| Arrival::from_wire(wire, self.channel, &self.events))
    }
}

impl ChannelEnd {
    /// Whether the channel has ended, without waiting; [`Session::wake_on_arrival`] says when to look again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // Confirms are off, so nothing but the end can come.
        matches!(self.events.next_from(&self.confirms), Some(Err(RecvError)))
    }
}

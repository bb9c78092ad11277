//! Subscriptions: the broker hands over a queue's messages as they come, as many as may be unsettled at once.

use std::mem::ManuallyDrop;
use std::num::NonZeroU16;

use amiquip::{Confirm, Consumer, ConsumerMessage, ConsumerOptions};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::{AMQPMethod, Qos};
use crossbeam_channel::{Receiver, RecvError};

use super::delivery::Delivery;
use super::endpoint::ConnectOptions;
use super::error::{Error, Result};
use super::first_call::FirstCall;
use super::message::short_string;
use super::session::Session;

/// A running consumer of one queue.
///
/// Dropped without [`Subscription::cancel`] it asks nothing of the broker, which may be stalled: the session's end
/// ends it.
pub struct Subscription<'session> {
    session: &'session Session,
    consumer: ManuallyDrop<Consumer<'session>>,
}

/// Ends when a session's channel does: for those who have no subscription to hear it from.
pub struct Lifeline<'session> {
    session: &'session Session,
    // amiquip lets go of it when the channel ends.
    confirms: Receiver<Confirm>,
}

/// What a subscription brings.
#[derive(Debug)]
pub enum Arrival {
    /// A message.
    Delivery(Box<Delivery>),
    /// This subscription was cancelled by us, and no message follows.
    Ended,
    /// The broker ended it: the queue was deleted, or its node went away.
    Cancelled,
    /// The broker closed the channel or the connection, and said why.
    Closed(Error),
    /// The connection broke; [`Session::autopsy`] says why.
    Broken,
}

impl Arrival {
    fn from_wire(wire: Result<ConsumerMessage, RecvError>) -> Arrival {
        match wire {
            Ok(ConsumerMessage::Delivery(delivery)) => {
                Arrival::Delivery(Box::new(Delivery::from_wire(delivery)))
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
    /// [`Session::open`], and the broker hands over at most `prefetch` unsettled messages to each subscription (basic.qos,
    /// not global).
    pub fn open_with_prefetch(options: &ConnectOptions, prefetch: NonZeroU16) -> Result<Session> {
        let (session, ()) = Session::open_calling(options, Prefetch(prefetch))?;
        Ok(session)
    }

    /// Hears of the end of this session's channel, which [`Session::autopsy`] then explains. Not for a session with a
    /// publisher.
    pub fn lifeline(&self) -> Result<Lifeline<'_>> {
        let confirms = self
            .channel()
            .listen_for_publisher_confirms()
            .map_err(|error| self.failure("basic.consume", error))?;
        Ok(Lifeline {
            session: self,
            confirms,
        })
    }

    /// Subscribes to `queue` (basic.consume). What was handed over must be settled, one by one.
    pub fn subscribe(&self, queue: &str) -> Result<Subscription<'_>> {
        let queue = short_string("queue name", queue)?;
        let consumer = self
            .channel()
            .basic_consume(queue, ConsumerOptions::default())
            .map_err(|error| self.failure("basic.consume", error))?;
        Ok(Subscription {
            session: self,
            consumer: ManuallyDrop::new(consumer),
        })
    }
}

/// The call that sets the prefetch.
struct Prefetch(NonZeroU16);

impl FirstCall for Prefetch {
    type Answer = ();
    const CONTEXT: &'static str = "basic.qos";

    fn method(&self) -> AMQPClass {
        AMQPClass::Basic(AMQPMethod::Qos(Qos {
            prefetch_size: 0,
            prefetch_count: self.0.get(),
            global: false,
        }))
    }

    fn make(self, session: &Session) -> Result<()> {
        session
            .channel()
            .qos(0, self.0.get(), false)
            .map_err(|error| session.failure(Self::CONTEXT, error))
    }
}

impl Subscription<'_> {
    /// What has arrived, without waiting; [`Session::ring_for_news`] tells when to look again.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Arrival> {
        self.session
            .what_has_come(self.consumer.receiver())
            .map(Arrival::from_wire)
    }

    /// Whether nothing has arrived that was not taken.
    #[must_use]
    pub fn has_no_arrivals(&self) -> bool {
        self.consumer.receiver().is_empty()
    }

    /// Asks for no more messages, and gives those that were already on their way, unsettled (basic.cancel).
    pub fn cancel(self) -> Result<Vec<Delivery>> {
        self.session
            .bounded(|| self.consumer.cancel())
            .map_err(|error| self.session.failure("basic.cancel", error))?;
        // amiquip has put everything that came before the broker's answer into the receiver.
        let late = self
            .consumer
            .receiver()
            .try_iter()
            .filter_map(|arrival| match Arrival::from_wire(Ok(arrival)) {
                Arrival::Delivery(delivery) => Some(*delivery),
                _ => None,
            })
            .collect();
        Ok(late)
    }
}

impl Lifeline<'_> {
    /// Whether it has, without waiting; [`Session::ring_for_news`] tells when to look again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // Nothing comes before the end: no confirms have been turned on.
        matches!(
            self.session.what_has_come(&self.confirms),
            Some(Err(RecvError))
        )
    }
}

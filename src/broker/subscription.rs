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
use super::witness::Witness;

/// A running consumer of one queue.
///
/// Dropped without [`Subscription::cancel`] it asks nothing of the broker, which may be stalled: the session's end
/// ends it.
pub struct Subscription<'session> {
    session: &'session Session,
    consumer: ManuallyDrop<Consumer<'session>>,
}

/// What a subscription brings, for the thread that waits for it.
pub struct Deliveries {
    arrivals: Receiver<ConsumerMessage>,
    witness: Witness,
}

/// Ends when a session's channel does: for those who have no subscription to hear it from.
pub struct Lifeline {
    // amiquip lets go of it when the channel ends.
    confirms: Receiver<Confirm>,
    witness: Witness,
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
    pub fn lifeline(&self) -> Result<Lifeline> {
        let confirms = self
            .channel()
            .listen_for_publisher_confirms()
            .map_err(|error| self.failure("basic.consume", error))?;
        Ok(Lifeline {
            confirms,
            witness: self.witness().clone(),
        })
    }

    /// How many unsettled messages each further subscription may be handed (basic.qos, not global).
    pub fn set_prefetch(&self, count: u16) -> Result<()> {
        self.channel()
            .qos(0, count, false)
            .map_err(|error| self.failure("basic.qos", error))
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
    /// What it brings; [`Session::ring_for_news`] tells when to look.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries {
        Deliveries {
            arrivals: self.consumer.receiver().clone(),
            witness: self.session.witness().clone(),
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
    /// What has arrived, without waiting.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Arrival> {
        self.witness
            .what_has_come(&self.arrivals)
            .map(Arrival::from_wire)
    }
}

impl Lifeline {
    /// Whether it has, without waiting; [`Session::ring_for_news`] tells when to look again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // Nothing comes before the end: no confirms have been turned on.
        matches!(
            self.witness.what_has_come(&self.confirms),
            Some(Err(RecvError))
        )
    }
}

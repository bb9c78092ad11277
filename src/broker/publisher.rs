//! Publishing: with confirms, each message gets a number, and the broker answers by number.
//!
//! `RabbitMQ` returns a message that reaches no queue before it confirms it
//! (<https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed>). Apache Qpid rejects it (basic.nack) and returns it
//! some time later: see [`Publisher::wait_for_returns`].

use std::hash::{DefaultHasher, Hash, Hasher};

use amiquip::{AmqpProperties, Confirm, Return};
use amq_protocol::protocol::basic::Publish;
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvError, Select, TryRecvError};

use super::confirms::Confirmation;
use super::convert::{from_wire, short_string, to_wire};
use super::error::{Error, Result};
use super::header_frame::header_frame_size;
use super::session::Session;
use super::transport::incoming::FRAME_MAX;
use super::transport::outgoing::batch::MessageHead;
use super::transport::stream::Queued;
use crate::message::{Message, Properties};

const PUBLISH: &str = "basic.publish";

/// Publishes on a session's channel and receives the broker's confirms and returns.
pub struct Publisher<'session> {
    session: &'session Session,
    confirms: Receiver<Confirm>,
    returns: Receiver<Return>,
    is_confirmed: bool,
    published: u64,
}

/// Where confirms and returns arrive, also those that came before the session ended.
#[derive(Clone, Debug)]
pub struct Answers {
    confirms: Receiver<Confirm>,
    returns: Receiver<Return>,
    /// A confirm that waits until the returns that came before it are read.
    next_confirm: Option<Confirm>,
}

/// A confirm or a return.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Messages were confirmed, or refused.
    Confirmed(Confirmation),
    /// A message was returned.
    Returned(Box<Returned>),
}

/// The address and the properties of messages, checked and converted once for many messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    exchange: String,
    routing_key: String,
    unroutable: Unroutable,
    head: MessageHead,
    identity: u64,
}

/// What the broker does with a message that reaches no queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// It is returned (mandatory).
    Return,
    /// It is dropped, and confirmed as if a queue had it.
    Drop,
}

/// A message that was returned because it reaches no queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Returned {
    /// 312, no route.
    pub code: u16,
    /// The broker's words.
    pub text: String,
    /// The message as it was published.
    pub message: Message,
    properties: AmqpProperties,
}

impl Returned {
    /// [`Template::identity`] of what it was made from.
    #[must_use]
    pub fn identity(&self) -> u64 {
        identity(
            &self.message.exchange,
            &self.message.routing_key,
            &self.properties,
        )
    }
}

/// A hash of what distinguishes messages besides their bodies: the address, and properties that differ between messages.
fn identity(exchange: &str, routing_key: &str, properties: &AmqpProperties) -> u64 {
    let mut hasher = DefaultHasher::new();
    (exchange, routing_key).hash(&mut hasher);
    (properties.message_id(), properties.correlation_id()).hash(&mut hasher);
    if let Some(headers) = properties
        .headers()
        .as_ref()
        .filter(|headers| !headers.is_empty())
    {
        format!("{headers:?}").hash(&mut hasher);
    }
    hasher.finish()
}

impl Template {
    /// A template for messages to `exchange` (empty: the default exchange) with `routing_key`.
    pub fn new(
        exchange: &str,
        routing_key: &str,
        properties: &Properties,
        unroutable: Unroutable,
    ) -> Result<Template> {
        let header_frame_size = header_frame_size(properties);
        let properties = to_wire(properties)?;
        let exchange = short_string("exchange name", exchange)?;
        let routing_key = short_string("routing key", routing_key)?;
        let publish = Publish {
            ticket: 0,
            exchange: exchange.clone(),
            routing_key: routing_key.clone(),
            mandatory: unroutable == Unroutable::Return,
            immediate: false,
        };
        let head = MessageHead::new(publish, &properties, header_frame_size);
        Ok(Template {
            identity: identity(&exchange, &routing_key, &properties),
            exchange,
            routing_key,
            unroutable,
            head: head.ok_or(Error::HeadersTooLarge {
                size: header_frame_size,
                frame_max: FRAME_MAX,
            })?,
        })
    }

    /// A hash that other templates hardly ever share. A returned message is recognised by it and by its body.
    #[must_use]
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// The queue that the messages go to, if they go to the default exchange.
    #[must_use]
    pub fn queue(&self) -> Option<&str> {
        self.exchange.is_empty().then_some(&*self.routing_key)
    }

    /// Whether the broker returns a message that reaches no queue.
    #[must_use]
    pub fn may_be_returned(&self) -> bool {
        self.unroutable == Unroutable::Return
    }
}

impl Returned {
    fn from_wire(wire: Return) -> Returned {
        Returned {
            code: wire.reply_code,
            text: wire.reply_text,
            message: Message {
                exchange: wire.exchange,
                routing_key: wire.routing_key,
                properties: from_wire(&wire.properties),
                body: wire.content,
            },
            properties: wire.properties,
        }
    }
}

impl Session {
    /// Turns publisher confirms on. One publisher per session: the numbers of messages count for the channel.
    pub fn publisher(&self) -> Result<Publisher<'_>> {
        self.publisher_of(true)
    }

    /// A publisher without confirms. It receives returned messages, and the end of the channel.
    pub fn unconfirmed_publisher(&self) -> Result<Publisher<'_>> {
        self.publisher_of(false)
    }

    fn publisher_of(&self, is_confirmed: bool) -> Result<Publisher<'_>> {
        self.sender().begin_publishing(is_confirmed);
        let (confirms, returns) = self.call("confirm.select", |channel| {
            let confirms = channel.listen_for_publisher_confirms()?;
            let returns = channel.listen_for_returns()?;
            // The messages wait for this: then the other two are done.
            channel.enable_publisher_confirms_nowait()?;
            Ok((confirms, returns))
        })?;
        Ok(Publisher {
            session: self,
            confirms,
            returns,
            is_confirmed,
            published: 0,
        })
    }
}

impl Publisher<'_> {
    /// Sends a message (basic.publish) and returns its number.
    pub fn publish(&mut self, message: &Message, unroutable: Unroutable) -> Result<u64> {
        let template = Template::new(
            &message.exchange,
            &message.routing_key,
            &message.properties,
            unroutable,
        )?;
        self.publish_as(&template, &Bytes::copy_from_slice(&message.body))
    }

    /// [`Publisher::publish`] for a message whose address and properties are prepared.
    pub fn publish_as(&mut self, template: &Template, body: &Bytes) -> Result<u64> {
        let number = self.queue(template, body)?;
        self.send()?;
        Ok(number)
    }

    /// [`Publisher::publish_as`] for one of many messages: this one may wait until [`Publisher::send`] is called.
    pub fn queue(&mut self, template: &Template, body: &Bytes) -> Result<u64> {
        let frame_max = self.session.events().frame_max();
        let size = template.head.header_frame_size();
        if size > frame_max as usize {
            return Err(Error::HeadersTooLarge { size, frame_max });
        }
        if !self.is_confirmed {
            // A publisher that waits for confirms has a limit of its own.
            self.session.wait_for_room();
        }
        match self
            .session
            .sender()
            .publish(&template.head, body, frame_max)
        {
            Queued::Yes => {}
            Queued::Enough => self.send()?,
            Queued::No => return Err(self.failure()),
        }
        self.published += 1;
        Ok(self.published)
    }

    /// Sends the messages that wait.
    pub fn send(&self) -> Result<()> {
        if !self.session.sender().send() {
            return Ok(());
        }
        self.session.call(PUBLISH, |channel| {
            channel.enable_publisher_confirms_nowait()
        })
    }

    /// Waits until the broker has handled all published messages. Returned messages have arrived then.
    pub fn catch_up(&self) -> Result<()> {
        // Any method that the broker answers does; this one changes nothing where nobody consumes.
        self.session
            .call(PUBLISH, |channel| channel.qos(0, 1, false))
    }

    /// Waits until what the broker has rejected is returned, if it ever is. The connection is cut if that takes too long.
    pub fn wait_for_returns(&self) -> Result<()> {
        self.session.bounded(|| self.catch_up())
    }

    /// Where confirms and returns arrive. A return comes before the confirm of the same message.
    #[must_use]
    pub fn answers(&self) -> Answers {
        Answers {
            confirms: self.confirms.clone(),
            returns: self.returns.clone(),
            next_confirm: None,
        }
    }

    /// The messages returned so far. What is returned and confirmed is there before the confirmation.
    pub fn returned(&self) -> impl Iterator<Item = Returned> {
        self.returns.try_iter().map(Returned::from_wire)
    }

    /// Why the channel ended, once no confirmation can come any more; a broken connection's reason is known to
    /// [`Session::explain_end`].
    #[must_use]
    pub fn failure(&self) -> Error {
        match self.session.channel().enable_publisher_confirms_nowait() {
            Err(error) => self.session.failure(PUBLISH, error),
            Ok(()) => Error::Lost {
                context: PUBLISH,
                reason: "the channel has ended".to_owned(),
            },
        }
    }
}

impl Answers {
    /// The next answer, without waiting; an error once no more can come.
    pub fn try_next(&mut self) -> std::result::Result<Option<Answer>, RecvError> {
        let has_ended = match &self.next_confirm {
            Some(_) => false,
            None => match self.confirms.try_recv() {
                Ok(confirm) => {
                    self.next_confirm = Some(confirm);
                    false
                }
                Err(TryRecvError::Empty) => false,
                Err(TryRecvError::Disconnected) => true,
            },
        };
        // The returns that belong before this confirm have arrived.
        if let Ok(returned) = self.returns.try_recv() {
            return Ok(Some(Answer::Returned(Box::new(Returned::from_wire(
                returned,
            )))));
        }
        match self.next_confirm.take() {
            Some(confirm) => Ok(Some(Answer::Confirmed(Confirmation::from_wire(confirm)))),
            None if has_ended => Err(RecvError),
            None => Ok(None),
        }
    }

    /// Has `select` wait for what comes next.
    pub fn add_to<'select>(&'select self, select: &mut Select<'select>) {
        select.recv(&self.confirms);
        select.recv(&self.returns);
    }
}

//! A queue on the broker, seen and filled by AMQP.

use std::fmt;

use amiquip::{
    AmqpProperties, Channel, ConsumerOptions, ExchangeDeclareOptions, ExchangeType, FieldTable,
    QueueDeclareOptions, QueueDeleteOptions, Result,
};

use super::inspector::{Inspector, Message};
use super::wait::{DEADLINE, until};

/// A queue by its name, whether it exists or not.
#[derive(Debug)]
pub(crate) struct Queue<'t> {
    inspector: &'t Inspector,
    name: String,
}

/// How a queue was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Transient,
    Durable,
    AutoDelete,
    DurableAutoDelete,
    /// More cannot be told about a queue that is another connection's own.
    Exclusive,
    /// Nor about one whose name the broker made up: nobody may declare it again.
    Reserved,
}

impl Kind {
    const VISIBLE: [Self; 4] = [
        Self::Transient,
        Self::Durable,
        Self::AutoDelete,
        Self::DurableAutoDelete,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient",
            Self::Durable => "durable",
            Self::AutoDelete => "auto-delete",
            Self::DurableAutoDelete => "durable auto-delete",
            Self::Exclusive => "exclusive",
            Self::Reserved => "named by the broker",
        })
    }
}

impl<'t> Queue<'t> {
    pub(crate) fn new(inspector: &'t Inspector, name: String) -> Self {
        Self { inspector, name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Declares the queue durable, which every broker still allows.
    #[track_caller]
    pub(crate) fn declare(self) -> Self {
        self.declare_with(FieldTable::new())
    }

    /// Declares the queue durable with arguments, for example a dead-letter exchange.
    #[track_caller]
    pub(crate) fn declare_with(self, arguments: FieldTable) -> Self {
        let options = QueueDeclareOptions {
            durable: true,
            arguments,
            ..QueueDeclareOptions::default()
        };
        self.on_channel(|channel| channel.queue_declare(&self.name, options.clone()).map(drop));
        self
    }

    /// Declares a fanout exchange of that name and binds the queue to it.
    #[track_caller]
    pub(crate) fn bind_to_fanout(&self, exchange: &str) {
        self.bind_to(&ExchangeType::Fanout, exchange, "");
    }

    /// Declares an exchange of that type and name and binds the queue to it.
    #[track_caller]
    pub(crate) fn bind_to(&self, kind: &ExchangeType, exchange: &str, routing_key: &str) {
        self.on_channel(|channel| {
            let options = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            channel.exchange_declare(kind.clone(), exchange, options)?;
            channel.queue_bind(&self.name, exchange, routing_key, FieldTable::new())
        });
    }

    /// Subscribes to the queue until the test's end.
    #[track_caller]
    pub(crate) fn consume_without_reading(&self) {
        let subscribe = |channel: &Channel| {
            std::mem::forget(channel.basic_consume(&self.name, ConsumerOptions::default())?);
            Ok(())
        };
        self.inspector
            .on_lasting_channel(subscribe)
            .unwrap_or_else(|error| panic!("queue {}: {error}", self.name));
    }

    /// Puts messages with these bodies into the queue.
    #[track_caller]
    pub(crate) fn publish<B: AsRef<[u8]>>(&self, bodies: impl IntoIterator<Item = B>) {
        self.publish_all(bodies, &AmqpProperties::default());
    }

    /// Puts one message with properties into the queue.
    #[track_caller]
    pub(crate) fn publish_with(&self, body: impl AsRef<[u8]>, properties: &AmqpProperties) {
        self.publish_all([body], properties);
    }

    #[track_caller]
    fn publish_all<B: AsRef<[u8]>>(
        &self,
        bodies: impl IntoIterator<Item = B>,
        properties: &AmqpProperties,
    ) {
        let unroutable = self.inspector.publish(("", &self.name), bodies, properties);
        assert_eq!(
            unroutable.ok(),
            Some(0),
            "publishing to queue {}",
            self.name
        );
    }

    /// How many messages are ready. Those given out and not yet acknowledged do not count.
    #[track_caller]
    pub(crate) fn depth(&self) -> u32 {
        self.counts()
            .unwrap_or_else(|error| panic!("queue {}: {error}", self.name))
            .0
    }

    #[track_caller]
    pub(crate) fn consumers(&self) -> u32 {
        self.counts()
            .unwrap_or_else(|error| panic!("queue {}: {error}", self.name))
            .1
    }

    pub(crate) fn exists(&self) -> bool {
        self.counts().is_ok()
    }

    /// How the queue was declared; nothing if there is none.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.counts() {
            Ok(_) if self.name.starts_with("amq.") => Some(Kind::Reserved),
            Ok(_) => Kind::VISIBLE
                .into_iter()
                .find(|kind| self.is_declared_as(*kind)),
            Err(error) if error.to_string().contains("RESOURCE_LOCKED") => Some(Kind::Exclusive),
            Err(_) => None,
        }
    }

    /// The broker refuses a second declaration unless it is the same as the first.
    fn is_declared_as(&self, kind: Kind) -> bool {
        let options = QueueDeclareOptions {
            durable: matches!(kind, Kind::Durable | Kind::DurableAutoDelete),
            auto_delete: matches!(kind, Kind::AutoDelete | Kind::DurableAutoDelete),
            ..QueueDeclareOptions::default()
        };
        self.inspector
            .on_channel(|channel| channel.queue_declare(&self.name, options).map(drop))
            .is_ok()
    }

    /// Waits until exactly that many messages are ready: what a tool gives back as it ends is there a moment later.
    #[track_caller]
    pub(crate) fn holds(&self, messages: u32) {
        let found = until(DEADLINE, || {
            (self.counts().ok()?.0 == messages).then_some(())
        });
        assert!(
            found.is_some(),
            "queue {} should hold {messages} messages: {}",
            self.name,
            self.describe()
        );
    }

    /// Waits until that many consumers are subscribed.
    #[track_caller]
    pub(crate) fn has_consumers(&self, consumers: u32) {
        let found = until(DEADLINE, || {
            (self.counts().ok()?.1 == consumers).then_some(())
        });
        assert!(
            found.is_some(),
            "queue {} should have {consumers} consumers: {}",
            self.name,
            self.describe()
        );
    }

    /// Takes the first message out of the queue, if there is one.
    #[track_caller]
    pub(crate) fn take(&self) -> Option<Message> {
        let got = self.on_channel(|channel| channel.basic_get(&self.name, true))?;
        Some(Message {
            body: got.delivery.body,
            exchange: got.delivery.exchange,
            routing_key: got.delivery.routing_key,
            redelivered: got.delivery.redelivered,
            properties: got.delivery.properties,
        })
    }

    /// Takes all messages out of the queue.
    #[track_caller]
    pub(crate) fn take_all(&self) -> Vec<Message> {
        std::iter::from_fn(|| self.take()).collect()
    }

    /// Takes all messages out of the queue and returns their bodies.
    #[track_caller]
    pub(crate) fn take_texts(&self) -> Vec<String> {
        self.take_all().iter().map(Message::text).collect()
    }

    /// Deletes the queue under its consumers.
    #[track_caller]
    pub(crate) fn delete(&self) {
        let options = QueueDeleteOptions {
            if_unused: false,
            if_empty: false,
        };
        self.on_channel(|channel| channel.queue_delete(&self.name, options));
    }

    pub(crate) fn describe(&self) -> String {
        match self.counts() {
            Ok((messages, consumers)) => {
                format!("{messages} messages ready, {consumers} consumers")
            }
            Err(error) => format!("not a queue ({error})"),
        }
    }

    fn counts(&self) -> Result<(u32, u32)> {
        self.inspector.on_channel(|channel| {
            let queue = channel.queue_declare_passive(&self.name)?;
            Ok((
                queue.declared_message_count().unwrap_or_default(),
                queue.declared_consumer_count().unwrap_or_default(),
            ))
        })
    }

    #[track_caller]
    fn on_channel<T>(&self, work: impl FnOnce(&Channel) -> Result<T>) -> T {
        self.inspector
            .on_channel(work)
            .unwrap_or_else(|error| panic!("queue {}: {error}", self.name))
    }
}

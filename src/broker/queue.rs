//! Queues: declare, check, purge, delete.

use amiquip::{QueueDeclareOptions, QueueDeleteOptions};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::queue::{AMQPMethod, Declare};

use super::connect::endpoint::ConnectOptions;
use super::connect::first_call::FirstCall;
use super::convert::{short_string, table_to_wire};
use super::error::{Error, Result};
use super::session::Session;
use crate::message::{HeaderValue, Headers};

const DECLARE: &str = "queue.declare";

/// A queue as it is to be: what queue.declare asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueDeclaration {
    /// The name; empty: the broker makes one up.
    pub name: String,
    /// Survives a restart of the broker.
    pub durable: bool,
    /// Belongs to this connection, and ends with it.
    pub exclusive: bool,
    /// Ends with its last consumer.
    pub auto_delete: bool,
    /// `x-queue-type`, `x-max-length` and so on.
    pub arguments: Headers,
}

/// A queue as the broker has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// Its name.
    pub name: String,
    /// How many messages are ready to be delivered.
    pub messages: u32,
    /// How many consumers it has.
    pub consumers: u32,
}

/// What a queue must be to be deleted. Both false: it is deleted as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteConditions {
    /// It has no consumers.
    pub if_unused: bool,
    /// It has no messages.
    pub if_empty: bool,
}

/// Whether a queue counts how often it has delivered a message (x-delivery-count).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryCount {
    /// It does: a quorum queue.
    Kept,
    /// It does not.
    NotKept,
    /// The broker does not say.
    Unknown,
}

impl Session {
    /// Creates a queue, or finds that it stands as it is to be (queue.declare).
    pub fn declare_queue(&self, queue: &QueueDeclaration) -> Result<QueueState> {
        self.make_declaration(to_wire(queue)?)
    }

    /// [`Session::open`] and [`Session::declare_queue`], with one round trip less.
    pub fn open_declaring(
        options: &ConnectOptions,
        queue: &QueueDeclaration,
    ) -> Result<(Session, QueueState)> {
        let declaration = to_wire(queue)?;
        // A queue without a name is not declared ahead: each node that is tried would make a queue.
        let first_call = if queue.name.is_empty() {
            None
        } else {
            let method = AMQPClass::Queue(AMQPMethod::Declare(declaration.clone()));
            FirstCall::new(DECLARE, &method)
        };
        let session = Session::open_sending(options, first_call.as_ref())?;
        let state = session.make_declaration(declaration)?;
        Ok((session, state))
    }

    /// Has amiquip send exactly this declaration.
    fn make_declaration(&self, declaration: Declare) -> Result<QueueState> {
        let options = QueueDeclareOptions {
            durable: declaration.durable,
            exclusive: declaration.exclusive,
            auto_delete: declaration.auto_delete,
            arguments: declaration.arguments,
        };
        self.call(DECLARE, |channel| {
            channel.queue_declare(declaration.queue, options)
        })
        .map(|queue| state(&queue))
    }

    /// Looks at a queue without creating it (queue.declare, passive).
    pub fn look_at_queue(&self, name: &str) -> Result<QueueState> {
        let name = short_string("queue name", name)?;
        self.call(DECLARE, |channel| channel.queue_declare_passive(name))
            .map(|queue| state(&queue))
    }

    /// Finds out whether a queue counts deliveries, which quorum queues alone do. AMQP has no method for that: the
    /// queue is declared as a quorum queue, which changes nothing for a quorum queue and is refused for any other. Further
    /// arguments of the queue are learned from the refusal.
    ///
    /// If the refusal is about something else, such as missing rights, the result is unknown.
    #[must_use]
    pub fn learn_delivery_count(mut self, name: &str) -> DeliveryCount {
        // The question must not create the queue.
        if self.look_at_queue(name).is_err() {
            return DeliveryCount::Unknown;
        }
        let quorum = HeaderValue::String("quorum".to_owned());
        let mut declaration = QueueDeclaration {
            name: name.to_owned(),
            durable: true,
            arguments: [("x-queue-type".to_owned(), quorum)].into(),
            ..QueueDeclaration::default()
        };
        loop {
            let (code, text) = match self.declare_queue(&declaration) {
                Ok(_) => return DeliveryCount::Kept,
                Err(Error::Refused { code, text, .. }) => (code, text),
                Err(_) => return DeliveryCount::Unknown,
            };
            let count = count_by_refusal(code, &text);
            let Some((argument, value)) = argument_in_refusal(&text) else {
                return count;
            };
            let is_known = declaration.arguments.insert(argument, value).is_some();
            // The broker has closed the channel with the refusal.
            if count != DeliveryCount::Unknown || is_known || self.change_channel().is_err() {
                return count;
            }
        }
    }

    /// Whether a queue that exists is a stream: it is declared anew as one, and the broker objects to the type if it is none.
    /// The channel may have ended after that. A queue about which the broker does not say that counts as none.
    pub fn is_stream(&self, name: &str) -> Result<bool> {
        let stream = HeaderValue::String("stream".to_owned());
        let declaration = QueueDeclaration {
            name: name.to_owned(),
            durable: true,
            arguments: [("x-queue-type".to_owned(), stream)].into(),
            ..QueueDeclaration::default()
        };
        match self.declare_queue(&declaration) {
            Ok(_) => Ok(true),
            // Where another argument of a stream's differs, the type does not.
            Err(Error::Refused { code, text, .. }) => Ok(text.contains("inequivalent arg '")
                && count_by_refusal(code, &text) == DeliveryCount::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Empties a queue and says how many messages that dropped (queue.purge).
    pub fn purge_queue(&self, name: &str) -> Result<u32> {
        let name = short_string("queue name", name)?;
        self.call("queue.purge", |channel| channel.queue_purge(name))
    }

    /// Deletes a queue and says how many messages were in it; 0 if there is none (queue.delete).
    pub fn delete_queue(&self, name: &str, conditions: DeleteConditions) -> Result<u32> {
        let options = QueueDeleteOptions {
            if_unused: conditions.if_unused,
            if_empty: conditions.if_empty,
        };
        let name = short_string("queue name", name)?;
        self.call("queue.delete", |channel| {
            channel.queue_delete(name, options)
        })
    }
}

/// The method that declares a queue, if its names fit.
fn to_wire(queue: &QueueDeclaration) -> Result<Declare> {
    Ok(Declare {
        ticket: 0,
        queue: short_string("queue name", &queue.name)?,
        passive: false,
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        nowait: false,
        arguments: table_to_wire(&queue.arguments)?,
    })
}

/// What a refusal to take a queue for a quorum queue says about it. Quorum queues are durable, and neither exclusive nor
/// ended with their last consumer (<https://www.rabbitmq.com/docs/quorum-queues#feature-comparison>).
fn count_by_refusal(code: u16, text: &str) -> DeliveryCount {
    const RESOURCE_LOCKED: u16 = 405;
    // Of a broker that knows no such argument: AMQP's not-implemented, and what Qpid says.
    const UNKNOWN_ARGUMENT: [u16; 2] = [540, 542];
    const NEVER_OF_QUORUM_QUEUES: [&str; 4] = [
        "'x-queue-type'",
        "'durable'",
        "'auto_delete'",
        "'exclusive'",
    ];
    let differs = NEVER_OF_QUORUM_QUEUES
        .iter()
        .any(|name| text.contains(&format!("inequivalent arg {name}")));
    if differs || code == RESOURCE_LOCKED || UNKNOWN_ARGUMENT.contains(&code) {
        DeliveryCount::NotKept
    } else {
        DeliveryCount::Unknown
    }
}

/// The argument of a queue that a declaration without it was refused for.
fn argument_in_refusal(text: &str) -> Option<(String, HeaderValue)> {
    let (_, argument) = text.split_once("inequivalent arg '")?;
    let (name, _) = argument.split_once('\'')?;
    let (_, current) = argument.rsplit_once("received none but current is the value '")?;
    let (value, kind) = current.strip_suffix('\'')?.rsplit_once("' of type '")?;
    let value = match kind {
        "longstr" => HeaderValue::String(value.to_owned()),
        "bool" => HeaderValue::Boolean(value.parse().ok()?),
        // The broker compares numbers by their values.
        _ => HeaderValue::Int64(value.parse().ok()?),
    };
    Some((name.to_owned(), value))
}

fn state(queue: &amiquip::Queue<'_>) -> QueueState {
    QueueState {
        name: queue.name().to_owned(),
        messages: queue.declared_message_count().unwrap_or(0),
        consumers: queue.declared_consumer_count().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_whether_deliveries_are_counted() {
        for (code, text, count) in [
            (
                406,
                "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'quorum' but current is 'classic'",
                DeliveryCount::NotKept,
            ),
            (
                406,
                "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
                DeliveryCount::NotKept,
            ),
            (
                405,
                "cannot obtain exclusive access to locked queue 'q' in vhost '/'",
                DeliveryCount::NotKept,
            ),
            (
                542,
                "Error creating queue 'q': Unsupported queue declare argument(s) : x-queue-type",
                DeliveryCount::NotKept,
            ),
            (
                406,
                "inequivalent arg 'x-max-length' for queue 'durable' in vhost '/': received none but current is the value '5' of type 'long'",
                DeliveryCount::Unknown,
            ),
            (
                403,
                "access to queue 'q' in vhost '/' refused for user 'u'",
                DeliveryCount::Unknown,
            ),
        ] {
            assert_eq!(count_by_refusal(code, text), count, "{text}");
        }
    }

    #[test]
    fn a_refusal_tells_an_argument_that_was_missing() {
        for (text, argument) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '5' of type 'long'",
                Some(("x-max-length", HeaderValue::Int64(5))),
            ),
            (
                "inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost '/': received none but current is the value 'it's' of type 'longstr'",
                Some((
                    "x-dead-letter-exchange",
                    HeaderValue::String("it's".to_owned()),
                )),
            ),
            (
                "inequivalent arg 'x-single-active-consumer' for queue 'q' in vhost '/': received none but current is the value 'true' of type 'bool'",
                Some(("x-single-active-consumer", HeaderValue::Boolean(true))),
            ),
            (
                "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type 'longstr' but current is none",
                None,
            ),
            (
                "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
                None,
            ),
        ] {
            let expected = argument.map(|(name, value)| (name.to_owned(), value));
            assert_eq!(argument_in_refusal(text), expected, "{text}");
        }
    }
}

//! Exchanges: declare, check, bind, delete.

use amiquip::{ExchangeDeclareOptions, ExchangeType, FieldTable};

use super::convert::{short_string, table_to_wire};
use super::error::{Error, Result};
use super::session::Session;
use crate::message::{HeaderValue, Headers};

const NAME: &str = "exchange name";
const DECLARE: &str = "exchange.declare";

/// The type of exchange that looks at headers in place of the routing key.
const HEADERS: &str = "headers";

/// An exchange as it is to be: what exchange.declare asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExchangeDeclaration {
    /// The name.
    pub name: String,
    /// `direct`, `fanout`, `topic`, `headers`, or one that a plugin of the broker adds.
    pub kind: String,
    /// Survives a restart of the broker.
    pub durable: bool,
    /// Ends with its last binding.
    pub auto_delete: bool,
    /// Takes messages from other exchanges alone, not from publishers.
    pub internal: bool,
    /// `alternate-exchange` and so on.
    pub arguments: Headers,
}

/// Which messages of an exchange go to a queue, or to another exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Binding {
    /// The name of the exchange that messages come from.
    pub source: String,
    /// The routing key, empty for none.
    pub routing_key: String,
    /// What a headers exchange looks for: `x-match` and headers.
    pub arguments: Headers,
}

/// What a binding brings messages to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'name> {
    /// A queue.
    Queue(&'name str),
    /// An exchange.
    Exchange(&'name str),
}

impl Destination<'_> {
    fn name(self) -> Result<String> {
        match self {
            Destination::Queue(name) => short_string("queue name", name),
            Destination::Exchange(name) => short_string(NAME, name),
        }
    }
}

/// A binding in the form that amiquip takes.
struct WireBinding {
    source: String,
    routing_key: String,
    arguments: FieldTable,
}

impl WireBinding {
    fn of(binding: &Binding) -> Result<WireBinding> {
        Ok(WireBinding {
            source: short_string(NAME, &binding.source)?,
            routing_key: short_string("routing key", &binding.routing_key)?,
            arguments: table_to_wire(&binding.arguments)?,
        })
    }
}

impl Session {
    /// Creates an exchange, or finds that it exists as requested (exchange.declare).
    pub fn declare_exchange(&self, exchange: &ExchangeDeclaration) -> Result<()> {
        let name = short_string(NAME, &exchange.name)?;
        let kind = short_string("exchange type", &exchange.kind)?;
        let options = ExchangeDeclareOptions {
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
            arguments: table_to_wire(&exchange.arguments)?,
        };
        self.call(DECLARE, |channel| {
            channel.exchange_declare(ExchangeType::Custom(kind), name, options)
        })
        .map(drop)
    }

    /// Checks that an exchange exists (exchange.declare, passive).
    pub fn look_at_exchange(&self, name: &str) -> Result<()> {
        let name = short_string(NAME, name)?;
        self.call(DECLARE, |channel| channel.exchange_declare_passive(name))
            .map(drop)
    }

    /// Deletes an exchange; if `if_unused`, only one without bindings (exchange.delete).
    pub fn delete_exchange(&self, name: &str, if_unused: bool) -> Result<()> {
        let name = short_string(NAME, name)?;
        self.call("exchange.delete", |channel| {
            channel.exchange_delete(name, if_unused)
        })
    }

    /// Has an exchange send messages to the destination (queue.bind, exchange.bind).
    pub fn bind(&self, destination: Destination<'_>, binding: &Binding) -> Result<()> {
        let (name, wire) = (destination.name()?, WireBinding::of(binding)?);
        match destination {
            Destination::Queue(_) => self.call("queue.bind", |channel| {
                channel.queue_bind(name, wire.source, wire.routing_key, wire.arguments)
            }),
            Destination::Exchange(_) => self.call("exchange.bind", |channel| {
                channel.exchange_bind(name, wire.source, wire.routing_key, wire.arguments)
            }),
        }
    }

    /// Ends a binding (queue.unbind, exchange.unbind).
    pub fn unbind(&self, destination: Destination<'_>, binding: &Binding) -> Result<()> {
        let (name, wire) = (destination.name()?, WireBinding::of(binding)?);
        match destination {
            Destination::Queue(_) => self.call("queue.unbind", |channel| {
                channel.queue_unbind(name, wire.source, wire.routing_key, wire.arguments)
            }),
            Destination::Exchange(_) => self.call("exchange.unbind", |channel| {
                channel.exchange_unbind(name, wire.source, wire.routing_key, wire.arguments)
            }),
        }
    }

    /// Whether an exchange is known to be of the type `headers`. AMQP has no question for the type: the exchange is declared
    /// as a headers exchange, and the broker's refusal tells. Other brokers than `RabbitMQ` are not asked.
    ///
    /// The broker closes the channel with the refusal, and another takes its place.
    pub fn is_headers_exchange(&mut self, name: &str) -> bool {
        if !self.server().is_rabbitmq {
            return false;
        }
        let refusal = self.declare_exchange(&never_created(name));
        let is_headers =
            matches!(&refusal, Err(Error::Refused { text, .. }) if tells_of_headers(text));
        // Where there is no other channel, the session's end tells why.
        refusal.is_err() && self.change_channel().is_ok() && is_headers
    }
}

/// A declaration that creates no exchange: `RabbitMQ` looks at this argument before it creates one, and compares an exchange
/// that it has by the type first.
fn never_created(name: &str) -> ExchangeDeclaration {
    ExchangeDeclaration {
        name: name.to_owned(),
        kind: HEADERS.to_owned(),
        durable: true,
        arguments: [("alternate-exchange".to_owned(), HeaderValue::Int64(0))].into(),
        ..ExchangeDeclaration::default()
    }
}

/// Whether the refusal of [`never_created`] says that the exchange differs in something else than the type.
fn tells_of_headers(refusal: &str) -> bool {
    refusal.contains("inequivalent arg '") && !refusal.contains("inequivalent arg 'type'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_the_type() {
        for (text, is_headers) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'h' in vhost '/': received the value '0' of type 'long' but current is none",
                true,
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'h' in vhost '/': received 'true' but current is 'false'",
                true,
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'f' in vhost '/': received 'headers' but current is 'fanout'",
                false,
            ),
            (
                "PRECONDITION_FAILED - invalid type 'long' for arg 'alternate-exchange' in exchange 'gone' in vhost '/'",
                false,
            ),
        ] {
            assert_eq!(tells_of_headers(text), is_headers, "{text}");
        }
    }
}

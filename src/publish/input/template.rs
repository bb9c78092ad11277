//! The address and properties of a message, from the command line and from its envelope, if it has one.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use super::digest;
use super::records::Location;
use crate::broker::{Error, Template};
use crate::envelope::Envelope;
use crate::message::{HeaderValue, Properties};
use crate::publish::options::{Address, OwnProperties, PublishOptions, Routing};

/// Makes the templates of messages.
pub(in crate::publish) struct TemplateMaker {
    address: Address,
    properties: Properties,
    own: OwnProperties,
    routing: Routing,
    /// For all messages without properties of their own.
    common: Arc<Template>,
}

impl TemplateMaker {
    /// Fails if a value is too long for AMQP.
    pub(in crate::publish) fn new(options: &PublishOptions) -> Result<TemplateMaker, Error> {
        let (exchange, routing_key) = match &options.address {
            Address::Given {
                exchange,
                routing_key,
            } => (exchange.as_str(), routing_key.as_str()),
            Address::OfEnvelope { exchange } => (exchange.as_deref().unwrap_or_default(), ""),
        };
        let common = template(options.routing, exchange, routing_key, &options.properties)?;
        Ok(TemplateMaker {
            address: options.address.clone(),
            properties: options.properties.clone(),
            own: options.own.clone(),
            routing: options.routing,
            common: Arc::new(common),
        })
    }

    /// For a message that is nothing but a body.
    pub(in crate::publish) fn for_body(
        &self,
        body: &[u8],
        location: &Location,
    ) -> Result<Arc<Template>, String> {
        match self.address {
            Address::Given { .. } if self.own.are_none() => Ok(Arc::clone(&self.common)),
            _ => self.make(&Envelope::default(), body, location),
        }
    }

    /// For the message of an envelope.
    pub(in crate::publish) fn for_envelope(
        &self,
        envelope: &Envelope,
        location: &Location,
    ) -> Result<Arc<Template>, String> {
        self.make(envelope, &envelope.body, location)
    }

    fn make(
        &self,
        envelope: &Envelope,
        body: &[u8],
        location: &Location,
    ) -> Result<Arc<Template>, String> {
        let (exchange, routing_key) = match &self.address {
            Address::Given { .. }
                if self.own.are_none() && envelope.properties == Properties::default() =>
            {
                return Ok(Arc::clone(&self.common));
            }
            Address::Given {
                exchange,
                routing_key,
            } => (Some(exchange), Some(routing_key)),
            Address::OfEnvelope { exchange } => (
                exchange.as_ref().or(envelope.exchange.as_ref()),
                envelope.routing_key.as_ref(),
            ),
        };
        if exchange.is_none() && routing_key.is_none() {
            return Err("neither exchange nor routing key specified".to_owned());
        }
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        let properties = self
            .own
            .of(body, location)
            .or(self.properties.clone())
            .or(envelope.properties.clone());
        template(
            self.routing,
            &text(exchange),
            &text(routing_key),
            &properties,
        )
        .map(Arc::new)
        .map_err(|error| error.to_string())
    }
}

impl OwnProperties {
    /// Those of one message.
    fn of(&self, body: &[u8], location: &Location) -> Properties {
        let name = &location.origin.name;
        let header = |header: &String| {
            let value = match name.to_str() {
                Some(text) => HeaderValue::String(text.to_owned()),
                None => HeaderValue::Bytes(name.as_bytes().to_vec()),
            };
            [(header.clone(), value)].into()
        };
        let record = location.position.record.to_be_bytes();
        Properties {
            headers: self.file_header.as_ref().map(header),
            message_id: self
                .has_message_id
                .then(|| digest::name_of([name.as_bytes(), &record, body])),
            ..Properties::default()
        }
    }
}

fn template(
    routing: Routing,
    exchange: &str,
    routing_key: &str,
    properties: &Properties,
) -> Result<Template, Error> {
    let unroutable = routing.unroutable(exchange);
    Template::new(exchange, routing_key, properties, unroutable)
}

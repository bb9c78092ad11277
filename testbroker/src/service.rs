//! The broker to work with: the one that `AMQP_URL` names, or else a private one.

use std::env;

use anyhow::Result;

use crate::node::Broker;
use crate::options::Options;

/// A broker that is somebody else's, or our own.
#[derive(Debug)]
pub enum Service {
    /// Named by the caller's `AMQP_URL`: others may use it too.
    Given(String),
    /// Started for this run alone.
    Private(Broker),
}

impl Service {
    /// Takes the broker of `AMQP_URL` where that is set and not empty, and starts a private node where it is not.
    pub fn from_environment() -> Result<Self> {
        match env::var("AMQP_URL") {
            Ok(url) if !url.is_empty() => Ok(Self::Given(url)),
            _ => Ok(Self::Private(Broker::start(&Options::new())?)),
        }
    }

    /// The broker's AMQP URL.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Private(broker) => broker.url(),
        }
    }
}

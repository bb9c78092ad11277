//! The broker to work with: the one that `AMQP_URL` names, or else a private one.

use std::env;

use anyhow::{Result, bail};

use crate::node::Broker;
use crate::options::Options;
use crate::qpid::Qpid;

/// A broker that is somebody else's, or our own.
#[derive(Debug)]
pub enum Service {
    /// Named by the caller's `AMQP_URL`: others may use it too.
    Given(String),
    /// A RabbitMQ, started for this run alone.
    Private(Broker),
    /// A Qpid, started for this run alone.
    Qpid(Qpid),
}

impl Service {
    /// Takes the broker of `AMQP_URL` where that is set and not empty, and starts a private one where it is not: of the
    /// kind that `AMQP_TOOLS_BROKER` names, or else the installed RabbitMQ.
    pub fn from_environment() -> Result<Self> {
        if let Some(url) = set("AMQP_URL") {
            return Ok(Self::Given(url));
        }
        Self::private()
    }

    /// Starts a private broker of the kind that `AMQP_TOOLS_BROKER` names, or else the installed RabbitMQ.
    pub fn private() -> Result<Self> {
        match set("AMQP_TOOLS_BROKER").as_deref() {
            Some("qpid") => Ok(Self::Qpid(Qpid::start()?)),
            _ => Ok(Self::Private(Broker::start(&Options::new())?)),
        }
    }

    /// Stops a private broker in good order; its data stays for [`resume`](Self::resume).
    pub fn stop(&mut self) -> Result<()> {
        match self {
            Self::Given(url) => bail!("{url} is not ours to stop"),
            Self::Private(broker) => broker.stop(),
            Self::Qpid(broker) => broker.stop(),
        }
    }

    /// Starts a private broker again, on the same port and data.
    pub fn resume(&mut self) -> Result<()> {
        match self {
            Self::Given(url) => bail!("{url} is not ours to start"),
            Self::Private(broker) => broker.resume(),
            Self::Qpid(broker) => broker.resume(),
        }
    }

    /// The broker's AMQP URL.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Private(broker) => broker.url(),
            Self::Qpid(broker) => broker.url(),
        }
    }
}

fn set(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

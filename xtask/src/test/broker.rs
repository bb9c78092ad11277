//! The broker of a test run, made ready.

use std::env;

use anyhow::Result;
use testbroker::{FLAVOURS, Flavour, Installation, QPID_RELEASE};

use super::marks::Release;
use crate::install;

/// A broker by the name that marks and the closing line have for it.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    pub(super) name: String,
    /// Of RabbitMQ alone.
    pub(super) release: Option<Release>,
    /// What it is, with its version.
    pub(super) description: String,
}

impl Broker {
    /// Those that are not RabbitMQ.
    pub(super) const OTHERS: [&str; 1] = ["qpid"];

    pub(super) fn is_known(name: &str) -> bool {
        Self::OTHERS.contains(&name) || Flavour::named(name).is_ok()
    }

    /// The broker of that name; what it needs is installed if it is missing.
    pub(super) fn provide(name: &str) -> Result<Self> {
        if Self::OTHERS.contains(&name) {
            install::qpid()?;
            return Ok(Self {
                name: name.to_owned(),
                release: None,
                description: format!("Apache Qpid Broker-J {QPID_RELEASE}"),
            });
        }
        let flavour = Flavour::named(name)?;
        Self::rabbitmq(name, &install::flavour(flavour)?)
    }

    /// The one that `AMQP_URL` names, or else this machine's own RabbitMQ.
    pub(super) fn own() -> Result<Self> {
        if env::var_os("AMQP_URL").is_some_and(|url| !url.is_empty()) {
            return Ok(Self {
                name: "AMQP_URL".to_owned(),
                release: None,
                description: "the broker of AMQP_URL".to_owned(),
            });
        }
        let installation = Installation::find()?;
        let version = installation.version()?;
        let known = FLAVOURS.iter().find(|flavour| flavour.has(&version));
        let name = known.map_or(format!("rabbitmq-{version}"), |flavour| {
            flavour.name.to_owned()
        });
        Self::rabbitmq(&name, &installation)
    }

    fn rabbitmq(name: &str, installation: &Installation) -> Result<Self> {
        let version = installation.version()?;
        Ok(Self {
            name: name.to_owned(),
            release: Some(version.parse()?),
            description: format!("RabbitMQ {version}"),
        })
    }
}

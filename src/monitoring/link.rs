//! A tool's connection to the broker, as the status server shows it.

use prometheus::IntCounter;

use super::health::Health;
use super::registry::Numbers;
use crate::broker::Pulse;

/// Whether there is a connection, and how many there have been.
pub(crate) struct Link {
    health: Health,
    reconnects: IntCounter,
    was_connected: bool,
}

impl Link {
    /// None yet.
    pub(crate) fn new(numbers: &Numbers) -> prometheus::Result<Link> {
        Ok(Link {
            health: Health::default(),
            reconnects: numbers.counter(
                "reconnects_total",
                "Connections to the broker after the first one.",
            )?,
            was_connected: false,
        })
    }

    /// A connection is open; this is its broker's pulse.
    pub(crate) fn opened(&mut self, pulse: Pulse) {
        if std::mem::replace(&mut self.was_connected, true) {
            self.reconnects.inc();
        }
        self.health.connected(pulse);
    }

    /// What `/readyz` shows.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }
}

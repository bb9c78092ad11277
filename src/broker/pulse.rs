//! The broker's signs of life: heartbeats, or anything else that is read.

use std::time::Duration;

use super::transport::connection_events::ConnectionEvents;

/// The signs of life on one connection. Any thread may look at them.
#[derive(Clone, Debug)]
pub struct Pulse {
    pub(super) events: ConnectionEvents,
    /// The interval in seconds; 0: there are no heartbeats.
    pub(super) heartbeat: u16,
}

impl Pulse {
    /// Whether the connection is there and the broker has been heard lately. A broker sends something twice in an interval, and the
    /// connection is given up after two intervals without.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let patience = Duration::from_secs(self.heartbeat.into()) * 3 / 2;
        let is_silent = self.heartbeat > 0 && self.events.silence() > patience;
        !is_silent && self.events.disconnect().is_none()
    }
}

//! Whether the tool is ready: what `/readyz` answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::broker::Pulse;

/// The health of a tool, shared by its loop and the status server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_at_work: AtomicBool,
    is_ending: AtomicBool,
    pulse: Mutex<Option<Pulse>>,
}

impl Health {
    /// A connection is open; this is its broker's pulse.
    pub(crate) fn connected(&self, pulse: Pulse) {
        *self.0.pulse.lock().unwrap_or_else(PoisonError::into_inner) = Some(pulse);
    }

    /// Whether the tool can do its work: it is subscribed, or connected where that is enough.
    pub(crate) fn set_at_work(&self, is_at_work: bool) {
        self.0.is_at_work.store(is_at_work, Ordering::Relaxed);
    }

    /// Whether the tool is about to end: a signal asked for that, or there is no more work for it.
    pub(crate) fn set_ending(&self, is_ending: bool) {
        self.0.is_ending.store(is_ending, Ordering::Relaxed);
    }

    /// Why the tool is not ready, if it is not.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let pulse = self.0.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.is_ending.load(Ordering::Relaxed) {
            Some("the tool is about to end")
        } else if !self.0.is_at_work.load(Ordering::Relaxed) {
            Some("there is no connection to the broker, or no subscription")
        } else if !pulse.as_ref().is_some_and(Pulse::is_alive) {
            Some("the broker sends no heartbeats")
        } else {
            None
        }
    }
}

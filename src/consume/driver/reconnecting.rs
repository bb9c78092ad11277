//! One connection after the other. A fault of the broker may pass, while a node starts for example, or stay. So connections that one
//! fault after the other ends are opened anew for as long as one that cannot be opened (`--retry`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Driver;
use super::connection::ConnectionHandle;
use crate::consume::run::{Event, FromBroker};
use crate::reason::{ConnectionFailure, reason};

/// A connection that lasted for longer was of use.
const SETTLED: Duration = Duration::from_secs(5);

/// The faults of the broker in a run (541).
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// The first of those that no connection of use came between.
    first: Arc<Mutex<Option<Instant>>>,
}

impl Faults {
    /// Notes a fault that ended a connection, and says whether another connection may do better.
    pub(super) fn may_pass(&self, opened: Instant, now: Instant, patience: Duration) -> bool {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(opened) > SETTLED {
            *first = None;
        }
        let first = *first.get_or_insert(now);
        now.saturating_duration_since(first) < patience
    }
}

impl Driver {
    pub(super) fn connect(&mut self, number: u32, pause: Duration) {
        let began = ConnectionHandle::begin(
            number,
            pause,
            &self.connect,
            &self.options,
            (&self.own_queue, &self.beginning, &self.faults),
            &self.waker,
        );
        match began {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => {
                let failure = ConnectionFailure {
                    reason: format!("starting a thread: {}", reason(&error)),
                    is_transient: false,
                };
                self.pending
                    .push_back(Event::Broker(number, FromBroker::Lost(failure)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_one_after_the_other_are_borne_for_so_long_and_a_connection_of_use_begins_anew() {
        let faults = Faults::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let minute = Duration::from_secs(60);
        for second in 0..60 {
            assert!(faults.may_pass(at(second), at(second), minute));
        }
        assert!(!faults.may_pass(at(60), at(60), minute));
        assert!(faults.may_pass(at(61), at(67), minute));
        assert!(faults.may_pass(at(68), at(126), Duration::MAX));
        assert!(!faults.may_pass(at(127), at(127), Duration::ZERO));
    }
}

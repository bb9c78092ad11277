//! A connection is begun.

use std::time::Duration;

use super::Driver;
use super::connection::ConnectionHandle;
use crate::consume::run::{ConnectionId, Event, FromBroker};
use crate::reason::{ConnectionFailure, reason};

impl Driver {
    pub(super) fn connect(&mut self, number: ConnectionId, pause: Duration) {
        let began = ConnectionHandle::begin(
            number,
            pause,
            &self.connect,
            &self.options,
            (&self.own_queue, &self.beginning),
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

//! Connecting: as a rule in a thread of its own, so that a signal can end the wait for it.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::broker::{ConnectOptions, Result, Session};
use crate::publish::run::ConnectionId;

/// A session that is being opened.
pub(super) struct Opening {
    pub(super) connection: ConnectionId,
    pub(super) result: Receiver<Result<Session>>,
}

impl Opening {
    /// Begins the first connection. If it is to be tried only once, this thread makes it: that does not take long, and nothing
    /// is published yet, so a signal may end the tool at once.
    pub(super) fn first(connect: &ConnectOptions, connection: ConnectionId) -> io::Result<Opening> {
        if !connect.retry.is_zero() {
            return Opening::start(connect, connection, Duration::ZERO);
        }
        let (opened, result) = bounded(1);
        // There is room for one.
        let _ = opened.send(Session::open(connect));
        Ok(Opening { connection, result })
    }

    /// Begins to connect after `pause`.
    pub(super) fn start(
        connect: &ConnectOptions,
        connection: ConnectionId,
        pause: Duration,
    ) -> io::Result<Opening> {
        let (opened, result) = bounded(1);
        let options = connect.clone();
        thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                thread::sleep(pause);
                // After a signal, nobody waits for the session.
                let _ = opened.send(Session::open(&options));
            })?;
        Ok(Opening { connection, result })
    }
}

//! SIGINT and SIGTERM: the first one ends the reading and leaves a bounded time for what is on the way; a second one
//! does not wait any longer.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::broker::{Cutter, Session};

/// How long after a signal the broker may take to confirm what is on the way.
const GRACE: Duration = Duration::from_secs(5);

/// Signals that do not end the tool any more, and that are heard of once somebody [listens](Interrupts::listen).
pub(super) struct Caught(Signals);

impl Caught {
    /// Catches signals from here on.
    pub(super) fn signals() -> io::Result<Caught> {
        Signals::new([SIGINT, SIGTERM]).map(Caught)
    }
}

/// Hears of signals, and ends the session in time even while the tool waits for the broker.
pub(super) struct Interrupts {
    signals: Receiver<i32>,
    session: Arc<Mutex<Option<Cutter>>>,
}

impl Interrupts {
    pub(super) fn listen(Caught(mut signals): Caught) -> io::Result<Interrupts> {
        let (heard, receiver) = unbounded();
        let session: Arc<Mutex<Option<Cutter>>> = Arc::default();
        let watched = Arc::clone(&session);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let mut patience = GRACE;
                for signal in &mut signals {
                    // Cut what is open now; a session that is opened later hears of the signal before it is used.
                    let session = watched.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(session) = &*session {
                        session.cut_at(Instant::now() + patience);
                    }
                    let _ = heard.send(signal);
                    patience = Duration::ZERO;
                }
            })?;
        Ok(Interrupts {
            signals: receiver,
            session,
        })
    }

    /// Where signals arrive.
    pub(super) fn signals(&self) -> &Receiver<i32> {
        &self.signals
    }

    /// Makes this the session that a signal ends.
    pub(super) fn watch_over(&self, session: &Session) {
        let mut watched = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = Some(session.cutter());
    }
}

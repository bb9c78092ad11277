//! Signals that ask the tool to end. While it publishes, the first signal ends reading and leaves a limited time for messages in
//! flight; the second one leaves none. Before and after that, a signal ends the tool at once: it may be waiting for a file, or for a
//! reader of its output.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::iterator::Signals;

use crate::broker::{Cutter, Session};
use crate::status::Status;
use crate::system::signals::hangups_are_ignored;

/// How long the broker may take to confirm messages in flight after a signal.
const GRACE: Duration = Duration::from_secs(5);

/// How long the tool may take to notice a signal. It may be stuck, on standard error for example.
const UNHEEDED: Duration = Duration::from_secs(6);

/// How long the tool may take to end after a signal: the grace period, the time limit of closing, and some more.
const UNENDED: Duration = Duration::from_secs(12);

/// How long the tool may take to report its outcome after a signal.
const UNREAD: Duration = Duration::from_secs(1);

/// How often these times are checked.
const LOOK: Duration = Duration::from_millis(100);

/// Signals are caught and end the process at once, with status 128 + n. They are caught because the first process of a container
/// receives no other signals.
pub(crate) struct Caught {
    signals: Signals,
    /// Whether a signal ends the process at once.
    at_once: Arc<AtomicBool>,
}

/// Receives signals, and cuts the session in time even while the tool waits for the broker.
pub(crate) struct Interrupts {
    signals: Receiver<i32>,
    shared: Arc<InterruptState>,
}

/// The state that the signal thread and the publishing thread share.
struct InterruptState {
    session: Mutex<Option<Cutter>>,
    is_heeded: AtomicBool,
    /// See [`Caught`].
    at_once: Arc<AtomicBool>,
}

impl Caught {
    /// Catches signals from here on.
    pub(crate) fn signals() -> io::Result<Caught> {
        let mut caught = vec![SIGTERM, SIGINT, SIGQUIT];
        if !hangups_are_ignored() {
            caught.push(SIGHUP);
        }
        let at_once = Arc::new(AtomicBool::new(true));
        for signal in &caught {
            let status = i32::from(Status::signalled(*signal).code());
            register_conditional_shutdown(*signal, status, Arc::clone(&at_once))?;
        }
        let signals = Signals::new(caught)?;
        Ok(Caught { signals, at_once })
    }
}

impl Interrupts {
    /// From now on signals are passed to the driver and do not end the process.
    pub(crate) fn listen(caught: Caught) -> io::Result<Interrupts> {
        let Caught {
            mut signals,
            at_once,
        } = caught;
        let (heard, receiver) = unbounded();
        at_once.store(false, Ordering::SeqCst);
        let shared = Arc::new(InterruptState {
            session: Mutex::default(),
            is_heeded: AtomicBool::new(false),
            at_once,
        });
        let watched = Arc::clone(&shared);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let mut patience = GRACE;
                for signal in &mut signals {
                    // Cut the session that is open now. The driver handles the signal before it uses a later one.
                    watched.cut_session_in(patience);
                    let _ = heard.send(signal);
                    watched.see_to_the_end(signal);
                    patience = Duration::ZERO;
                }
            })?;
        Ok(Interrupts {
            signals: receiver,
            shared,
        })
    }

    /// Where signals arrive.
    pub(crate) fn signals(&self) -> &Receiver<i32> {
        &self.signals
    }

    /// The next signal that has come.
    pub(crate) fn next(&self) -> Option<i32> {
        let signal = self.signals.try_recv().ok()?;
        self.shared.is_heeded.store(true, Ordering::SeqCst);
        Some(signal)
    }

    /// Sets the session that a signal cuts.
    pub(crate) fn watch_over(&self, session: &Session) {
        *self.shared.session() = Some(session.cutter());
    }
}

impl Drop for Interrupts {
    /// The driver handles no more signals.
    fn drop(&mut self) {
        self.shared.at_once.store(true, Ordering::SeqCst);
    }
}

impl InterruptState {
    fn session(&self) -> std::sync::MutexGuard<'_, Option<Cutter>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut_session_in(&self, patience: Duration) {
        if let Some(session) = &*self.session() {
            session.cut_at(Instant::now() + patience);
        }
    }

    /// Ends the process if it does not end by itself.
    fn see_to_the_end(self: &Arc<Self>, signal: i32) {
        let shared = Arc::clone(self);
        let ended = thread::Builder::new().spawn(move || {
            let began = Instant::now();
            let mut unread = Duration::ZERO;
            while unread < UNREAD && !shared.is_late(began.elapsed()) {
                thread::sleep(LOOK);
                if shared.at_once.load(Ordering::SeqCst) {
                    unread += LOOK;
                }
            }
            process::exit(Status::signalled(signal).code().into());
        });
        // Without that thread, the tool's own time limits still hold.
        drop(ended);
    }

    /// Whether the tool should have noticed the signal by now, or should have ended.
    fn is_late(&self, elapsed: Duration) -> bool {
        elapsed >= UNENDED || (elapsed >= UNHEEDED && !self.is_heeded.load(Ordering::SeqCst))
    }
}

//! A deadline for what amiquip does without one: when it passes, the socket is shut down, and whatever waits for the
//! broker ends with an error.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Watches over one connection; lets go of it when dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    deadlines: Sender<Option<Instant>>,
    bitten: Arc<AtomicBool>,
}

/// Cuts a connection from another thread, when the one that uses it may be waiting for the broker.
#[derive(Clone, Debug)]
pub struct Cutter(Sender<Option<Instant>>);

impl Cutter {
    /// Has the connection cut at `deadline`, unless closing it sets another.
    pub fn cut_at(&self, deadline: Instant) {
        // Nobody listens where the connection has ended already.
        let _ = self.0.send(Some(deadline));
    }
}

impl Watchdog {
    /// A watchdog for `socket`'s connection, with no deadline yet.
    pub(super) fn over(socket: TcpStream) -> std::io::Result<Watchdog> {
        let (deadlines, orders) = channel();
        let bitten = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&bitten);
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                if overslept(&orders) {
                    mark.store(true, Ordering::SeqCst);
                    // The connection may be gone already; then there is nothing to end.
                    let _ = socket.shutdown(Shutdown::Both);
                }
            })?;
        Ok(Watchdog { deadlines, bitten })
    }

    /// The means to cut the connection from elsewhere.
    pub(super) fn cutter(&self) -> Cutter {
        Cutter(self.deadlines.clone())
    }

    /// Does `work`; the connection is cut if it takes longer than until `deadline`.
    pub(super) fn guard<T>(&self, deadline: Instant, work: impl FnOnce() -> T) -> T {
        // A watchdog that cannot be told has ended the connection, and work ends by that.
        let _ = self.deadlines.send(Some(deadline));
        let done = work();
        let _ = self.deadlines.send(None);
        done
    }

    /// [`Watchdog::guard`] with a deadline from now.
    pub(super) fn guard_for<T>(&self, limit: Duration, work: impl FnOnce() -> T) -> T {
        self.guard(deadline_in(limit), work)
    }

    /// Whether a deadline passed and the connection was cut for it.
    pub(super) fn has_cut(&self) -> bool {
        self.bitten.load(Ordering::SeqCst)
    }
}

/// The instant at which `limit` will have passed; for all practical purposes never, if that is beyond the clock's range.
pub(super) fn deadline_in(limit: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(limit.min(NEVER)).unwrap_or(now)
}

/// Waits until a deadline passes (true) or nobody can set one any more (false).
fn overslept(orders: &Receiver<Option<Instant>>) -> bool {
    let mut deadline: Option<Instant> = None;
    loop {
        let order = match deadline {
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => {
                orders.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            }
        };
        match order {
            Ok(new) => deadline = new,
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

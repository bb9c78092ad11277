//! A deadline for what amiquip does without one: when it passes, the socket is shut down, and whatever waits for the
//! broker ends with an error.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Watches over one connection; lets go of it when dropped.
#[derive(Debug)]
pub(super) struct Watchdog(Arc<Shared>);

/// Cuts a connection from another thread, when the one that uses it may be waiting for the broker.
#[derive(Clone, Debug)]
pub struct Cutter(Arc<Shared>);

/// What the watching thread and those that set deadlines have in common.
#[derive(Debug, Default)]
struct Shared {
    orders: Mutex<Orders>,
    changed: Condvar,
    bitten: AtomicBool,
}

#[derive(Debug, Default)]
struct Orders {
    deadline: Option<Instant>,
    /// Until when the thread sleeps if nobody wakes it; `None`: until somebody does.
    sleeps_until: Option<Instant>,
    /// Nothing is watched over any more.
    is_over: bool,
}

impl Cutter {
    /// Has the connection cut at `deadline`, unless closing it sets another.
    pub fn cut_at(&self, deadline: Instant) {
        self.0.set(Some(deadline));
    }
}

impl Watchdog {
    /// A watchdog for `socket`'s connection, with no deadline yet.
    pub(super) fn over(socket: TcpStream) -> std::io::Result<Watchdog> {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                if watched.oversleeps() {
                    watched.bitten.store(true, Ordering::SeqCst);
                    // The connection may be gone already; then there is nothing to end.
                    let _ = socket.shutdown(Shutdown::Both);
                }
            })?;
        Ok(Watchdog(shared))
    }

    /// The means to cut the connection from elsewhere.
    pub(super) fn cutter(&self) -> Cutter {
        Cutter(Arc::clone(&self.0))
    }

    /// Does `work`; the connection is cut if it takes longer than until `deadline`.
    pub(super) fn guard<T>(&self, deadline: Instant, work: impl FnOnce() -> T) -> T {
        self.0.set(Some(deadline));
        let done = work();
        self.0.set(None);
        done
    }

    /// [`Watchdog::guard`] with a deadline from now.
    pub(super) fn guard_for<T>(&self, limit: Duration, work: impl FnOnce() -> T) -> T {
        self.guard(deadline_in(limit), work)
    }

    /// Whether a deadline passed and the connection was cut for it.
    pub(super) fn has_cut(&self) -> bool {
        self.0.bitten.load(Ordering::SeqCst)
    }
}

/// The instant at which `limit` will have passed; for all practical purposes never, if that is beyond the clock's range.
pub(super) fn deadline_in(limit: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(limit.min(NEVER)).unwrap_or(now)
}

impl Shared {
    /// Sets or clears the deadline. The thread is woken only if it would sleep too long: most deadlines are cleared in
    /// time, and then it never runs.
    fn set(&self, deadline: Option<Instant>) {
        let mut orders = self.lock();
        orders.deadline = deadline;
        let sleeps_too_long = match (deadline, orders.sleeps_until) {
            (Some(deadline), Some(until)) => deadline < until,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if sleeps_too_long {
            self.changed.notify_one();
        }
    }

    /// Waits until a deadline passes (true) or nobody can set one any more (false).
    fn oversleeps(&self) -> bool {
        let mut orders = self.lock();
        loop {
            if orders.is_over {
                return false;
            }
            orders.sleeps_until = orders.deadline;
            let Some(deadline) = orders.deadline else {
                orders = self
                    .changed
                    .wait(orders)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let woken = self.changed.wait_timeout(orders, left);
            orders = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The orders are whole at every moment, also where somebody panicked who held them.
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_one();
    }
}

//! A deadline for what amiquip does without one: when it passes, the socket is shut down, and whatever waits for the
//! broker ends with an error.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The deadline of one connection, with a thread that waits for it; both end when this is dropped.
#[derive(Debug)]
pub(in crate::broker) struct Deadline(Arc<Timer>);

/// Cuts a connection from another thread, when the one that uses it may be waiting for the broker.
#[derive(Clone, Debug)]
pub struct Cutter(Arc<Timer>);

/// What the waiting thread and those that set the deadline have in common.
#[derive(Debug, Default)]
struct Timer {
    setting: Mutex<Setting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Setting {
    deadline: Option<Instant>,
    /// Until when the thread sleeps if nobody wakes it; `None`: until somebody does.
    sleeps_until: Option<Instant>,
    /// A deadline passed, and the socket was shut down for it.
    has_passed: bool,
    /// Nobody can set a deadline any more.
    is_over: bool,
}

impl Cutter {
    /// Has the connection cut at `deadline`, unless closing it sets another.
    pub fn cut_at(&self, deadline: Instant) {
        self.0.set(Some(deadline));
    }
}

impl Deadline {
    /// A deadline for `socket`'s connection, not set yet.
    pub(in crate::broker) fn of(socket: TcpStream) -> std::io::Result<Deadline> {
        let timer = Arc::new(Timer::default());
        let waited_for = Arc::clone(&timer);
        thread::Builder::new()
            .name("deadline".to_owned())
            .spawn(move || {
                if waited_for.passes() {
                    // The connection may be gone already; then there is nothing to end.
                    let _ = socket.shutdown(Shutdown::Both);
                }
            })?;
        Ok(Deadline(timer))
    }

    /// The means to cut the connection from elsewhere.
    pub(in crate::broker) fn cutter(&self) -> Cutter {
        Cutter(Arc::clone(&self.0))
    }

    /// Does `work`; the connection is cut if it takes longer than until `deadline`.
    pub(in crate::broker) fn bound<T>(&self, deadline: Instant, work: impl FnOnce() -> T) -> T {
        self.0.set(Some(deadline));
        let done = work();
        self.0.set(None);
        done
    }

    /// Whether a deadline passed and the connection was cut for it.
    pub(in crate::broker) fn has_passed(&self) -> bool {
        self.0.lock().has_passed
    }
}

/// The instant at which `limit` will have passed; for all practical purposes never, if that is beyond the clock's range.
pub(in crate::broker) fn deadline_in(limit: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(limit.min(NEVER)).unwrap_or(now)
}

impl Timer {
    /// Sets or clears the deadline. The thread is woken only if it would sleep too long: most deadlines are cleared in
    /// time, and then it never runs.
    fn set(&self, deadline: Option<Instant>) {
        let mut setting = self.lock();
        setting.deadline = deadline;
        let sleeps_too_long = match (deadline, setting.sleeps_until) {
            (Some(deadline), Some(until)) => deadline < until,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if sleeps_too_long {
            self.changed.notify_one();
        }
    }

    /// Waits until a deadline passes (true) or nobody can set one any more (false).
    fn passes(&self) -> bool {
        let mut setting = self.lock();
        loop {
            if setting.is_over {
                return false;
            }
            setting.sleeps_until = setting.deadline;
            let Some(deadline) = setting.deadline else {
                setting = self
                    .changed
                    .wait(setting)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                setting.has_passed = true;
                return true;
            }
            let woken = self.changed.wait_timeout(setting, left);
            setting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The setting is whole at every moment, also where somebody panicked who held it.
    fn lock(&self) -> MutexGuard<'_, Setting> {
        self.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_one();
    }
}

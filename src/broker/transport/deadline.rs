//! A deadline for what amiquip does without one. When it passes, a timer wakes amiquip's I/O thread, which shuts the socket
//! down, and whatever waits for the broker ends with an error.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::unix::EventedFd;
use mio::{Evented as _, Poll, PollOpt, Ready, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// The deadline of one connection, shared by its session and its stream.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Deadline(Arc<Timer>);

/// Cuts a connection from another thread, when the one that uses it may be waiting for the broker.
#[derive(Clone, Debug)]
pub struct Cutter(Arc<Timer>);

#[derive(Debug)]
struct Timer {
    deadline: Mutex<Option<Instant>>,
    /// Becomes readable when a deadline passes. It is not stopped where a deadline is met: then it wakes the thread in vain.
    alarm: OwnedFd,
    has_passed: AtomicBool,
}

impl Cutter {
    /// Has the connection cut at `deadline`, unless closing it sets another.
    pub fn cut_at(&self, deadline: Instant) {
        self.0.set(deadline);
    }
}

impl Deadline {
    /// A deadline that is not set yet.
    pub(in crate::broker) fn unset() -> io::Result<Deadline> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Deadline(Arc::new(Timer {
            deadline: Mutex::default(),
            alarm: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            has_passed: AtomicBool::new(false),
        })))
    }

    /// The means to cut the connection from elsewhere.
    pub(in crate::broker) fn cutter(&self) -> Cutter {
        Cutter(Arc::clone(&self.0))
    }

    /// Does `work`; the connection is cut if it takes longer than until `deadline`.
    pub(in crate::broker) fn bound<T>(&self, deadline: Instant, work: impl FnOnce() -> T) -> T {
        self.0.set(deadline);
        let done = work();
        *self.0.lock() = None;
        done
    }

    /// Whether a deadline passed and the connection was cut for it.
    pub(in crate::broker) fn has_passed(&self) -> bool {
        self.0.has_passed.load(Ordering::SeqCst)
    }

    /// Whether the connection must be cut now.
    pub(super) fn passes(&self) -> bool {
        self.left().is_err()
    }

    /// How much time is left; without a deadline, `None`. An error: none is, and the connection is cut.
    pub(super) fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = *self.0.lock() else {
            return Ok(None);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.0.has_passed.store(true, Ordering::SeqCst);
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }

    /// Has `poll` report it under `token` when a deadline passes.
    pub(super) fn register(&self, poll: &Poll, token: Token) -> io::Result<()> {
        let alarm = self.0.alarm.as_raw_fd();
        EventedFd(&alarm).register(poll, token, Ready::readable(), PollOpt::edge())
    }

    pub(super) fn deregister(&self, poll: &Poll) -> io::Result<()> {
        EventedFd(&self.0.alarm.as_raw_fd()).deregister(poll)
    }
}

/// The instant at which `limit` will have passed; for all practical purposes never, if that is beyond the clock's range.
pub(in crate::broker) fn deadline_in(limit: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(limit.min(NEVER)).unwrap_or(now)
}

impl Timer {
    fn set(&self, deadline: Instant) {
        let mut setting = self.lock();
        *setting = Some(deadline);
        let left = deadline.saturating_duration_since(Instant::now());
        // It fails for no valid time. A time of 0 would stop the timer.
        let _ = timerfd_settime(
            &self.alarm,
            TimerfdTimerFlags::empty(),
            &once_in(left.max(Duration::from_nanos(1))),
        );
    }

    /// The setting is whole at every moment, also where somebody panicked who held it.
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn once_in(time: Duration) -> Itimerspec {
    Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use mio::Events;

    use super::*;

    /// Waits until the timer wakes a poll.
    fn is_woken(poll: &Poll) {
        poll.poll(&mut Events::with_capacity(1), None).unwrap();
    }

    #[test]
    fn each_deadline_that_passes_wakes_whoever_polls() {
        let deadline = Deadline::unset().unwrap();
        let poll = Poll::new().unwrap();
        deadline.register(&poll, Token(0)).unwrap();
        let cutter = deadline.cutter();
        for time in [Duration::ZERO, Duration::from_millis(1)] {
            cutter.cut_at(Instant::now() + time);
            is_woken(&poll);
            assert!(deadline.passes());
        }
        assert!(deadline.has_passed());
    }

    #[test]
    fn a_deadline_that_is_met_cuts_nothing() {
        let deadline = Deadline::unset().unwrap();
        let poll = Poll::new().unwrap();
        deadline.register(&poll, Token(0)).unwrap();
        let passed = Instant::now();
        deadline.bound(passed, || is_woken(&poll));
        assert!(!deadline.passes());
        assert_eq!(deadline.left().unwrap(), None);
        let left = deadline.bound(deadline_in(Duration::MAX), || deadline.left());
        assert!(left.unwrap() > Some(Duration::from_secs(3600)));
        assert!(!deadline.has_passed());
    }
}

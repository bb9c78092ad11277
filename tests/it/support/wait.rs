//! Waiting for a condition, never for a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything that a test waits for may take on a slow machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds; panics with `what` when it does not within the deadline.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, || condition().then_some(()));
}

/// Waits until `look` finds something and returns it; panics with `what` when it does not within the deadline.
#[track_caller]
pub(crate) fn eventually_some<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until(DEADLINE, look).unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain: {what}"))
}

/// Looks again and again, ever more slowly, until there is something or the time is up.
pub(crate) fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

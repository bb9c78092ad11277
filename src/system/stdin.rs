//! Whether there is a standard input at all: Rust's runtime puts `/dev/null` in the place of a closed one before `main`
//! begins, which then reads as empty.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::fcntl_getfd;

static WAS_CLOSED_AT_START: AtomicBool = AtomicBool::new(false);

ctor::declarative::ctor! {
    /// Comes before Rust's runtime, and uses nothing of it.
    #[ctor(unsafe)]
    fn look_before_the_runtime() {
        let is_closed = fcntl_getfd(rustix::stdio::stdin()).is_err();
        WAS_CLOSED_AT_START.store(is_closed, Ordering::Relaxed);
    }
}

/// An error where this process was started with its standard input closed (`<&-`).
pub(crate) fn ensure_open() -> io::Result<()> {
    if WAS_CLOSED_AT_START.load(Ordering::Relaxed) {
        return Err(io::Error::other("standard input is closed"));
    }
    Ok(())
}

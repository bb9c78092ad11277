//! Whether standard input and output were closed when this process started (`<&-`, `>&-`).
//!
//! Rust's runtime opens `/dev/null` in the place of a closed one before `main`. Standard input then reads as empty, and every write
//! to standard output succeeds, but the data is lost. A tool that takes a message from a queue to write it there must know that before.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::fcntl_getfd;
use rustix::stdio::{stdin, stdout};

static STDIN_WAS_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

ctor::declarative::ctor! {
    /// Runs before Rust's runtime and uses nothing of it.
    #[ctor(unsafe)]
    fn look_before_the_runtime() {
        STDIN_WAS_CLOSED.store(fcntl_getfd(stdin()).is_err(), Ordering::Relaxed);
        STDOUT_WAS_CLOSED.store(fcntl_getfd(stdout()).is_err(), Ordering::Relaxed);
    }
}

/// An error if this process was started without a standard input.
pub(crate) fn ensure_stdin_open() -> io::Result<()> {
    ensure(&STDIN_WAS_CLOSED, "standard input is closed")
}

/// An error if this process was started without a standard output.
pub(crate) fn ensure_stdout_open() -> io::Result<()> {
    ensure(&STDOUT_WAS_CLOSED, "it is closed")
}

fn ensure(was_closed: &AtomicBool, complaint: &str) -> io::Result<()> {
    if was_closed.load(Ordering::Relaxed) {
        return Err(io::Error::other(complaint));
    }
    Ok(())
}

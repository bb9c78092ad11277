//! Signals to the tool, kept by the kernel until it looks. They are blocked rather than handled: a handler would have to run
//! and to leave word for each, and the first process of a container is sent blocked signals like any other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::system::signals::{hangups_are_ignored, ignored, is_in};

/// The signals that have come; as a file, readable when there are any.
pub(super) struct SignalQueue(SignalFd);

impl SignalQueue {
    /// From here on signals are kept, also from the threads that this one starts.
    pub(super) fn listen() -> io::Result<SignalQueue> {
        let mut signals = vec![
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGQUIT,
        ];
        if !hangups_are_ignored() {
            signals.push(Signal::SIGHUP);
        }
        let signals = SigSet::from_iter(signals);
        signals.thread_block()?;
        for signal in &signals {
            undo_ignoring(signal)?;
        }
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(SignalQueue(SignalFd::with_flags(&signals, flags)?))
    }

    /// The next one that has come, without waiting. One that comes often meanwhile is one.
    pub(super) fn next(&mut self) -> Option<i32> {
        Some(self.0.read_signal().ok()??.ssi_signo.cast_signed())
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives a signal that is blocked a handler, which never runs. Whoever started us may have had us ignore it, and commands
/// would inherit that; and where SIGCHLD is ignored, the kernel forgets how a command has ended.
fn undo_ignoring(signal: Signal) -> io::Result<()> {
    signal_hook::flag::register(signal as i32, Arc::default()).map(drop)
}

/// The signals that commands are to find at their defaults: all but those that whoever started us had us ignore. Rust's
/// runtime ignores SIGPIPE, and that is not to be passed on.
///
/// Our handlers would not survive in a command anyway; but what is not named here, the C library asks the kernel about, signal
/// by signal, for each command.
pub(super) fn not_ignored() -> SigSet {
    set_without(ignored())
}

fn set_without(ignored: Option<u64>) -> SigSet {
    const LAST_WITH_A_NAME: i32 = 31;
    // Left ignored by any program that starts another by posix_spawn; the C library does as it likes with them.
    const FOR_THE_C_LIBRARY: u64 = 0b11 << LAST_WITH_A_NAME;
    let ignored = ignored.map(|mask| mask & !FOR_THE_C_LIBRARY);
    let Some(ignored) = ignored.filter(|mask| mask >> LAST_WITH_A_NAME == 0) else {
        return SigSet::from(Signal::SIGPIPE);
    };
    let mut signals = SigSet::all();
    Signal::iterator()
        .filter(|signal| *signal != Signal::SIGPIPE && is_in(ignored, *signal as i32))
        .for_each(|signal| signals.remove(signal));
    signals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_ignore_what_we_were_told_to_and_nothing_else() {
        let hangup_and_pipe = 0x1_8000_1001;
        let defaults = set_without(Some(hangup_and_pipe));
        assert!(!defaults.contains(Signal::SIGHUP));
        for signal in [Signal::SIGPIPE, Signal::SIGTERM, Signal::SIGUSR1] {
            assert!(defaults.contains(signal), "{signal}");
        }
    }

    #[test]
    fn what_has_no_name_or_is_not_known_is_left_alone() {
        for ignored in [Some(1 << 40), None] {
            assert_eq!(set_without(ignored), SigSet::from(Signal::SIGPIPE));
        }
    }
}

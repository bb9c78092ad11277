//! Signals to the tool. They are blocked and read from a file: a handler would need a way to pass each one on, and the first process
//! of a container receives only signals that it blocks or handles.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::system::signals::{hangups_are_ignored, ignored, is_in};

/// The signals that have come. As a file it is readable when there are any.
pub(super) struct SignalQueue(SignalFd);

impl SignalQueue {
    /// Blocks and collects signals from now on, in this thread and in those that it starts.
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

    /// The next signal, without waiting. A signal that came several times is reported once.
    pub(super) fn next(&mut self) -> Option<i32> {
        Some(self.0.read_signal().ok()??.ssi_signo.cast_signed())
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Installs a handler for a blocked signal, which never runs. The tool's parent may have had it ignore the signal, and commands would
/// inherit that. If SIGCHLD is ignored, the kernel discards the exit statuses of commands.
fn undo_ignoring(signal: Signal) -> io::Result<()> {
    signal_hook::flag::register(signal as i32, Arc::default()).map(drop)
}

/// The signals that get their default actions in a command: all except those that the tool's parent had it ignore. SIGPIPE is
/// included, which Rust's runtime ignores.
///
/// Handlers do not survive in a command anyway. But the C library makes a system call for each signal that is not named here, for
/// each command.
pub(super) fn not_ignored() -> SigSet {
    set_without(ignored())
}

fn set_without(ignored: Option<u64>) -> SigSet {
    const LAST_WITH_A_NAME: i32 = 31;
    // Ignored after any posix_spawn. The C library handles them itself.
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

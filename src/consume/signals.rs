//! Signals to the tool, as messages on a channel. Handlers are installed for each, so that they work in the first process
//! of a container too, which the kernel spares all signals that it has no handler for.

use std::fs;
use std::io;
use std::thread;

use crossbeam_channel::{Receiver, unbounded};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// A signal that the tool got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A child has ended (SIGCHLD).
    Child,
    /// Please end: SIGTERM, or one of those that terminals send.
    End(i32),
}

/// Installs the handlers; from here on signals arrive on the channel.
pub(super) fn listen() -> io::Result<Receiver<Notice>> {
    let mut numbers = vec![SIGCHLD, SIGTERM, SIGINT, SIGQUIT];
    if !hangups_are_ignored() {
        numbers.push(SIGHUP);
    }
    let mut signals = Signals::new(numbers)?;
    let (sender, receiver) = unbounded();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let notice = match signal {
                    SIGCHLD => Notice::Child,
                    other => Notice::End(other),
                };
                if sender.send(notice).is_err() {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// Whether the signal is one that a terminal sends to its foreground processes. Commands run in process groups of their
/// own and get it from us.
pub(super) fn comes_from_terminal(signal: i32) -> bool {
    matches!(signal, SIGINT | SIGQUIT | SIGHUP)
}

/// Whether whoever started us said that hangups are to be ignored (nohup). A handler would undo that.
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals(&status).is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// The mask of ignored signals in a `/proc/PID/status`; bit n - 1 is signal n.
fn ignored_signals(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tsleep\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), Some(0x1001));
        assert_eq!(ignored_signals("Name:\tsleep\n"), None);
    }
}

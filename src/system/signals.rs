//! Signals to the tool: which ones its parent had it ignore, and ending at one.

use std::fs;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::SIGHUP;
use signal_hook::flag::{register_conditional_default, register_conditional_shutdown};

/// The process id of the first process of a container.
const FIRST_PROCESS: u32 = 1;

/// Starts a thread that receives no signals. Other threads wait for them.
pub(crate) fn without_signals<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let started = start();
    before.thread_set_mask()?;
    started
}

/// Lets SIGTERM, SIGINT, SIGQUIT and SIGHUP end this process at once: by the signal itself, or with status 128 + n where this is
/// the first process of a container, for which the kernel has no default actions. A SIGHUP that is ignored stays ignored
/// (nohup). The parent may have had the process ignore or block the other signals; that is undone.
///
/// This is for tools that have nothing to put right at their end. What the broker was asked for is done or not, and an
/// unacknowledged message is requeued when the connection ends.
pub(crate) fn end_at_signals() -> io::Result<()> {
    let is_first = process::id() == FIRST_PROCESS;
    let mut signals = vec![Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];
    if is_first && !hangups_are_ignored() {
        signals.push(Signal::SIGHUP);
    }
    let condition = Arc::new(AtomicBool::new(true));
    for signal in &signals {
        let number = *signal as i32;
        if is_first {
            register_conditional_shutdown(number, 128 + number, Arc::clone(&condition))?;
        } else {
            register_conditional_default(number, Arc::clone(&condition))?;
        }
    }
    SigSet::from_iter(signals).thread_unblock()?;
    Ok(())
}

/// Whether the parent had this process ignore SIGHUP (nohup). To be asked before a handler is installed.
pub(crate) fn hangups_are_ignored() -> bool {
    ignored().is_some_and(|mask| is_in(mask, SIGHUP))
}

/// Whether a mask has this signal.
pub(crate) fn is_in(mask: u64, signal: i32) -> bool {
    mask & (1 << (signal - 1)) != 0
}

/// The mask of the signals that this process ignores. Bit n - 1 is signal n.
pub(crate) fn ignored() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    ignored_according_to(&status)
}

/// The mask of ignored signals in a `/proc/PID/status`.
fn ignored_according_to(status: &str) -> Option<u64> {
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
        assert_eq!(ignored_according_to(status), Some(0x1001));
        assert_eq!(ignored_according_to("Name:\tsleep\n"), None);
        assert!(is_in(0x1001, 1) && is_in(0x1001, 13) && !is_in(0x1001, 2));
    }
}

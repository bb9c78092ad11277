//! SIGTERM, SIGINT, SIGQUIT and SIGHUP end a tool that has nothing to put right at its end: what the broker has been asked
//! for is done or not, and a message that was handed over and not acknowledged goes back when the connection ends.
//!
//! The kernel does that by itself, and tells whoever waits for the process which signal it was. There are three
//! exceptions: the first process of a container has no defaults, and whoever started the tool may have had it ignore or
//! block a signal.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::flag::{register_conditional_default, register_conditional_shutdown};

use crate::consume::signals::hangups_are_ignored;

const FIRST_PROCESS: u32 = 1;

/// From here on each of the signals ends this process, in whatever wait it is: by the signal itself, or with 128 and its
/// number as the first process. A hangup does not, if it was ignored until now (nohup).
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

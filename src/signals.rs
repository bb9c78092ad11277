//! Signals, as far as all tools treat them alike.

use std::fs;

use signal_hook::consts::SIGHUP;

/// Whether whoever started us said that hangups are to be ignored (nohup). A handler would undo that.
#[must_use]
pub fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status");
    let ignored = status.ok().and_then(|status| ignored_according_to(&status));
    ignored.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// The mask of the signals that a process ignores, as its `/proc/PID/status` says it; bit n - 1 is signal n.
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
    }
}

//! Whether there is a standard output at all.

use std::io;

use rustix::fs::{OFlags, fcntl_getfl, fstat, makedev};

/// An error where this process was started with its standard output closed (`>&-`).
///
/// Rust puts `/dev/null` in the place of a closed one, opened for reading and writing, and then every write succeeds
/// and goes nowhere. A shell's `>/dev/null`, which is meant, opens it for writing alone.
pub fn ensure_open() -> io::Result<()> {
    let stdout = io::stdout();
    let is_null = fstat(&stdout)?.st_rdev == makedev(1, 3);
    let reads_too = fcntl_getfl(&stdout)?.contains(OFlags::RDWR);
    if is_null && reads_too {
        return Err(io::Error::from(rustix::io::Errno::BADF));
    }
    Ok(())
}

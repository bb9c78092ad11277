//! Starting a command: its environment, its standard input, its process group.
//!
//! The command inherits standard output and error. `posix_spawn` resets the signals that Rust's runtime ignores.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::Pid;

use super::feeder::{self, Feeder};
use super::options::CommandLine;

/// A command that has been started and is being fed.
pub(super) struct Started {
    /// Its process, and its process group.
    pub(super) pid: Pid,
    /// Who writes what of the body does not fit the pipe; held for as long as the command runs.
    pub(super) feeder: Option<Feeder>,
}

/// Why no command was started.
#[derive(Debug)]
pub(super) enum StartFailure {
    /// The program is not there, or can't be executed: every message would fail so.
    Command(io::Error),
    /// The machine has no processes, memory or files left: nothing that a message or the program is to blame for.
    Machine(io::Error),
}

/// Starts the command in a process group of its own, so that a signal reaches all that it has started.
///
/// In a terminal it is not in the foreground then: it may write, but would be stopped if it read from the terminal.
/// Its standard input is the message.
pub(super) fn start(
    line: &CommandLine,
    environment: &[(&'static str, Option<OsString>)],
    body: &Arc<Vec<u8>>,
) -> Result<Started, StartFailure> {
    let (stdin, feeder) = feeder::readable(body).map_err(StartFailure::Machine)?;
    let mut command = Command::new(&line.program);
    command.args(&line.arguments).stdin(stdin).process_group(0);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let child = command.spawn().map_err(classify)?;
    // The crew waits for it, together with all other children.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    match pid {
        Some(pid) => Ok(Started { pid, feeder }),
        None => Err(StartFailure::Machine(io::Error::other("no process id"))),
    }
}

fn classify(error: io::Error) -> StartFailure {
    let shortages = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
    match Errno::from_io_error(&error) {
        Some(number) if shortages.contains(&number) => StartFailure::Machine(error),
        _ => StartFailure::Command(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortages_are_the_machines_and_the_rest_the_commands() {
        for (number, machine) in [
            (Errno::AGAIN, true),
            (Errno::NOMEM, true),
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOENT, false),
            (Errno::ACCESS, false),
            (Errno::NOEXEC, false),
            (Errno::TOOBIG, false),
            (Errno::TXTBSY, false),
        ] {
            let failure = classify(number.into());
            assert_eq!(
                matches!(failure, StartFailure::Machine(_)),
                machine,
                "{failure:?}"
            );
        }
    }
}

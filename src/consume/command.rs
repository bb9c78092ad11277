//! Starting a command: its environment, its standard input, its process group.
//!
//! The command inherits standard output and error. `posix_spawn` is called here and not by the standard library, which makes a
//! sorted copy of the whole environment for each command: a third of what starting one takes us.

use std::env;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, Signal};
use rustix::io::Errno;
use rustix::process::Pid;

use super::environment;
use super::feeder::{self, Feeder};
use super::options::CommandLine;

/// The tool's own environment, but for the variables that tell of a message.
pub(super) struct Inherited(Vec<CString>);

impl Inherited {
    /// As it is now; the tool never changes it.
    pub(super) fn from_ourselves() -> Inherited {
        let ours = environment::names();
        let others = env::vars_os().filter(|(name, _)| !ours.iter().any(|ours| name == ours));
        Inherited(
            others
                .filter_map(|(name, value)| definition(&name, &value))
                .collect(),
        )
    }
}

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
    inherited: &Inherited,
    telling: &[(&'static str, Option<OsString>)],
    body: &Arc<Vec<u8>>,
) -> Result<Started, StartFailure> {
    let (stdin, feeder) = feeder::readable(body).map_err(StartFailure::Machine)?;
    let told: Vec<CString> = telling
        .iter()
        .filter_map(|(name, value)| definition(OsStr::new(name), value.as_ref()?))
        .collect();
    let environment: Vec<&CStr> = inherited.0.iter().chain(&told).map(AsRef::as_ref).collect();
    let pid = spawn(line, &environment, &stdin).map_err(classify)?;
    Ok(Started { pid, feeder })
}

/// Starts the program with `stdin`, no signal blocked, and the signal that Rust's runtime ignores as it should be.
fn spawn(line: &CommandLine, environment: &[&CStr], stdin: &impl AsRawFd) -> io::Result<Pid> {
    let program = c_string(&line.program)?;
    let rest = line.arguments.iter().map(|argument| c_string(argument));
    let arguments = std::iter::once(Ok(program.clone()))
        .chain(rest)
        .collect::<io::Result<Vec<_>>>()?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(stdin.as_raw_fd(), 0)?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attributes.set_pgroup(nix::unistd::Pid::from_raw(0))?;
    attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
    attributes.set_sigmask(&SigSet::empty())?;
    let child = posix_spawnp(&program, &files, &attributes, &arguments, environment)?;
    Pid::from_raw(child.as_raw()).ok_or_else(|| io::Error::other("no process id"))
}

/// `NAME=value`; `None` if there is a NUL in it, which an environment can't hold.
fn definition(name: &OsStr, value: &OsStr) -> Option<CString> {
    let mut text = name.to_owned().into_vec();
    text.push(b'=');
    text.extend(value.as_bytes());
    CString::new(text).ok()
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
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
    fn what_is_not_told_is_not_inherited_either() {
        let Inherited(variables) = Inherited::from_ourselves();
        assert!(!variables.is_empty());
        let ours = environment::names();
        assert!(ours.contains(&"AMQP_QUEUE") && ours.contains(&"AMQP_HEADERS"));
        for variable in variables {
            let (name, _) = variable.to_str().unwrap().split_once('=').unwrap();
            assert!(!ours.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_definition_has_no_nul() {
        let definition = |value: &str| definition(OsStr::new("NAME"), OsStr::new(value));
        assert_eq!(definition("a=b").as_deref(), Some(c"NAME=a=b"));
        assert_eq!(definition("a\0b"), None);
    }

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

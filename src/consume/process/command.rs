//! Starting a command: its environment, its standard input, its process group.
//!
//! The command inherits standard output and error, unless the tool collects what it writes. This module calls `posix_spawn` itself:
//! the standard library makes a sorted copy of the whole environment for each command, which is a third of the time of a start.

use std::env;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags};
use nix::spawn::{posix_spawn, posix_spawnp};
use nix::sys::signal::SigSet;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::Pid;

use super::environment;
use super::stdin::{self, Feeder};
use crate::consume::options::{CommandWork, Stdin};
use crate::consume::output::Pipes;
use crate::consume::signals;
use crate::status::Status;

/// Starts commands. It prepares once what all commands have in common.
pub(in crate::consume) struct Launcher {
    /// The program as given, and its arguments.
    words: Vec<CString>,
    stdin: Stdin,
    /// The program's path, if it was found in `PATH`.
    path: Option<CString>,
    /// The tool's own environment, without the variables that it sets itself.
    inherited: Vec<CString>,
    attributes: PosixSpawnAttr,
}

impl Launcher {
    /// Uses the tool's environment and its ignored signals as they are now. The tool never changes them.
    pub(in crate::consume) fn new(work: &CommandWork) -> io::Result<Launcher> {
        let words = std::iter::once(&work.program).chain(&work.arguments);
        Ok(Launcher {
            words: words
                .map(|word| c_string(word))
                .collect::<io::Result<Vec<_>>>()?,
            stdin: work.stdin,
            path: find(&work.program),
            inherited: inherited_environment(work.hides_url),
            attributes: attributes()?,
        })
    }

    /// Starts the command in a process group of its own, so that a signal reaches all processes that it has started.
    ///
    /// On a terminal, the command is in the background: it may write, but the kernel would stop it if it read from the terminal.
    /// Its standard input is the message. Its standard output and error are the pipes, if there are any, and else the tool's own.
    /// Descriptor 3 is the pipe for answers, if there is one.
    /// The process id is that of its process group too. The feeder must live as long as the command. An error comes with the exit
    /// status for it.
    pub(in crate::consume) fn start(
        &self,
        variables: &[(&'static str, Option<OsString>)],
        body: &Arc<Vec<u8>>,
        pipes: &Pipes,
    ) -> Result<(Pid, Option<Feeder>), (Status, io::Error)> {
        let (stdin, feeder) =
            stdin::readable(body, self.stdin).map_err(|error| (Status::FAILURE, error))?;
        let pid = self.start_with(variables, &stdin, pipes)?;
        Ok((pid, feeder))
    }

    /// The same with this standard input.
    pub(in crate::consume) fn start_with(
        &self,
        variables: &[(&'static str, Option<OsString>)],
        stdin: &impl AsFd,
        pipes: &Pipes,
    ) -> Result<Pid, (Status, io::Error)> {
        let own: Vec<CString> = variables
            .iter()
            .filter_map(|(name, value)| definition(OsStr::new(name), value.as_ref()?))
            .collect();
        let environment: Vec<&CStr> = self
            .inherited
            .iter()
            .chain(&own)
            .map(AsRef::as_ref)
            .collect();
        self.spawn(&environment, stdin, pipes)
            .map_err(|error| (status_of(&error), error))
    }

    fn spawn(&self, environment: &[&CStr], stdin: &impl AsFd, pipes: &Pipes) -> io::Result<Pid> {
        let mut files = PosixSpawnFileActions::init()?;
        files.add_dup2(stdin.as_fd().as_raw_fd(), 0)?;
        // In this order: one of the pipes may be number 3 here.
        for (pipe, number) in [(&pipes.stdout, 1), (&pipes.stderr, 2), (&pipes.answers, 3)] {
            if let Some(pipe) = pipe {
                files.add_dup2(pipe.as_raw_fd(), number)?;
            }
        }
        let from_path = self.path.as_ref().and_then(|path| {
            posix_spawn(&**path, &files, &self.attributes, &self.words, environment).ok()
        });
        let child = match from_path {
            Some(child) => child,
            // The program may have moved. If it does not exist, this call says why.
            None => posix_spawnp(
                &self.words[0],
                &files,
                &self.attributes,
                &self.words,
                environment,
            )?,
        };
        Pid::from_raw(child.as_raw()).ok_or_else(|| io::Error::other("no process id"))
    }
}

/// The path of a program that is named without a slash. Without it, each start would try all folders of `PATH`.
fn find(program: &OsStr) -> Option<CString> {
    if program.as_bytes().contains(&b'/') {
        return c_string(program).ok();
    }
    let folders = env::var_os("PATH")?;
    let path = env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())?;
    c_string(path.as_os_str()).ok()
}

/// `AMQP_URL` may hold a password, and is not for every command.
fn inherited_environment(hides_url: bool) -> Vec<CString> {
    let ours = environment::names();
    env::vars_os()
        .filter(|(name, _)| !ours.iter().any(|ours| name == ours))
        .filter(|(name, _)| !hides_url || name != "AMQP_URL")
        .filter_map(|(name, value)| definition(&name, &value))
        .collect()
}

/// A process group of its own, no blocked signals, and the same ignored signals as in the tool's parent.
fn attributes() -> io::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attributes.set_pgroup(nix::unistd::Pid::from_raw(0))?;
    attributes.set_sigdefault(&signals::not_ignored())?;
    attributes.set_sigmask(&SigSet::empty())?;
    Ok(attributes)
}

/// `NAME=value`; `None` if it contains a NUL, which an environment cannot hold.
fn definition(name: &OsStr, value: &OsStr) -> Option<CString> {
    let mut text = name.to_owned().into_vec();
    text.push(b'=');
    text.extend(value.as_bytes());
    CString::new(text).ok()
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

/// The status for a command that was not started: 127 or 126 if the program does not exist or cannot be executed, since every message
/// would fail in the same way; 1 if the machine has no processes, memory or file descriptors left.
fn status_of(error: &io::Error) -> Status {
    match Errno::from_io_error(error) {
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => Status::FAILURE,
        Some(Errno::NOENT) => Status::NOT_FOUND,
        _ => Status::NOT_EXECUTABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_message_are_not_inherited() {
        let variables = inherited_environment(false);
        assert!(!variables.is_empty());
        let ours = environment::names();
        assert!(ours.contains(&"AMQP_QUEUE") && ours.contains(&"AMQP_HEADERS"));
        for variable in variables {
            let (name, _) = variable.to_str().unwrap().split_once('=').unwrap();
            assert!(!ours.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_program_is_found_where_the_system_finds_it() {
        let found = find(OsStr::new("sh")).unwrap();
        assert!(found.to_bytes().ends_with(b"/sh"), "{found:?}");
        assert_eq!(find(OsStr::new("./sh")).as_deref(), Some(c"./sh"));
        assert_eq!(find(OsStr::new("no such program")), None);
    }

    #[test]
    fn a_definition_has_no_nul() {
        let definition = |value: &str| definition(OsStr::new("NAME"), OsStr::new(value));
        assert_eq!(definition("a=b").as_deref(), Some(c"NAME=a=b"));
        assert_eq!(definition("a\0b"), None);
    }

    #[test]
    fn the_status_says_why_a_command_was_not_started() {
        for (number, status) in [
            (Errno::AGAIN, Status::FAILURE),
            (Errno::NOMEM, Status::FAILURE),
            (Errno::MFILE, Status::FAILURE),
            (Errno::NFILE, Status::FAILURE),
            (Errno::NOENT, Status::NOT_FOUND),
            (Errno::ACCESS, Status::NOT_EXECUTABLE),
            (Errno::NOEXEC, Status::NOT_EXECUTABLE),
            (Errno::TOOBIG, Status::NOT_EXECUTABLE),
            (Errno::TXTBSY, Status::NOT_EXECUTABLE),
        ] {
            assert_eq!(status_of(&number.into()), status, "{number:?}");
        }
    }
}

//! A command line and what must become of it. What is not named must be empty.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{self, Stdio};
use std::time::Duration;

use super::outcome::{Ended, Expected, Finished};
use super::running::Running;
use super::test::{Test, Tools, search_path};
use super::wait::DEADLINE;
use super::words::rabbitmqs;

/// A command that has not run yet. Its last word runs it: [`succeeds`](Self::succeeds), [`exits`](Self::exits),
/// [`dies_of`](Self::dies_of), [`ends`](Self::ends), or [`spawn`](Self::spawn).
#[must_use = "a command runs only when its end is named"]
pub(crate) struct Command<'t> {
    test: &'t Test,
    process: process::Command,
    input: Input,
    keeps_stdout: bool,
    expected: Expectations,
}

/// What must be on a command's streams, and how long it may take to end.
#[derive(Debug, Clone)]
pub(crate) struct Expectations {
    pub(crate) stdout: Expected,
    pub(crate) stderr: Expected,
    pub(crate) deadline: Duration,
}

#[derive(Debug)]
pub(crate) enum Input {
    Null,
    Bytes(Vec<u8>),
    /// A pipe whose other end the test keeps.
    Open,
}

impl<'t> Command<'t> {
    pub(crate) fn new(test: &'t Test, program: PathBuf) -> Self {
        let mut command = process::Command::new(program);
        command
            .env_clear()
            .current_dir(test.path(""))
            .process_group(0);
        command
            .env("PATH", search_path(test.tools()))
            .env("HOME", test.path(""))
            .env("BROKER_URL", test.url());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if test.tools() == Tools::Ours {
            command.env("AMQP_URL", test.url()); // the reference does not know it
        }
        let nothing = Expected::Exactly(Vec::new());
        let expected = Expectations {
            stdout: nothing.clone(),
            stderr: nothing,
            deadline: DEADLINE,
        };
        Self {
            test,
            process: command,
            input: Input::Null,
            keeps_stdout: true,
            expected,
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.process.arg(argument);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.process.args(arguments);
        self
    }

    /// Sets an environment variable; `{placeholders}` are filled in.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.process.env(name, self.test.fill(value));
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.process.env_remove(name);
        self
    }

    /// These bytes and then the end of the file on standard input. Without this it is empty.
    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = Input::Bytes(bytes.as_ref().to_vec());
        self.stdin_is(Stdio::piped())
    }

    /// A pipe on standard input, which the test writes to and closes.
    pub(crate) fn stdin_stays_open(mut self) -> Self {
        self.input = Input::Open;
        self.stdin_is(Stdio::piped())
    }

    fn stdin_is(mut self, stdin: Stdio) -> Self {
        self.process.stdin(stdin);
        self
    }

    /// Standard output goes to that file, for example `/dev/full`.
    pub(crate) fn stdout_to(mut self, path: &str) -> Self {
        self.process
            .stdout(File::options().write(true).open(path).unwrap());
        self.keeps_stdout = false;
        self
    }

    /// Standard output is a pipe that nobody reads.
    pub(crate) fn stdout_closed(mut self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.process.stdout(writer);
        self.keeps_stdout = false;
        self
    }

    /// Standard output is a pipe that nobody reads, and that stays open.
    pub(crate) fn stdout_unread(mut self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        std::mem::forget(reader);
        self.process.stdout(writer);
        self.keeps_stdout = false;
        self
    }

    /// Standard error is a socket. What it gets can be read from the other one.
    pub(crate) fn stderr_to_socket(mut self) -> (Self, UnixStream) {
        let (reader, writer) = UnixStream::pair().unwrap();
        self.process.stderr(OwnedFd::from(writer));
        (self.any_stderr(), reader)
    }

    /// Standard error is a pipe that is full, and that nobody reads.
    pub(crate) fn stderr_full(mut self) -> Self {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let capacity = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
        writer.write_all(&vec![b'x'; capacity]).unwrap();
        std::mem::forget(reader);
        self.process.stderr(writer);
        self.any_stderr()
    }

    /// Exactly this must be on standard output; `{placeholders}` are filled in.
    pub(crate) fn stdout(mut self, text: &str) -> Self {
        self.expected.stdout = Expected::Exactly(self.test.fill(text).into_bytes());
        self
    }

    pub(crate) fn stdout_bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.expected.stdout = Expected::Exactly(bytes.as_ref().to_vec());
        self
    }

    /// This must be somewhere on standard output. May be called several times.
    pub(crate) fn stdout_contains(mut self, text: &str) -> Self {
        self.expected.stdout.also_containing(self.test.fill(text));
        self
    }

    pub(crate) fn any_stdout(mut self) -> Self {
        self.expected.stdout = Expected::Anything;
        self
    }

    /// Exactly this must be on standard error; `{placeholders}` are filled in.
    pub(crate) fn stderr(mut self, text: &str) -> Self {
        self.expected.stderr = Expected::Exactly(self.test.fill(text).into_bytes());
        self
    }

    /// This must be somewhere on standard error. May be called several times.
    pub(crate) fn stderr_contains(mut self, text: &str) -> Self {
        self.expected.stderr.also_containing(self.test.fill(text));
        self
    }

    /// Standard error must be one line, with this in it.
    pub(crate) fn stderr_line(mut self, text: &str) -> Self {
        self.expected.stderr = Expected::LineContaining(self.test.fill(text));
        self
    }

    /// Standard error must be one line: the tool's words, and behind them RabbitMQ's where that is the run's broker.
    pub(crate) fn stderr_refusal(self, ours: &str, theirs: &str) -> Self {
        let line = format!("{ours}{}", rabbitmqs(theirs));
        if line.ends_with('\n') {
            self.stderr(&line)
        } else {
            self.stderr_line(&line)
        }
    }

    pub(crate) fn any_stderr(mut self) -> Self {
        self.expected.stderr = Expected::Anything;
        self
    }

    /// How long the command may take, where the usual 30 s are not right.
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        self.expected.deadline = deadline;
        self
    }

    /// Starts the command and returns at once.
    #[track_caller]
    pub(crate) fn spawn(self) -> Running<'t> {
        let line = command_line(&self.process);
        Running::start(
            self.test,
            line,
            self.process,
            self.input,
            self.keeps_stdout,
            self.expected,
        )
    }

    /// Runs the command, which must exit with 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Finished {
        self.exits(0)
    }

    /// Runs the command, which must exit with that status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Finished {
        self.spawn().exits(status)
    }

    /// Runs the command, which must be killed by that signal.
    #[track_caller]
    pub(crate) fn dies_of(self, signal: rustix::process::Signal) -> Finished {
        self.spawn().dies_of(signal)
    }

    /// Runs the command, which may end in any way: nothing is checked but that it ends in time.
    #[track_caller]
    pub(crate) fn ends(self) -> Finished {
        self.any_stdout().any_stderr().spawn().ends()
    }
}

/// The command as one would type it.
fn command_line(command: &process::Command) -> String {
    let program = command.get_program();
    let words: Vec<OsString> = std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_owned)
        .collect();
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| format!("{words:?}"))
}

impl Ended {
    pub(crate) fn of(status: process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

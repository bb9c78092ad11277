//! A command that runs while the test goes on: signal it, feed it, wait for it.

use std::io::{Read, Write as _};
use std::process::{self, Child, ChildStdin};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::command::{Expectations, Input};
use super::outcome::{Ended, Expected, Finished};
use super::test::Test;
use super::wait::{DEADLINE, until};

/// A started command, in a process group of its own that is killed if the test ends before it.
#[derive(Debug)]
#[must_use = "a running command's end is to be named"]
pub(crate) struct Running<'t> {
    test: &'t Test,
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Collected,
    stderr: Collected,
    expected: Expectations,
}

impl<'t> Running<'t> {
    #[track_caller]
    pub(crate) fn start(
        test: &'t Test,
        line: String,
        mut command: process::Command,
        input: Input,
        keeps_stdout: bool,
        mut expected: Expectations,
    ) -> Self {
        if !keeps_stdout {
            expected.stdout = Expected::Anything;
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        drop(command); // with it goes our copy of what its streams were redirected to
        let stdout = Collected::from(child.stdout.take());
        let stderr = Collected::from(child.stderr.take());
        let stdin = feed(child.stdin.take(), input);
        Self {
            test,
            line,
            child,
            stdin,
            stdout,
            stderr,
            expected,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the command itself, not to what it started.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Sends a signal to the command and what it started in its group, as the terminal's Ctrl-C does.
    #[track_caller]
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).unwrap();
    }

    /// Writes to the command's standard input.
    #[track_caller]
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stdin
            .as_mut()
            .expect("an open stdin")
            .write_all(bytes.as_ref())
            .unwrap();
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn stdout_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes()).into_owned()
    }

    pub(crate) fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Waits until the command has written that to standard output.
    #[track_caller]
    pub(crate) fn has_printed(&mut self, text: &str) {
        let text = self.test.fill(text);
        let found = until(DEADLINE, || {
            self.stdout_so_far().contains(&text).then_some(())
        });
        assert!(
            found.is_some(),
            "{}",
            self.report(&format!("  waited in vain for {text:?} on stdout\n"))
        );
    }

    /// Waits until the command has written that to standard error.
    #[track_caller]
    pub(crate) fn has_complained(&mut self, text: &str) {
        let text = self.test.fill(text);
        let found = until(DEADLINE, || {
            self.stderr_so_far().contains(&text).then_some(())
        });
        assert!(
            found.is_some(),
            "{}",
            self.report(&format!("  waited in vain for {text:?} on stderr\n"))
        );
    }

    /// Waits for the command, which must exit with 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Finished {
        self.exits(0)
    }

    /// Waits for the command, which must exit with that status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Finished {
        self.ends_with(Some(Ended::Exit(status)))
    }

    /// Waits for the command, which must be killed by that signal.
    #[track_caller]
    pub(crate) fn dies_of(self, signal: Signal) -> Finished {
        self.ends_with(Some(Ended::Signal(signal.as_raw())))
    }

    /// Waits for the command; how it ends is not checked.
    #[track_caller]
    pub(crate) fn ends(self) -> Finished {
        self.ends_with(None)
    }

    #[track_caller]
    fn ends_with(mut self, ended: Option<Ended>) -> Finished {
        self.close_stdin();
        let Some(finished) = self.wait() else {
            self.fail_as_unfinished()
        };
        let complaints = finished.complaints(&self.expected, ended);
        assert!(
            complaints.is_empty(),
            "{}",
            finished.report(self.test, &self.line, &complaints)
        );
        finished
    }

    /// Waits until the command has ended and both its streams are closed; nothing if that is not so in time.
    pub(crate) fn wait(&mut self) -> Option<Finished> {
        until(self.expected.deadline, || {
            let status = self.child.try_wait().unwrap()?;
            (self.stdout.is_complete() && self.stderr.is_complete()).then_some(())?;
            Some(Finished {
                stdout: self.stdout.bytes(),
                stderr: self.stderr.bytes(),
                ended: Ended::of(status),
            })
        })
    }

    /// Panics with what there is to say about a command that did not end in time.
    #[track_caller]
    pub(crate) fn fail_as_unfinished(&mut self) -> ! {
        panic!(
            "{}",
            self.report(&format!(
                "  it had not ended after {:?}\n",
                self.expected.deadline
            ))
        );
    }

    fn report(&mut self, complaint: &str) -> String {
        let Self {
            test,
            line,
            child,
            stdout,
            stderr,
            ..
        } = self;
        let state = match child.try_wait().unwrap() {
            Some(status) => format!("{complaint}  {}\n", Ended::of(status)),
            None => format!("{complaint}  still running\n"),
        };
        let (stdout, stderr) = (stdout.bytes(), stderr.bytes());
        let (stdout, stderr) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        format!(
            "{line}\n{state}  stdout: {stdout:?}\n  stderr: {stderr:?}\nqueues:\n{}",
            test.describe_queues()
        )
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Writes all the bytes from a thread, so that a command that does not read cannot hold up the test.
fn feed(stdin: Option<ChildStdin>, input: Input) -> Option<ChildStdin> {
    match (stdin, input) {
        (Some(mut stdin), Input::Bytes(bytes)) => {
            thread::spawn(move || stdin.write_all(&bytes));
            None
        }
        (stdin, _) => stdin,
    }
}

/// What a thread has read from a stream.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn from(stream: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = stream.map(|stream| thread::spawn(move || collect(stream, &sink)));
        Self { bytes, reader }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    fn is_complete(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

fn collect(mut stream: impl Read, sink: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16384];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        sink.lock().unwrap().extend_from_slice(&buffer[..length]);
    }
}

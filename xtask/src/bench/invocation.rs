//! One command to be run and measured: time by the clock, processor time, and, under GNU time, peak memory.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use wait4::Wait4 as _;

/// No run takes that long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A command with its arguments and its standard input; standard output goes to `/dev/null`.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    program: PathBuf,
    arguments: Vec<String>,
    input: Option<PathBuf>,
}

/// What a run used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) seconds: f64,
    /// Of the process and the children that it waited for, where it is a process.
    pub(crate) cpu_seconds: Option<f64>,
    /// Only if it ran under [`Meter::TimeAndMemory`].
    pub(crate) peak_kib: Option<u64>,
}

/// What is measured of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meter {
    /// Nothing stands between the clock and the command.
    Time,
    /// The command runs under GNU time, which adds half a millisecond. What the kernel calls peak memory begins with
    /// that of whoever starts the command; GNU time is small enough not to be seen.
    TimeAndMemory,
}

impl Invocation {
    pub(crate) fn of(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            input: None,
        }
    }

    pub(crate) fn with<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn fed(mut self, input: &Path) -> Self {
        self.input = Some(input.to_owned());
        self
    }

    /// The command as one would type it.
    pub(crate) fn shown(&self) -> String {
        let mut words = vec![self.program.display().to_string()];
        words.extend(self.arguments.iter().map(|word| quoted(word)));
        if let Some(input) = &self.input {
            words.push(format!("< {}", input.display()));
        }
        words.join(" ")
    }

    /// Runs it to its end. A command that fails, or hangs, is an error.
    pub(crate) fn run(&self, meter: Meter) -> Result<Usage> {
        let scratch = tempfile::tempdir()?;
        let (complaints, peak) = (scratch.path().join("stderr"), scratch.path().join("peak"));
        let mut command = match meter {
            Meter::Time => Command::new(&self.program),
            Meter::TimeAndMemory => under_gnu_time(&self.program, &peak),
        };
        command
            .args(&self.arguments)
            .stdin(self.standard_input()?)
            .stdout(Stdio::null())
            .stderr(File::create(&complaints)?)
            .process_group(0);
        let usage = measure(&mut command)
            .with_context(|| fs::read_to_string(&complaints).unwrap_or_default())?;
        let peak_kib = match meter {
            Meter::Time => None,
            Meter::TimeAndMemory => Some(fs::read_to_string(&peak)?.trim().parse()?),
        };
        Ok(Usage { peak_kib, ..usage })
    }

    fn standard_input(&self) -> Result<Stdio> {
        Ok(match &self.input {
            Some(path) => File::open(path)
                .with_context(|| format!("opening {}", path.display()))?
                .into(),
            None => Stdio::null(),
        })
    }
}

fn under_gnu_time(program: &Path, peak: &Path) -> Command {
    let mut command = Command::new("/usr/bin/time");
    command.args(["--quiet", "--format=%M", "--output"]);
    command.arg(peak).arg(program);
    command
}

/// From just before the start to just after the end.
fn measure(command: &mut Command) -> Result<Usage> {
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (ended, end) = channel::<()>();
    let guard = thread::spawn(move || {
        if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // It has not been waited for yet, so its number is still its own.
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        }
    });
    let end = child.wait4()?;
    let seconds = start.elapsed().as_secs_f64();
    drop(ended);
    let _ = guard.join();
    if !end.status.success() {
        bail!(
            "{} ended with {}",
            command.get_program().display(),
            end.status
        );
    }
    Ok(Usage {
        seconds,
        cpu_seconds: Some((end.rusage.utime + end.rusage.stime).as_secs_f64()),
        peak_kib: None,
    })
}

/// The word, in single quotes if a shell would read it otherwise.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,$".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{word}'")
    }
}

//! The job log: one line per command, tab-separated like GNU parallel's `--joblog`. A thread writes it, since the file may be a pipe
//! with a slow reader, or on a slow network.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::message::Message;
use crate::reason::reason;
use crate::status::Status;
use crate::system::stderr::say;

/// Names of standard error. They cannot be opened where it is a socket, or a file of another user.
const STDERR: [&str; 3] = ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"];

const HEADER: &str =
    "Seq\tStarttime\tJobRuntime\tExitval\tSignal\tRoutingKey\tMessageId\tRedelivered\n";

/// The start of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandStart {
    /// The number of the command, from 1.
    pub(super) sequence: u64,
    /// For measuring the run time.
    pub(super) instant: Instant,
    /// The time of day.
    pub(super) at: SystemTime,
}

impl CommandStart {
    /// A start now.
    pub(super) fn now(sequence: u64) -> CommandStart {
        CommandStart {
            sequence,
            instant: Instant::now(),
            at: SystemTime::now(),
        }
    }
}

/// How many lines may wait to be written.
const ROOM: usize = 10_000;

/// The open job log.
pub(super) struct Joblog {
    lines: Sender<String>,
    /// Disconnected when everything is written.
    end: Receiver<()>,
    recorded: u64,
    written: Arc<AtomicU64>,
}

impl Joblog {
    /// Opens the log to append to it; a new one gets a header.
    pub(super) fn open(path: &Path) -> io::Result<Joblog> {
        let log = open(path)?;
        let (lines, to_write) = bounded(ROOM);
        let (at_end, end) = bounded(0);
        let written = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&written);
        thread::Builder::new()
            .name("joblog".to_owned())
            .spawn(move || {
                write_all(log, &to_write, &counter);
                drop(at_end);
            })?;
        Ok(Joblog {
            lines,
            end,
            recorded: 0,
            written,
        })
    }

    /// Has the line of a command that has ended written.
    pub(super) fn record(
        &mut self,
        start: &CommandStart,
        message: &Message,
        redelivered: bool,
        status: Status,
        signal: i32,
    ) {
        self.write(line(start, message, redelivered, status, signal));
    }

    fn write(&mut self, line: String) {
        self.recorded += 1;
        // A line that does not fit is counted as missing at the end.
        let _ = self.lines.try_send(line);
    }

    /// Waits until everything is written, at most for `limit`. Returns the number of missing lines.
    pub(super) fn finish(self, limit: Duration) -> u64 {
        drop(self.lines);
        let _ = self.end.recv_deadline(Instant::now() + limit);
        self.recorded - self.written.load(Ordering::SeqCst)
    }
}

/// The open file, or the path of a named pipe without a reader. Opening that waits for one.
fn open(path: &Path) -> io::Result<Result<File, PathBuf>> {
    let mut file = match open_now(path) {
        Ok(file) => file,
        Err(error)
            if Errno::from_io_error(&error) == Some(Errno::NXIO)
                && fs::metadata(path)?.file_type().is_fifo() =>
        {
            return Ok(Err(path.to_owned()));
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if metadata.len() == 0 && metadata.is_file() {
        file.write_all(HEADER.as_bytes())?;
    }
    Ok(Ok(file))
}

/// The open file. A pipe without a reader is an error.
fn open_now(path: &Path) -> io::Result<File> {
    if STDERR.iter().any(|name| Path::new(name) == path) {
        return Ok(io::stderr().as_fd().try_clone_to_owned()?.into());
    }
    let now = OFlags::NONBLOCK.bits().cast_signed();
    let file = options().custom_flags(now).open(path)?;
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(file)
}

/// Writes all lines and counts them. A failure is reported once and does not end the run.
fn write_all(log: Result<File, PathBuf>, lines: &Receiver<String>, written: &AtomicU64) {
    let mut file = match log.or_else(|path| options().open(path)) {
        Ok(file) => file,
        Err(error) => return complain(&error),
    };
    let mut has_complained = false;
    for line in lines {
        // One write per line, so that lines of several tools do not mix.
        match file.write_all(line.as_bytes()) {
            Ok(()) => drop(written.fetch_add(1, Ordering::SeqCst)),
            Err(error) if !has_complained => {
                complain(&error);
                has_complained = true;
            }
            Err(_) => {}
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options
}

fn complain(error: &io::Error) {
    say(&format!("writing the job log: {}", reason(error)));
}

/// The line of a command that has ended.
fn line(
    start: &CommandStart,
    message: &Message,
    redelivered: bool,
    status: Status,
    signal: i32,
) -> String {
    let since_epoch = start.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let message_id = message.properties.message_id.as_deref();
    format!(
        "{}\t{:.3}\t{:.3}\t{}\t{}\t{}\t{}\t{}\n",
        start.sequence,
        since_epoch.as_secs_f64(),
        start.instant.elapsed().as_secs_f64(),
        status.code(),
        signal,
        field(&message.routing_key),
        field(message_id.unwrap_or_default()),
        u8::from(redelivered),
    )
}

/// The text with blanks instead of control characters, which would break the line.
fn field(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn record(joblog: &mut Joblog, lines: u64) {
        for _ in 0..lines {
            joblog.write("line\n".to_owned());
        }
    }

    #[test]
    fn all_is_written_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for _ in 0..2 {
            let mut joblog = Joblog::open(&path).unwrap();
            record(&mut joblog, 100);
            assert_eq!(joblog.finish(SOON), 0);
        }
        let log = fs::read_to_string(&path).unwrap();
        assert_eq!(log, HEADER.to_owned() + &"line\n".repeat(200));
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let mut joblog = Joblog::open(Path::new("/dev/full")).unwrap();
        record(&mut joblog, 7);
        assert_eq!(joblog.finish(SOON), 7);
    }

    #[test]
    fn nobody_waits_for_the_reader_of_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = |name| {
            let path = folder.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
            path
        };
        let mut unread = Joblog::open(&pipe("unread")).unwrap();
        record(&mut unread, ROOM as u64 + 5);
        assert_eq!(unread.finish(Duration::ZERO), ROOM as u64 + 5);

        let path = pipe("read late");
        let mut read_late = Joblog::open(&path).unwrap();
        record(&mut read_late, 3);
        let reader = thread::spawn(move || fs::read_to_string(&path).unwrap());
        assert_eq!(read_late.finish(SOON), 0);
        assert_eq!(reader.join().unwrap(), "line\nline\nline\n");
    }

    #[test]
    fn one_that_cannot_be_opened_is_an_error_at_once() {
        assert!(Joblog::open(Path::new("/no such folder/log")).is_err());
    }
}

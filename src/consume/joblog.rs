//! The job log: one line per command, tab-separated like GNU parallel's `--joblog`, or JSON. A thread writes it, since the file may be a
//! pipe with a slow reader, or on a slow network.

use std::fs::{self, File, Metadata, OpenOptions};
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
use serde_json::json;

use super::monitor;
use super::options::JoblogFormat;
use super::run::Outcome;
use crate::message::Message;
use crate::reason::reason;
use crate::status::Status;
use crate::system::stderr::warn;

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

    fn since_epoch(&self) -> Duration {
        self.at.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A command that has ended, or could not be started.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandRun {
    pub(super) start: CommandStart,
    pub(super) run_time: Duration,
    /// Which attempt at the message it was, from 1.
    pub(super) attempt: u64,
    pub(super) status: Status,
    /// The signal that ended it, or 0.
    pub(super) signal: i32,
}

/// The message that it ran for.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedMessage<'a> {
    /// Without its body.
    pub(super) message: &'a Message,
    /// The queue that it came from.
    pub(super) queue: &'a str,
    pub(super) redelivered: bool,
    /// The size of the body in bytes.
    pub(super) size: usize,
}

/// How many lines may wait to be written.
const ROOM: usize = 10_000;

/// The open job log.
pub(super) struct Joblog {
    format: JoblogFormat,
    lines: Sender<String>,
    /// Disconnected when everything is written.
    end: Receiver<()>,
    recorded: u64,
    written: Arc<AtomicU64>,
}

impl Joblog {
    /// Opens the log to append to it; a new one gets a header, where the format has one.
    pub(super) fn open(path: &Path, format: JoblogFormat) -> io::Result<Joblog> {
        let log = open(path)?;
        let header = match format {
            JoblogFormat::Tsv => HEADER,
            JoblogFormat::Json => "",
        };
        let (lines, to_write) = bounded(ROOM);
        let (at_end, end) = bounded(0);
        let written = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&written);
        thread::Builder::new()
            .name("joblog".to_owned())
            .spawn(move || {
                write_all(log, header, &to_write, &counter);
                drop(at_end);
            })?;
        Ok(Joblog {
            format,
            lines,
            end,
            recorded: 0,
            written,
        })
    }

    /// Whether its lines say what became of the message.
    pub(super) fn tells_outcome(&self) -> bool {
        self.format == JoblogFormat::Json
    }

    /// Has the line of a command that has ended written.
    pub(super) fn record(
        &mut self,
        run: &CommandRun,
        message: &LoggedMessage<'_>,
        outcome: Option<Outcome>,
    ) {
        self.write(match self.format {
            JoblogFormat::Tsv => tsv_line(run, message),
            JoblogFormat::Json => json_line(run, message, outcome),
        });
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
    let file = match open_now(path) {
        Ok(file) => file,
        Err(error)
            if Errno::from_io_error(&error) == Some(Errno::NXIO)
                && fs::metadata(path)?.file_type().is_fifo() =>
        {
            return Ok(Err(path.to_owned()));
        }
        Err(error) => return Err(error),
    };
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
fn write_all(
    log: Result<File, PathBuf>,
    header: &str,
    lines: &Receiver<String>,
    written: &AtomicU64,
) {
    let file = match log.or_else(|path| options().open(path)) {
        Ok(file) => file,
        Err(error) => return complain(&error),
    };
    let is_new = |metadata: Metadata| metadata.len() == 0 && metadata.is_file();
    let header = if file.metadata().is_ok_and(is_new) {
        header
    } else {
        ""
    };
    let mut writer = LineWriter::new(file);
    writer.write(header);
    for line in lines {
        if writer.write(&line) {
            written.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Writes whole lines, as far as the file takes them.
struct LineWriter<W> {
    file: W,
    /// A part of a line was written, and not its end.
    is_torn: bool,
    has_complained: bool,
}

impl<W: Write> LineWriter<W> {
    fn new(file: W) -> LineWriter<W> {
        LineWriter {
            file,
            is_torn: false,
            has_complained: false,
        }
    }

    /// Writes a line. False: it is not written, or not whole.
    fn write(&mut self, line: &str) -> bool {
        // A line that was cut is ended first, so that it does not spoil this one.
        let is_whole = (!self.is_torn || self.try_to_write("\n")) && self.try_to_write(line);
        self.is_torn &= !is_whole;
        is_whole
    }

    /// One write per line, so that lines of several tools do not mix.
    fn try_to_write(&mut self, line: &str) -> bool {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(count) if count > 0 => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    self.is_torn |= rest.len() < line.len();
                    let error = failed.err().unwrap_or(io::ErrorKind::WriteZero.into());
                    if !std::mem::replace(&mut self.has_complained, true) {
                        complain(&error);
                    }
                    return false;
                }
            }
        }
        true
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options
}

fn complain(error: &io::Error) {
    warn(&format!("writing the job log: {}", reason(error)));
}

/// The line of a command that has ended.
fn tsv_line(run: &CommandRun, logged: &LoggedMessage<'_>) -> String {
    let message_id = logged.message.properties.message_id.as_deref();
    format!(
        "{}\t{:.3}\t{:.3}\t{}\t{}\t{}\t{}\t{}\n",
        run.start.sequence,
        run.start.since_epoch().as_secs_f64(),
        run.run_time.as_secs_f64(),
        run.status.code(),
        run.signal,
        field(&logged.message.routing_key),
        field(message_id.unwrap_or_default()),
        u8::from(logged.redelivered),
    )
}

/// The same as JSON, with what became of the message.
fn json_line(run: &CommandRun, logged: &LoggedMessage<'_>, outcome: Option<Outcome>) -> String {
    let message = logged.message;
    let line = json!({
        "sequence": run.start.sequence,
        "start": seconds(run.start.since_epoch()),
        "run_time": seconds(run.run_time),
        "exit_status": run.status.code(),
        "signal": run.signal,
        "queue": logged.queue,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "message_id": message.properties.message_id,
        "correlation_id": message.properties.correlation_id,
        "redelivered": logged.redelivered,
        "attempt": run.attempt,
        "size": logged.size,
        "decision": outcome.map(monitor::name),
    });
    format!("{line}\n")
}

/// In seconds, to the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
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
            let mut joblog = Joblog::open(&path, JoblogFormat::Tsv).unwrap();
            record(&mut joblog, 100);
            assert_eq!(joblog.finish(SOON), 0);
        }
        let log = fs::read_to_string(&path).unwrap();
        assert_eq!(log, HEADER.to_owned() + &"line\n".repeat(200));
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let mut joblog = Joblog::open(Path::new("/dev/full"), JoblogFormat::Tsv).unwrap();
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
        let mut unread = Joblog::open(&pipe("unread"), JoblogFormat::Tsv).unwrap();
        record(&mut unread, ROOM as u64 + 5);
        assert_eq!(unread.finish(Duration::ZERO), ROOM as u64 + 5);

        let path = pipe("read late");
        let mut read_late = Joblog::open(&path, JoblogFormat::Tsv).unwrap();
        record(&mut read_late, 3);
        let reader = thread::spawn(move || fs::read_to_string(&path).unwrap());
        assert_eq!(read_late.finish(SOON), 0);
        assert_eq!(reader.join().unwrap(), "line\nline\nline\n");
    }

    /// A disk that has so much room, and no more.
    struct Disk(Vec<u8>, usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.1 - self.0.len());
            self.0.extend(&bytes[..count]);
            match count {
                0 => Err(Errno::NOSPC.into()),
                count => Ok(count),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_cut_does_not_spoil_the_next() {
        let mut writer = LineWriter::new(Disk(Vec::new(), 8));
        let written = ["first\n", "second\n", "third\n"].map(|line| writer.write(line));
        assert_eq!(written, [true, false, false]);
        writer.file.1 = 100;
        assert!(writer.write("fourth\n"));
        assert_eq!(writer.file.0, b"first\nse\nfourth\n");
    }

    #[test]
    fn one_that_cannot_be_opened_is_an_error_at_once() {
        assert!(Joblog::open(Path::new("/no such folder/log"), JoblogFormat::Tsv).is_err());
    }
}

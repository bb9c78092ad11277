//! Standard error: the tool's messages, as text or as lines of JSON. A thread writes the lines, so that nobody waits for a slow reader.
//! Lines that do not fit its queue are left out and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde_json::json;
use time::OffsetDateTime;

use super::signals::without_signals;
use crate::reason::printable_lines;

/// How many lines may wait to be written.
const ROOM: usize = 1000;

/// What text begins with that warns. In JSON the level says that.
const WARNING: &str = "warning: ";

/// Whether messages are lines of JSON.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Something that was asked for is not done.
    Error,
    /// Something is not as it should be, and the work goes on.
    Warning,
    /// Good to know.
    Info,
}

/// A message to the person at the terminal, or to whoever collects the tool's log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) level: Level,
    pub(crate) message: &'a str,
    /// The queue that it is about. The text names it itself.
    pub(crate) queue: Option<&'a str>,
    /// The id of the message that it is about.
    pub(crate) message_id: Option<&'a str>,
}

static CONSOLE: Mutex<Console> = Mutex::new(Console {
    writer: None,
    left_out: 0,
});

struct Console {
    writer: Option<Writer>,
    /// How many lines were left out since the last one that was not.
    left_out: u64,
}

/// The thread that writes.
struct Writer {
    lines: Sender<String>,
    /// Disconnected when the thread has ended.
    end: Receiver<()>,
}

/// From now on messages are lines of JSON.
pub(crate) fn speak_json() {
    IS_JSON.store(true, Ordering::Relaxed);
}

/// Whether they are. Nothing else is then written beside them.
pub(crate) fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Prints a message on standard error. If that fails, the work goes on; the exit status says how it ended.
pub(crate) fn enter(entry: &Entry<'_>) {
    console().say(&line(entry));
}

/// Prints something that is good to know.
pub(crate) fn say(message: &str) {
    enter(&Entry::about_nothing(Level::Info, message));
}

/// Prints that something is not as it should be.
pub(crate) fn warn(message: &str) {
    enter(&Entry::about_nothing(Level::Warning, message));
}

/// Prints that something has failed.
pub(crate) fn complain(message: &str) {
    enter(&Entry::about_nothing(Level::Error, message));
}

impl<'a> Entry<'a> {
    pub(crate) fn about_nothing(level: Level, message: &'a str) -> Entry<'a> {
        Entry {
            level,
            message,
            queue: None,
            message_id: None,
        }
    }
}

/// The entry as it is printed, without the newline.
pub(crate) fn line(entry: &Entry<'_>) -> String {
    if is_json() {
        json_line(entry, SystemTime::now())
    } else {
        printable_lines(entry.message)
    }
}

fn json_line(entry: &Entry<'_>, now: SystemTime) -> String {
    let level = match entry.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    };
    let message = entry.message.strip_prefix(WARNING);
    let mut object = json!({
        "time": rfc3339(now),
        "level": level,
        "message": message.unwrap_or(entry.message),
    });
    let optional = [("queue", entry.queue), ("message_id", entry.message_id)];
    for (name, value) in optional {
        if let Some(value) = value {
            object[name] = value.into();
        }
    }
    object.to_string()
}

/// The time as RFC 3339 has it, in UTC, to the millisecond.
fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

/// Waits until all lines are written, at most for `limit`.
pub(crate) fn finish(limit: Duration) {
    let deadline = Instant::now() + limit;
    let mut console = console();
    let Some(writer) = console.writer.take() else {
        return;
    };
    if console.left_out > 0 {
        let word = word_for(console.left_out);
        let _ = writer.lines.send_deadline(word, deadline);
        console.left_out = 0;
    }
    drop(writer.lines);
    let _ = writer.end.recv_deadline(deadline);
}

fn console() -> MutexGuard<'static, Console> {
    CONSOLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Console {
    fn say(&mut self, line: &str) {
        if self.writer.is_none() {
            self.writer = Writer::start(write_line).ok();
        }
        match &self.writer {
            Some(writer) => writer.say(line, &mut self.left_out),
            // The machine has no threads left.
            None => write_line(line),
        }
    }
}

impl Writer {
    fn start(write: impl Fn(&str) + Send + 'static) -> io::Result<Writer> {
        let (lines, to_write) = bounded::<String>(ROOM);
        let (at_end, end) = bounded::<()>(0);
        without_signals(|| {
            thread::Builder::new()
                .name("stderr".to_owned())
                .spawn(move || {
                    to_write.iter().for_each(|line| write(&line));
                    drop(at_end);
                })
        })?;
        Ok(Writer { lines, end })
    }

    fn say(&self, line: &str, left_out: &mut u64) {
        if *left_out > 0 && self.lines.try_send(word_for(*left_out)).is_ok() {
            *left_out = 0;
        }
        if *left_out > 0 || matches!(self.try_send(line), Err(TrySendError::Full(_))) {
            *left_out += 1;
        }
    }

    fn try_send(&self, line: &str) -> Result<(), TrySendError<String>> {
        self.lines.try_send(line.to_owned())
    }
}

fn word_for(left_out: u64) -> String {
    let word = format!("(standard error was not read; lines left out: {left_out})");
    line(&Entry::about_nothing(Level::Warning, &word))
}

fn write_line(line: &str) {
    let _ = io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_in_json_has_its_time_and_what_it_is_about() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_926_896_007);
        let entry = Entry {
            level: Level::Warning,
            message: "warning: \u{1b}\"",
            queue: Some("q"),
            message_id: None,
        };
        assert_eq!(
            json_line(&entry, time),
            r#"{"time":"2026-11-29T04:34:56.007Z","level":"warning","message":"\u001b\"","queue":"q"}"#
        );
    }

    #[test]
    fn who_says_something_does_not_wait_and_learns_what_was_left_out() {
        let (sender, written) = crossbeam_channel::unbounded();
        let (let_go, held_up) = bounded::<()>(0);
        let writer = Writer::start(move |line: &str| {
            let _ = held_up.recv();
            sender.send(line.to_owned()).unwrap();
        })
        .unwrap();
        let mut left_out = 0;
        let said = ROOM as u64 + 20;
        for number in 1..=said {
            writer.say(&number.to_string(), &mut left_out);
        }
        assert!((18..=20).contains(&left_out), "{left_out}");
        let told = left_out;
        drop(let_go);
        while !writer.lines.is_empty() {
            thread::yield_now();
        }
        writer.say("last", &mut left_out);
        assert_eq!(left_out, 0);
        drop(writer.lines);
        assert!(writer.end.recv().is_err());
        let lines: Vec<String> = written.try_iter().collect();
        let whole: Vec<String> = (1..=said - told).map(|number| number.to_string()).collect();
        assert_eq!(lines[..whole.len()], whole);
        assert_eq!(lines[whole.len()..], [word_for(told), "last".to_owned()]);
    }
}

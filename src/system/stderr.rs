//! Standard error: the tool's messages. A thread writes the lines, so that nobody waits for a slow reader. Lines that do not fit its
//! queue are left out and counted.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::signals::without_signals;

/// How many lines may wait to be written.
const ROOM: usize = 1000;

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

/// Prints a whole line on standard error. If that fails, the work goes on; the exit status says how it ended.
pub(crate) fn say(line: &str) {
    console().say(line);
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
    format!("(standard error was not read; lines left out: {left_out})")
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

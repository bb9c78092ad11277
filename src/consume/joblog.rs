//! The job log: a line a command, tab-separated, in the manner of GNU parallel's `--joblog`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::console::say;
use super::ending::Ending;
use super::task::Task;
use crate::reason::reason;

const HEADER: &str =
    "Seq\tStarttime\tJobRuntime\tExitval\tSignal\tRoutingKey\tMessageId\tRedelivered\n";

/// The start of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Counts the commands from 1.
    pub(super) sequence: u64,
    /// When, for measuring.
    pub(super) instant: Instant,
    /// When, by the clock on the wall.
    pub(super) at: SystemTime,
}

impl Start {
    /// Now.
    pub(super) fn now(sequence: u64) -> Start {
        Start {
            sequence,
            instant: Instant::now(),
            at: SystemTime::now(),
        }
    }
}

/// The open job log.
pub(super) struct Joblog {
    file: File,
    complained: bool,
}

impl Joblog {
    /// Opens the log to append to it; a new one gets a header.
    pub(super) fn open(path: &Path) -> io::Result<Joblog> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let metadata = file.metadata()?;
        if metadata.len() == 0 && metadata.is_file() {
            file.write_all(HEADER.as_bytes())?;
        }
        Ok(Joblog {
            file,
            complained: false,
        })
    }

    /// Writes the line about a command that has ended.
    pub(super) fn record(&mut self, start: &Start, task: &Task, ending: Ending) {
        let line = line(start, task, ending);
        // One write, so that the lines of several tools don't mix. The work goes on without a log.
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            if !self.complained {
                say(&format!("writing the job log: {}", reason(&error)));
            }
            self.complained = true;
        }
    }
}

fn line(start: &Start, task: &Task, ending: Ending) -> String {
    let since_epoch = start.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let message_id = task.message.properties.message_id.as_deref();
    format!(
        "{}\t{:.3}\t{:.3}\t{}\t{}\t{}\t{}\t{}\n",
        start.sequence,
        since_epoch.as_secs_f64(),
        start.instant.elapsed().as_secs_f64(),
        ending.status.code(),
        ending.signal,
        field(&task.message.routing_key),
        field(message_id.unwrap_or_default()),
        u8::from(task.redelivered),
    )
}

/// The text without what would break the line into others.
fn field(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

//! The checkpoint: a file that records how far the input is confirmed, so that the same command can go on from there.
//!
//! It is one small record of fixed size, overwritten by a single write within one disk sector. After any crash it contains the old
//! position or the new one. It is written after every half window.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::input::digest::Digest;
use super::input::reader::{RecordPosition, StartPosition};
use super::input::records::Location;
use super::input::survey::Survey;
use super::options::Records;
use crate::reason::reason;

/// The size of the record, in bytes: a disk sector.
const SIZE: usize = 512;
const VERSION: u64 = 1;

/// The file is synced to the disk at most this often. Without a sync, it survives the end of this process, but not a crash of the
/// machine.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Syncs take at most one part in this many of the time, on a slow disk too.
const SYNC_SHARE: u32 = 20;

/// A checkpoint file that this process has locked.
pub(super) struct Checkpoint {
    path: PathBuf,
    file: File,
    subject: Subject,
    next_sync: Instant,
}

/// The inputs that a checkpoint was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subject {
    identity: Digest,
    inputs: u64,
    records: Records,
}

/// The last record that is confirmed with all records before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Confirmed {
    /// Its position.
    pub(super) start: StartPosition,
    /// Its digest.
    pub(super) digest: Digest,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointError {
    #[error("checkpoint {path}: {reason}")]
    Io { path: PathBuf, reason: String },
    #[error("checkpoint {0}: another amqp-publish is using it")]
    InUse(PathBuf),
    #[error("checkpoint {0}: not a file that amqp-publish has written")]
    Foreign(PathBuf),
    #[error(
        "checkpoint {path}: it was made for other {what}; without the file, publishing begins anew"
    )]
    OtherSubject { path: PathBuf, what: &'static str },
}

impl Checkpoint {
    /// Opens or creates the file for these inputs. Returns how far they are confirmed, if any record is.
    pub(super) fn open(
        path: &Path,
        records: Records,
        survey: &Survey,
    ) -> Result<(Checkpoint, Option<Confirmed>), CheckpointError> {
        let subject = Subject {
            identity: survey.identity,
            inputs: survey.inputs,
            records,
        };
        let failed = |error: io::Error| io_error(path, &error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(CheckpointError::Foreign(path.to_owned()));
        }
        // On a file system without locks, other processes are not kept out.
        if flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            return Err(CheckpointError::InUse(path.to_owned()));
        }
        let mut text = String::new();
        let read = (&file).take(2 * SIZE as u64).read_to_string(&mut text);
        let confirmed = match read {
            // It was just created, or its creator was killed before it wrote to it.
            Ok(0) => None,
            Ok(_) => parse(&text, path)?.for_subject(subject, path)?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(CheckpointError::Foreign(path.to_owned()));
            }
            Err(error) => return Err(failed(error)),
        };
        let checkpoint = Checkpoint {
            path: path.to_owned(),
            file,
            subject,
            next_sync: Instant::now(),
        };
        // A failure to write comes before anything is published.
        checkpoint.write(confirmed)?;
        checkpoint.file.sync_all().map_err(failed)?;
        Ok((checkpoint, confirmed))
    }

    /// Writes that everything up to `location` is confirmed.
    pub(super) fn save(&mut self, location: &Location) -> Result<(), CheckpointError> {
        self.write(Some(Confirmed {
            start: StartPosition {
                input: location.origin.index,
                position: location.position,
            },
            digest: location.digest,
        }))?;
        let now = Instant::now();
        if now >= self.next_sync {
            self.sync()?;
            self.next_sync = Instant::now() + SYNC_INTERVAL.max(now.elapsed() * SYNC_SHARE);
        }
        Ok(())
    }

    /// Writes the location, if anything was confirmed in this run, and syncs the file.
    pub(super) fn keep(&mut self, location: Option<&Location>) -> Result<(), CheckpointError> {
        if let Some(location) = location {
            self.save(location)?;
        }
        self.sync()
    }

    /// Waits until the file is on the disk.
    fn sync(&self) -> Result<(), CheckpointError> {
        self.file
            .sync_data()
            .map_err(|error| io_error(&self.path, &error))
    }

    fn write(&self, confirmed: Option<Confirmed>) -> Result<(), CheckpointError> {
        self.file
            .write_all_at(&record(self.subject, confirmed), 0)
            .map_err(|error| io_error(&self.path, &error))
    }
}

fn io_error(path: &Path, error: &io::Error) -> CheckpointError {
    CheckpointError::Io {
        path: path.to_owned(),
        reason: reason(error),
    }
}

/// The content of the file: a line of JSON, padded with blanks.
fn record(subject: Subject, confirmed: Option<Confirmed>) -> Vec<u8> {
    let mut value = json!({
        "amqp-publish checkpoint": VERSION,
        "inputs": subject.inputs,
        "identity": hex(subject.identity),
        "records": subject.records.name(),
    });
    if let Some(Confirmed { start, digest }) = confirmed {
        value["confirmed"] = json!({
            "input": start.input,
            "record": start.position.record,
            "offset": start.position.offset,
            "digest": hex(digest),
        });
    }
    let mut record = value.to_string().into_bytes();
    record.resize(SIZE - 1, b' ');
    record.push(b'\n');
    record
}

/// A checkpoint as it was read.
struct Found {
    identity: Digest,
    inputs: u64,
    records: String,
    confirmed: Option<Confirmed>,
}

impl Found {
    /// The confirmed record, if the checkpoint was made for these inputs.
    fn for_subject(
        self,
        subject: Subject,
        path: &Path,
    ) -> Result<Option<Confirmed>, CheckpointError> {
        let what = if self.records != subject.records.name() {
            "records (lines, files and so on)"
        } else if self.inputs != subject.inputs || self.identity != subject.identity {
            "inputs, or their sizes have changed"
        } else {
            return Ok(self.confirmed);
        };
        Err(CheckpointError::OtherSubject {
            path: path.to_owned(),
            what,
        })
    }
}

fn parse(text: &str, path: &Path) -> Result<Found, CheckpointError> {
    let value = serde_json::from_str(text).unwrap_or_default();
    found(&value).ok_or_else(|| CheckpointError::Foreign(path.to_owned()))
}

fn found(value: &Value) -> Option<Found> {
    (value["amqp-publish checkpoint"] == VERSION).then_some(())?;
    let confirmed = match &value["confirmed"] {
        Value::Null => None,
        location => Some(Confirmed {
            start: StartPosition {
                input: location["input"].as_u64()?,
                position: RecordPosition {
                    record: location["record"].as_u64()?,
                    offset: location["offset"].as_u64()?,
                },
            },
            digest: unhex(&location["digest"])?,
        }),
    };
    Some(Found {
        identity: unhex(&value["identity"])?,
        inputs: value["inputs"].as_u64()?,
        records: value["records"].as_str()?.to_owned(),
        confirmed,
    })
}

fn hex(digest: Digest) -> String {
    format!("{:016x}", digest.number())
}

fn unhex(value: &Value) -> Option<Digest> {
    u64::from_str_radix(value.as_str()?, 16)
        .ok()
        .map(Digest::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject = Subject {
        identity: Digest::EMPTY,
        inputs: u64::MAX,
        records: Records::Envelopes,
    };

    fn confirmed() -> Confirmed {
        Confirmed {
            start: StartPosition {
                input: u64::MAX,
                position: RecordPosition {
                    record: u64::MAX,
                    offset: u64::MAX,
                },
            },
            digest: Digest::of(b"x"),
        }
    }

    #[test]
    fn every_record_fits_and_is_read_as_it_was_written() {
        for location in [None, Some(confirmed())] {
            let bytes = record(SUBJECT, location);
            assert_eq!(bytes.len(), SIZE);
            let text = String::from_utf8(bytes).unwrap();
            let found = parse(&text, Path::new("c")).unwrap();
            assert_eq!(
                found.for_subject(SUBJECT, Path::new("c")).unwrap(),
                location
            );
        }
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "x", "{}", "{\"amqp-publish checkpoint\":2}", "\0\0"] {
            assert!(parse(text, Path::new("c")).is_err(), "{text:?}");
        }
        let longer = String::from_utf8(record(SUBJECT, None)).unwrap() + "{}";
        assert!(parse(&longer, Path::new("c")).is_err());
    }

    #[test]
    fn other_inputs_are_refused() {
        let found = || {
            let text = String::from_utf8(record(SUBJECT, None)).unwrap();
            parse(&text, Path::new("c")).unwrap()
        };
        let others = [
            Subject {
                identity: Digest::of(b"other"),
                ..SUBJECT
            },
            Subject {
                inputs: 1,
                ..SUBJECT
            },
            Subject {
                records: Records::Whole,
                ..SUBJECT
            },
        ];
        for other in others {
            assert!(found().for_subject(other, Path::new("c")).is_err());
        }
    }
}

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
use super::subject::{Aspect, Subject};
use crate::reason::reason;

/// The size of the record, in bytes: a disk sector.
const SIZE: usize = 512;
const VERSION: u64 = 2;
const MAGIC: &str = "amqp-publish checkpoint";

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

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointError {
    #[error("checkpoint {}: {reason}", path.display())]
    Io { path: PathBuf, reason: String },
    #[error("checkpoint {}: another amqp-publish is using it", .0.display())]
    InUse(PathBuf),
    #[error("checkpoint {}: not a file that amqp-publish has written", .0.display())]
    Foreign(PathBuf),
    #[error(
        "checkpoint {}: an older amqp-publish has written it, and it does not say where the messages went; without the file, \
         publishing begins anew",
        .0.display()
    )]
    TooOld(PathBuf),
    #[error(
        "checkpoint {}: it was made for another {what}; without the file, publishing begins anew",
        path.display()
    )]
    OtherSubject { path: PathBuf, what: String },
}

impl Checkpoint {
    /// Opens the file, or creates it, and says from where on nothing is confirmed.
    pub(super) fn open(
        path: &Path,
        subject: Subject,
    ) -> Result<(Checkpoint, StartPosition), CheckpointError> {
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
        let start = match read {
            // It has just been created, or its creator did not live to write to it.
            Ok(0) => StartPosition::BEGINNING,
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
        // If this fails, it does so before anything is sent.
        checkpoint.write(start)?;
        checkpoint.file.sync_all().map_err(failed)?;
        Ok((checkpoint, start))
    }

    /// Writes down that everything up to `place` is confirmed.
    pub(super) fn save(&mut self, place: &Location) -> Result<(), CheckpointError> {
        self.write(StartPosition {
            input: place.origin.index,
            position: RecordPosition {
                record: place.position.record + 1,
                offset: place.end,
            },
            digest: place.digest,
        })?;
        let now = Instant::now();
        if now >= self.next_sync {
            self.sync()?;
            self.next_sync = Instant::now() + SYNC_INTERVAL.max(now.elapsed() * SYNC_SHARE);
        }
        Ok(())
    }

    /// Writes that down for good, if anything has been confirmed in this run.
    pub(super) fn keep(&mut self, place: Option<&Location>) -> Result<(), CheckpointError> {
        if let Some(place) = place {
            self.save(place)?;
        }
        self.sync()
    }

    /// Waits until the file is on the disk.
    fn sync(&self) -> Result<(), CheckpointError> {
        self.file
            .sync_data()
            .map_err(|error| io_error(&self.path, &error))
    }

    fn write(&self, start: StartPosition) -> Result<(), CheckpointError> {
        self.file
            .write_all_at(&record(self.subject, start), 0)
            .map_err(|error| io_error(&self.path, &error))
    }
}

fn io_error(path: &Path, error: &io::Error) -> CheckpointError {
    CheckpointError::Io {
        path: path.to_owned(),
        reason: reason(error),
    }
}

/// What is in the file: a line of JSON, filled up with blanks.
fn record(subject: Subject, start: StartPosition) -> Vec<u8> {
    let mut value = json!({
        MAGIC: VERSION,
        "made for": subject.aspects.map(hex),
    });
    if start != StartPosition::BEGINNING {
        value["confirmed"] = json!({
            "input": start.input,
            "record": start.position.record - 1,
            "end": start.position.offset,
            "digest": hex(start.digest),
        });
    }
    let mut record = value.to_string().into_bytes();
    record.resize(SIZE - 1, b' ');
    record.push(b'\n');
    record
}

/// A checkpoint as it was read.
#[derive(Debug)]
struct Found {
    subject: Subject,
    start: StartPosition,
}

impl Found {
    /// Where to go on, if it is one for what is to be published now.
    fn for_subject(self, subject: Subject, path: &Path) -> Result<StartPosition, CheckpointError> {
        let different = self.subject.differences(subject);
        if different.is_empty() {
            return Ok(self.start);
        }
        let names: Vec<&str> = different.into_iter().map(Aspect::name).collect();
        Err(CheckpointError::OtherSubject {
            path: path.to_owned(),
            what: names.join(" and another "),
        })
    }
}

fn parse(text: &str, path: &Path) -> Result<Found, CheckpointError> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    match value[MAGIC].as_u64() {
        Some(VERSION) => found(&value).ok_or_else(|| CheckpointError::Foreign(path.to_owned())),
        Some(1) => Err(CheckpointError::TooOld(path.to_owned())),
        _ => Err(CheckpointError::Foreign(path.to_owned())),
    }
}

fn found(value: &Value) -> Option<Found> {
    let aspects: Option<Vec<Digest>> = value["made for"].as_array()?.iter().map(unhex).collect();
    let start = match &value["confirmed"] {
        Value::Null => StartPosition::BEGINNING,
        place => StartPosition {
            input: place["input"].as_u64()?,
            position: RecordPosition {
                record: place["record"].as_u64()?.checked_add(1)?,
                offset: place["end"].as_u64()?,
            },
            digest: unhex(&place["digest"])?,
        },
    };
    Some(Found {
        subject: Subject {
            aspects: aspects?.try_into().ok()?,
        },
        start,
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
        aspects: [Digest::EMPTY; Aspect::ALL.len()],
    };

    fn start() -> StartPosition {
        StartPosition {
            input: u64::MAX,
            position: RecordPosition {
                record: u64::MAX,
                offset: u64::MAX,
            },
            digest: Digest::of(b"x"),
        }
    }

    #[test]
    fn every_record_fits_and_is_read_as_it_was_written() {
        for start in [StartPosition::BEGINNING, start()] {
            let bytes = record(SUBJECT, start);
            assert_eq!(bytes.len(), SIZE);
            let text = String::from_utf8(bytes).unwrap();
            let found = parse(&text, Path::new("c")).unwrap();
            assert_eq!(found.for_subject(SUBJECT, Path::new("c")).unwrap(), start);
        }
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "x", "{}", "{\"amqp-publish checkpoint\":3}", "\0\0"] {
            let refused = parse(text, Path::new("c"));
            assert!(
                matches!(refused, Err(CheckpointError::Foreign(_))),
                "{text:?}"
            );
        }
        let longer = String::from_utf8(record(SUBJECT, StartPosition::BEGINNING)).unwrap() + "{}";
        assert!(parse(&longer, Path::new("c")).is_err());
        let old = "{\"amqp-publish checkpoint\":1,\"records\":\"lines\"}";
        let refused = parse(old, Path::new("c"));
        assert!(matches!(refused, Err(CheckpointError::TooOld(_))));
    }

    #[test]
    fn what_is_another_is_named() {
        for (index, aspect) in Aspect::ALL.into_iter().enumerate() {
            let mut other = SUBJECT;
            other.aspects[index] = Digest::of(b"other");
            let text = String::from_utf8(record(SUBJECT, start())).unwrap();
            let found = parse(&text, Path::new("c")).unwrap();
            let refused = found.for_subject(other, Path::new("c")).unwrap_err();
            assert!(refused.to_string().contains(aspect.name()), "{refused}");
        }
    }
}

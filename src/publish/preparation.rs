//! What can be found out, and can fail, before connecting.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::input::Inputs;
use super::input::reader::StartPosition;
use super::input::records::RecordMaker;
use super::input::survey;
use super::input::template::TemplateMaker;
use super::options::{BodySource, PublishOptions, Records};
use super::subject::Subject;
use crate::broker::ConnectOptions;

/// What is to be published, from which position, and how.
pub(super) struct Preparation {
    pub(super) source: BodySource,
    pub(super) start: StartPosition,
    pub(super) maker: RecordMaker,
    pub(super) max_in_flight: Option<NonZeroUsize>,
    /// The time from one message to the next.
    pub(super) pace: Option<Duration>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) shows_progress: bool,
    /// How many bytes there are to read in all, if the progress is shown and that is known.
    pub(super) bytes: Option<u64>,
    /// How many of them were published in earlier runs.
    pub(super) bytes_before: u64,
}

impl Preparation {
    pub(super) fn for_options(
        connect: &ConnectOptions,
        options: PublishOptions,
    ) -> anyhow::Result<Preparation> {
        let templates = TemplateMaker::new(&options)?;
        let records = match &options.source {
            BodySource::Argument(_) => Records::Whole,
            BodySource::Inputs(_, records) => *records,
        };
        let (checkpoint, start) = match &options.checkpoint {
            None => (None, StartPosition::BEGINNING),
            Some(path) => {
                let subject = Subject::of(connect, &options, records);
                let (checkpoint, start) = Checkpoint::open(path, subject)?;
                (Some(checkpoint), start)
            }
        };
        let (bytes, bytes_before) = match &options.source {
            BodySource::Inputs(inputs, _) if options.shows_progress => extent(inputs, start),
            _ => (None, 0),
        };
        Ok(Preparation {
            bytes,
            bytes_before,
            source: options.source,
            start,
            maker: RecordMaker::new(records, templates, checkpoint.is_some(), start),
            max_in_flight: options.max_in_flight,
            pace: options.pace,
            checkpoint,
            shows_progress: options.shows_progress,
        })
    }
}

/// How many bytes there are to read in all, if that is known, and how many come before `start`.
fn extent(inputs: &Inputs, start: StartPosition) -> (Option<u64>, u64) {
    if !inputs.are_rereadable() {
        return (None, 0);
    }
    (survey::bytes(inputs), survey::bytes_before(inputs, start))
}

//! What can be found out, and can fail, before connecting.

use std::num::NonZeroUsize;

use super::checkpoint::{Checkpoint, Confirmed};
use super::input::Inputs;
use super::input::reader::StartPosition;
use super::input::records::RecordMaker;
use super::input::survey::{self, Survey};
use super::input::template::TemplateMaker;
use super::options::{BodySource, PublishOptions, Records};

/// What is to be published, from which position, and how.
pub(super) struct Preparation {
    pub(super) source: BodySource,
    pub(super) start: StartPosition,
    pub(super) maker: RecordMaker,
    pub(super) max_in_flight: Option<NonZeroUsize>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) shows_progress: bool,
    /// How many bytes there are to read in all, if the progress is shown and that is known.
    pub(super) bytes: Option<u64>,
    /// How many of them were published in earlier runs.
    pub(super) bytes_before: u64,
}

impl Preparation {
    pub(super) fn for_options(options: PublishOptions) -> anyhow::Result<Preparation> {
        let templates = TemplateMaker::new(&options)?;
        let (source, records, resumed) = match (options.source, &options.checkpoint) {
            (BodySource::Argument(body), _) => (BodySource::Argument(body), Records::Whole, None),
            (BodySource::Inputs(inputs, records), None) => {
                (BodySource::Inputs(inputs, records), records, None)
            }
            (BodySource::Inputs(inputs, records), Some(path)) => {
                // The names are read twice: now, to compare them with the checkpoint, and when they are published.
                let inputs = inputs.rereadable()?;
                let survey = Survey::of(&inputs)?;
                let opened = Checkpoint::open(path, records, &survey)?;
                (BodySource::Inputs(inputs, records), records, Some(opened))
            }
        };
        let (checkpoint, confirmed) = resumed.map_or((None, None), |(checkpoint, confirmed)| {
            (Some(checkpoint), confirmed)
        });
        let start = confirmed.map_or(StartPosition::BEGINNING, |confirmed| confirmed.start);
        let digest = confirmed.map(|Confirmed { digest, .. }| digest);
        let (bytes, bytes_before) = match &source {
            BodySource::Inputs(inputs, _) if options.shows_progress => extent(inputs, start),
            _ => (None, 0),
        };
        Ok(Preparation {
            bytes,
            bytes_before,
            source,
            start,
            maker: RecordMaker::new(records, templates, checkpoint.is_some(), digest),
            max_in_flight: options.max_in_flight,
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
    let bytes = Survey::of(inputs).ok().and_then(|survey| survey.bytes);
    (bytes, survey::bytes_before(inputs, start))
}

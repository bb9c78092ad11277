//! All that can be found out, and can fail, before the broker is asked for anything.

use super::checkpoint::{Checkpoint, Confirmed};
use super::input::Inputs;
use super::input::reader::StartPosition;
use super::input::records::{Digests, RecordMaker};
use super::input::survey::{self, Survey};
use super::input::template::TemplateMaker;
use super::options::{BodySource, Confirms, PublishOptions, Records, ShowProgress};

/// What is to be published, from where on, and how.
pub(super) struct Preparation {
    pub(super) source: BodySource,
    pub(super) start: StartPosition,
    pub(super) maker: RecordMaker,
    pub(super) confirms: Confirms,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) progress: ShowProgress,
    pub(super) extent: Extent,
}

/// How much there is to read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// In all, in bytes, if that is known.
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
                // They are read twice: now, to see whether the checkpoint is theirs, and then to be published.
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
        let digests = match checkpoint {
            Some(_) => Digests::Taken,
            None => Digests::NotNeeded,
        };
        let digest = confirmed.map(|Confirmed { digest, .. }| digest);
        Ok(Preparation {
            extent: match &source {
                BodySource::Inputs(inputs, _) if options.progress.is_shown() => {
                    Extent::of(inputs, start)
                }
                _ => Extent::default(),
            },
            source,
            start,
            maker: RecordMaker::new(records, templates, digests, digest),
            confirms: options.confirms,
            checkpoint,
            progress: options.progress,
        })
    }
}

impl Extent {
    fn of(inputs: &Inputs, start: StartPosition) -> Extent {
        if !inputs.are_rereadable() {
            return Extent::default();
        }
        Extent {
            bytes: Survey::of(inputs).ok().and_then(|survey| survey.bytes),
            bytes_before: survey::bytes_before(inputs, start),
        }
    }
}

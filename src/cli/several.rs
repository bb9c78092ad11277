//! amqp-consume's flags for commands that get several messages.

use std::num::{NonZeroU16, NonZeroU64};
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::UsageError;
use super::duration::parse_duration;
use crate::consume::{Batch, Coprocess, Form, Framing};

/// How long the first message of a batch waits for the others, unless a flag says so.
const BATCH_WAIT: Duration = Duration::from_secs(1);

const HEADING: &str = "Several messages for one command";

/// The flags as given.
#[derive(Args, Clone, Debug)]
pub(super) struct SeveralArgs {
    /// Start the command once for each job and give it message after message; it answers each with a line on file descriptor 3: the exit status
    #[arg(long, conflicts_with_all = ["json", "stdin"], help_heading = HEADING)]
    coprocess: bool,

    /// Start each command for up to N messages; its exit status is that of all
    #[arg(long, value_name = "N", conflicts_with_all = ["json", "coprocess", "reply"], help_heading = HEADING)]
    batch: Option<NonZeroU16>,

    /// Time that the first message of a batch waits for the others [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "batch", help_heading = HEADING)]
    batch_wait: Option<Duration>,

    /// Run a batch that failed again in halves, so that only the messages that fail alone have failed
    #[arg(long, requires = "batch", help_heading = HEADING)]
    split: bool,

    /// How messages follow one another on standard input: json (envelopes, a line each), lines (bodies) or null (bodies with a NUL each) [default: json]
    #[arg(long, value_name = "FRAMING", value_parser = framing_parser(), hide_possible_values = true, help_heading = HEADING)]
    framing: Option<Framing>,

    /// Start a new child after N messages
    #[arg(long, value_name = "N", requires = "coprocess", help_heading = HEADING)]
    recycle: Option<NonZeroU64>,
}

/// The framings by name.
fn framing_parser() -> impl TypedValueParser<Value = Framing> {
    PossibleValuesParser::new(["json", "lines", "null"]).map(|name| match &*name {
        "lines" => Framing::Lines,
        "null" => Framing::Null,
        _ => Framing::Json,
    })
}

impl SeveralArgs {
    /// How messages are given to commands. `unanswered` is how many a child may have.
    pub(super) fn form(&self, unanswered: NonZeroU16) -> Form {
        if let Some(size) = self.batch {
            return Form::Batch(Batch {
                size,
                wait: self.batch_wait.unwrap_or(BATCH_WAIT),
                splits: self.split,
            });
        }
        if !self.coprocess {
            return Form::Single;
        }
        Form::Coprocess(Coprocess {
            unanswered,
            recycle: self.recycle,
        })
    }

    /// What clap cannot say.
    pub(super) fn check(&self) -> Result<(), UsageError> {
        if self.framing.is_some() && !self.coprocess && self.batch.is_none() {
            return Err(UsageError(
                "--framing needs --batch or --coprocess".to_owned(),
            ));
        }
        Ok(())
    }

    /// How many messages a command gets at most.
    pub(super) fn batch_size(&self) -> u16 {
        self.batch.map_or(1, NonZeroU16::get)
    }

    pub(super) fn framing(&self) -> Framing {
        self.framing.unwrap_or_default()
    }

    /// Whether each job may have several messages at once, by the prefetch limit.
    pub(super) fn prefetch_is_for_each_job(&self) -> bool {
        self.coprocess
    }
}

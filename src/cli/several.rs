//! amqp-consume's flags for commands that get several messages.

use std::num::{NonZeroU16, NonZeroU64};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::consume::{Coprocess, Form, Framing};

const HEADING: &str = "Several messages for one command";

/// The flags as given.
#[derive(Args, Clone, Debug)]
pub(super) struct SeveralArgs {
    /// Start the command once for each job and give it message after message; it answers each with a line on file descriptor 3: the exit status
    #[arg(long, conflicts_with_all = ["json", "stdin"], help_heading = HEADING)]
    coprocess: bool,

    /// How messages follow one another on standard input: json (envelopes, a line each), lines (bodies) or null (bodies with a NUL each) [default: json]
    #[arg(long, value_name = "FRAMING", value_parser = framing_parser(), hide_possible_values = true, requires = "coprocess", help_heading = HEADING)]
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
        if !self.coprocess {
            return Form::Single;
        }
        Form::Coprocess(Coprocess {
            unanswered,
            recycle: self.recycle,
        })
    }

    pub(super) fn framing(&self) -> Framing {
        self.framing.unwrap_or_default()
    }

    /// Whether each job may have several messages at once, by the prefetch limit.
    pub(super) fn prefetch_is_for_each_job(&self) -> bool {
        self.coprocess
    }
}

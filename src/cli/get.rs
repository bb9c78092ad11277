//! amqp-get's command line.

use std::num::NonZeroU64;

use clap::{Command, CommandFactory, Parser};

use super::connection::ConnectionArgs;
use super::{Tool, UsageError};
use crate::get::{self, GetOptions};
use crate::status::Status;
use crate::system::stdout::Format;

const EXAMPLES: &str = "Examples:
  # The next message, if there is one:
  amqp-get -q job1
  # The first ten as JSON; they stay in the queue:
  amqp-get -q job1 -c 10 --requeue --json
  # Dead letters into a file, and from there to another queue:
  amqp-get -q dead -c 1000 --json >dead.jsonl
  amqp-publish -r job1 --jsonl dead.jsonl";

/// Take messages from a queue and write them to standard output
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-get",
    version,
    override_usage = "amqp-get [OPTIONS]...",
    after_help = EXAMPLES
)]
pub struct Get {
    /// Queue to take messages from
    #[arg(short, long, value_name = "NAME")]
    queue: Option<String>,

    /// Maximum number of messages
    #[arg(short, long, value_name = "N", default_value_t = NonZeroU64::MIN)]
    count: NonZeroU64,

    /// Requeue the messages when all are written
    #[arg(long)]
    requeue: bool,

    /// Write each message as a line of JSON, as amqp-publish --jsonl reads it
    #[arg(long)]
    json: bool,

    /// With --json: write also a message that JSON cannot hold all of (see amqp-tools(7))
    #[arg(long, requires = "json")]
    lossy: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for Get {
    fn command() -> Command {
        <Get as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let options = GetOptions {
            queue: self
                .queue
                .ok_or_else(|| UsageError("queue not specified".to_owned()))?,
            count: self.count,
            format: Format::of(self.json),
            lossy: self.lossy,
            requeue: self.requeue,
        };
        get::get(&self.connection.options("amqp-get")?, &options)
    }
}

//! amqp-get's command line.

use clap::{Command, CommandFactory, Parser};

use super::connection::ConnectionArgs;
use super::{Tool, UsageError};
use crate::get::{self, GetOptions};
use crate::status::Status;

const EXAMPLES: &str = "Examples:
  # The next message, if there is one:
  amqp-get -q job1
  # The first ten as JSON, which stay where they are:
  amqp-get -q job1 -c 10 --requeue --json";

/// Take a message from a queue and write its body to standard output.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-get",
    version,
    override_usage = "amqp-get [OPTIONS]...",
    after_help = EXAMPLES
)]
pub struct Get {
    /// The queue to take it from
    #[arg(short, long, value_name = "NAME")]
    queue: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for Get {
    fn command() -> Command {
        <Get as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let queue = self
            .queue
            .ok_or_else(|| UsageError("queue not specified".to_owned()))?;
        get::get(&self.connection.options()?, &GetOptions { queue })
    }
}

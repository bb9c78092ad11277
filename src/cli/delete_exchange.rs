//! amqp-delete-exchange's command line.

use clap::{Command, CommandFactory, Parser};

use super::Tool;
use super::connection::ConnectionArgs;
use super::declare_queue::distinct_full_names;
use crate::exchanges::{self, DeleteOptions};
use crate::status::Status;

const EXAMPLES: &str = "Examples:
  # An exchange; the queues that were bound to it stay:
  amqp-delete-exchange logs
  # Only if nothing is bound to it:
  amqp-delete-exchange --if-unused logs events";

/// Delete exchanges
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-delete-exchange",
    version,
    override_usage = "amqp-delete-exchange [OPTIONS]... [EXCHANGE]...",
    after_help = EXAMPLES
)]
pub struct DeleteExchange {
    /// The exchange's name
    #[arg(short, long, value_name = "NAME")]
    exchange: Option<String>,

    /// Refuse to delete an exchange that queues or exchanges are bound to
    #[arg(long)]
    if_unused: bool,

    /// More exchanges
    #[arg(value_name = "EXCHANGE")]
    exchanges: Vec<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for DeleteExchange {
    fn command() -> Command {
        <DeleteExchange as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let options = DeleteOptions {
            names: distinct_full_names("exchange", self.exchange, self.exchanges)?,
            if_unused: self.if_unused,
        };
        exchanges::delete(&self.connection.options("amqp-delete-exchange")?, &options)
    }
}

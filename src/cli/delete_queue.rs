//! amqp-delete-queue's command line.

use clap::{Command, CommandFactory, Parser};

use super::Tool;
use super::connection::ConnectionArgs;
use super::declare_queue::distinct_full_names;
use crate::broker::DeleteConditions;
use crate::queues::{self, DeleteAction, DeleteOptions};
use crate::status::Status;
use crate::system::stdout::Format;

const EXAMPLES: &str = "Examples:
  # A queue and its messages:
  amqp-delete-queue -q job1
  # Only if no message is lost and nobody consumes from it:
  amqp-delete-queue --if-empty --if-unused job1 job2
  # Only the messages:
  amqp-delete-queue --purge job1";

/// Delete queues and print how many messages were in each
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-delete-queue",
    version,
    override_usage = "amqp-delete-queue [OPTIONS]... [QUEUE]...",
    after_help = EXAMPLES
)]
pub struct DeleteQueue {
    /// Queue name
    #[arg(short, long, value_name = "NAME")]
    queue: Option<String>,

    /// Do not delete a queue that has consumers
    #[arg(long)]
    if_unused: bool,

    /// Do not delete a queue that has messages
    #[arg(short = 'e', long)]
    if_empty: bool,

    /// Remove all ready messages, but keep the queue
    #[arg(long, conflicts_with_all = ["if_unused", "if_empty"])]
    purge: bool,

    /// Print {"queue":NAME,"messages":N} for each queue
    #[arg(long)]
    json: bool,

    /// More queues
    #[arg(value_name = "QUEUE")]
    queues: Vec<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for DeleteQueue {
    fn command() -> Command {
        <DeleteQueue as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let action = if self.purge {
            DeleteAction::Purge
        } else {
            DeleteAction::Delete(DeleteConditions {
                if_unused: self.if_unused,
                if_empty: self.if_empty,
            })
        };
        let options = DeleteOptions {
            names: distinct_full_names("queue", self.queue, self.queues)?,
            action,
            format: Format::of(self.json),
        };
        queues::delete(&self.connection.options("amqp-delete-queue")?, &options)
    }
}

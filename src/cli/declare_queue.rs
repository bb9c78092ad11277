//! amqp-declare-queue's command line.

use clap::{Command, CommandFactory, Parser};

use super::bindings::BindingArgs;
use super::connection::ConnectionArgs;
use super::typed::parse_typed;
use super::{Tool, UsageError};
use crate::broker::QueueDeclaration;
use crate::message::{HeaderValue, Headers};
use crate::queues::{self, DeclareOptions};
use crate::status::Status;
use crate::system::stdout::Format;

const EXAMPLES: &str = "Examples:
  # A queue that survives a restart of the broker:
  amqp-declare-queue -q job1 -d
  # Two replicated queues with a dead-letter exchange:
  amqp-declare-queue -d --queue-type=quorum -a x-dead-letter-exchange=dlx a b
  # One that an exchange brings all messages with the header kind: invoice to:
  amqp-declare-queue -d invoices --bind letters --bind-argument kind=invoice
  # A queue for a shell script, with a name of the broker's choice:
  queue=$(amqp-declare-queue -q '')";

/// Declare queues and print their names
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-declare-queue",
    version,
    override_usage = "amqp-declare-queue [OPTIONS]... [QUEUE]...",
    after_help = EXAMPLES
)]
pub struct DeclareQueue {
    /// Queue name ('' = named by the broker)
    #[arg(short, long, value_name = "NAME")]
    queue: Option<String>,

    /// Make the queue survive a restart of the broker
    #[arg(short, long)]
    durable: bool,

    /// Queue argument, such as x-max-length=1000 (integers, true and false are typed); repeatable
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse_typed, action = clap::ArgAction::Append)]
    argument: Vec<(String, HeaderValue)>,

    /// Queue type
    #[arg(long, value_name = "TYPE", value_parser = ["classic", "quorum", "stream"])]
    queue_type: Option<String>,

    /// Have the broker delete the queue with its last consumer
    #[arg(long)]
    auto_delete: bool,

    /// Only check that the queue exists
    #[arg(long, conflicts_with_all = ["durable", "argument", "queue_type", "auto_delete"])]
    passive: bool,

    #[command(flatten)]
    bindings: BindingArgs,

    /// Print {"queue":NAME,"messages":N,"consumers":N} for each queue
    #[arg(long)]
    json: bool,

    /// More queues
    #[arg(value_name = "QUEUE")]
    queues: Vec<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for DeclareQueue {
    fn command() -> Command {
        <DeclareQueue as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let arguments = self.arguments()?;
        let create = (!self.passive).then(|| QueueDeclaration {
            durable: self.durable,
            auto_delete: self.auto_delete,
            arguments,
            ..QueueDeclaration::default()
        });
        let options = DeclareOptions {
            names: distinct_names("queue", self.queue, self.queues)?,
            create,
            bindings: self.bindings.bindings()?,
            format: Format::of(self.json),
        };
        queues::declare(&self.connection.options("amqp-declare-queue")?, &options)
    }
}

impl DeclareQueue {
    fn arguments(&self) -> Result<Headers, UsageError> {
        let mut arguments: Headers = self.argument.iter().cloned().collect();
        if let Some(queue_type) = &self.queue_type {
            let value = HeaderValue::String(queue_type.clone());
            if arguments.insert("x-queue-type".to_owned(), value).is_some() {
                return Err(UsageError(
                    "--queue-type and --argument x-queue-type cannot be used at the same time"
                        .to_owned(),
                ));
            }
        }
        Ok(arguments)
    }
}

/// All names given, by flag or as operands, each once. `what` is what they name.
pub(super) fn distinct_names(
    what: &str,
    flag: Option<String>,
    operands: Vec<String>,
) -> Result<Vec<String>, UsageError> {
    let mut names: Vec<String> = Vec::new();
    for name in flag.into_iter().chain(operands) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(unspecified(what));
    }
    Ok(names)
}

/// The same where an empty name names nothing.
pub(super) fn distinct_full_names(
    what: &str,
    flag: Option<String>,
    operands: Vec<String>,
) -> Result<Vec<String>, UsageError> {
    let names = distinct_names(what, flag, operands)?;
    if names.iter().any(String::is_empty) {
        return Err(unspecified(what));
    }
    Ok(names)
}

fn unspecified(what: &str) -> UsageError {
    UsageError(format!("{what} name not specified"))
}

//! amqp-declare-exchange's command line.

use clap::{ArgAction, Command, CommandFactory, Parser};

use super::Tool;
use super::bindings::BindingArgs;
use super::connection::ConnectionArgs;
use super::declare_queue::distinct_full_names;
use super::typed::parse_typed;
use crate::exchanges::{self, DeclareMode, DeclareOptions, ExchangeTraits};
use crate::message::HeaderValue;
use crate::status::Status;
use crate::system::stdout::Format;

const EXAMPLES: &str = "Examples:
  # An exchange that hands each message to every queue bound to it:
  amqp-declare-exchange -t fanout -d logs
  amqp-declare-queue -d disk --bind logs
  # One that goes by routing keys, and gives what no queue wants to another:
  amqp-declare-exchange -t fanout -d unrouted
  amqp-declare-exchange -t topic -d -a alternate-exchange=unrouted events
  # One that another exchange brings part of its messages to:
  amqp-declare-exchange -t topic -d audit --bind events:user.#";

/// Declare exchanges and print their names
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-declare-exchange",
    version,
    override_usage = "amqp-declare-exchange [OPTIONS]... [EXCHANGE]...",
    after_help = EXAMPLES
)]
pub struct DeclareExchange {
    /// The exchange's name
    #[arg(short, long, value_name = "NAME")]
    exchange: Option<String>,

    /// How messages are matched with bindings: direct, fanout, topic, headers, or a type that a plugin of the broker adds
    #[arg(short, long, value_name = "TYPE", default_value = "direct")]
    r#type: String,

    /// Let the exchange survive a restart of the broker
    #[arg(short, long)]
    durable: bool,

    /// Let the exchange end with its last binding
    #[arg(long)]
    auto_delete: bool,

    /// Let the exchange take messages from other exchanges alone
    #[arg(long)]
    internal: bool,

    /// Set an argument of the exchange, such as alternate-exchange=NAME; integers, true and false are recognised as such
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse_typed, action = ArgAction::Append)]
    argument: Vec<(String, HeaderValue)>,

    /// Only check that the exchange exists
    #[arg(long, conflicts_with_all = ["type", "durable", "auto_delete", "internal", "argument"])]
    passive: bool,

    #[command(flatten)]
    bindings: BindingArgs,

    /// Print {"exchange":NAME} a line
    #[arg(long)]
    json: bool,

    /// More exchanges
    #[arg(value_name = "EXCHANGE")]
    exchanges: Vec<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for DeclareExchange {
    fn command() -> Command {
        <DeclareExchange as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let mode = if self.passive {
            DeclareMode::LookOnly
        } else {
            DeclareMode::Create(ExchangeTraits {
                kind: self.r#type,
                durable: self.durable,
                auto_delete: self.auto_delete,
                internal: self.internal,
                arguments: self.argument.into_iter().collect(),
            })
        };
        let options = DeclareOptions {
            names: distinct_full_names("exchange", self.exchange, self.exchanges)?,
            mode,
            bindings: self.bindings.bindings()?,
            format: Format::of(self.json),
        };
        exchanges::declare(&self.connection.options("amqp-declare-exchange")?, &options)
    }
}

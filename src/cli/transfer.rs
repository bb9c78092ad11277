//! amqp-move's command line.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::{ArgAction, Command, CommandFactory, Parser};

use super::connection::ConnectionArgs;
use super::monitoring::MonitoringArgs;
use super::publish::progress_parser;
use super::rate::parse_rate;
use super::{Tool, UsageError, complain, say, warn};
use crate::reason;
use crate::status::Status;
use crate::transfer::{self, Destination, Ending, Extent, Form, MoveOptions, Outcome};

const EXAMPLES: &str = "Examples:
  # All that is in the queue dead now, to the queue job1:
  amqp-move -q dead -r job1
  # Parked messages back to where they came from, a hundred to begin with, ten a second:
  amqp-move -q job1.parked --back -c 100 --rate 10
  # To an exchange, each with the routing key that it has, for as long as it runs:
  amqp-move -q overflow -e events --follow";

/// Move messages from a queue to another, each acknowledged once the broker has confirmed its copy.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-move",
    version,
    override_usage = "amqp-move [OPTIONS]...",
    after_help = EXAMPLES
)]
pub struct Move {
    /// The queue to move messages from
    #[arg(short, long, value_name = "NAME")]
    queue: Option<String>,

    /// The exchange to move them to [default: the default exchange, where the routing key is a queue's name]
    #[arg(short, long, value_name = "NAME")]
    exchange: Option<String>,

    /// The routing key; without --exchange, the queue to move them to [default with --exchange: the message's own]
    #[arg(short, long, value_name = "KEY")]
    routing_key: Option<String>,

    /// Move each message to where it was published before amqp-consume parked it, without the headers that tell of that
    #[arg(long, conflicts_with_all = ["exchange", "routing_key"])]
    back: bool,

    /// Move at most N messages [default: as many as there are at the start]
    #[arg(short, long, value_name = "N")]
    count: Option<NonZeroU64>,

    /// Wait for more messages instead of ending
    #[arg(long)]
    follow: bool,

    /// Move no more than N messages a second, or with /m or /h a minute or an hour, evenly spaced
    #[arg(long, value_name = "N[/s|/m|/h]", value_parser = parse_rate)]
    rate: Option<Duration>,

    /// Show progress on standard error; auto = on a terminal
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = progress_parser(), action = ArgAction::Set)]
    progress: bool,

    /// Print a line of JSON for each moved message: its id, and where its copy went
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    monitoring: MonitoringArgs,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for Move {
    fn command() -> Command {
        <Move as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let connect = self.connection.clone().options("amqp-move")?;
        let options = self.options()?;
        let outcome = transfer::transfer(&connect, &options);
        explain(&outcome);
        Ok(outcome.status())
    }
}

impl Move {
    fn options(self) -> Result<MoveOptions, UsageError> {
        let source = self
            .queue
            .clone()
            .filter(|queue| !queue.is_empty())
            .ok_or_else(|| UsageError("queue not specified".to_owned()))?;
        let destination = self.destination()?;
        if destination.queue() == Some(&*source) {
            let message = "--routing-key must name another queue than --queue";
            return Err(UsageError(message.to_owned()));
        }
        Ok(MoveOptions {
            source,
            destination,
            count: self.count,
            extent: if self.follow {
                Extent::Follow
            } else {
                Extent::WhatIsThere
            },
            interval: self.rate,
            shows_progress: self.progress,
            status_address: self.monitoring.status_address,
            form: if self.json { Form::Json } else { Form::Silent },
        })
    }

    fn destination(&self) -> Result<Destination, UsageError> {
        if self.back {
            return Ok(Destination::Back);
        }
        let name = self.exchange.clone().unwrap_or_default();
        if name.is_empty() && self.routing_key.is_none() {
            let message = "neither exchange nor routing key specified, nor --back";
            return Err(UsageError(message.to_owned()));
        }
        Ok(Destination::Exchange {
            name,
            routing_key: self.routing_key.clone(),
        })
    }
}

/// Says on standard error what went wrong and how far it came.
fn explain(outcome: &Outcome) {
    let began = outcome.tally.copied > 0;
    match &outcome.ending {
        Ending::Complete if outcome.tally.in_doubt > 0 => warn(&outcome.progress_made()),
        Ending::Complete => {}
        Ending::Failed(error) => {
            complain(&reason::chain(error));
            if began {
                say(&outcome.progress_made());
            }
        }
        Ending::Interrupted(_) => warn(&format!("interrupted; {}", outcome.progress_made())),
    }
}

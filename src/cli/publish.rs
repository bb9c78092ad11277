//! amqp-publish's command line.

use std::ffi::OsString;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStringExt;

use anyhow::Context;
use clap::{ArgAction, Command, CommandFactory, Parser};

use super::connection::ConnectionArgs;
use super::{Tool, UsageError, complain};
use crate::message::{HeaderValue, PERSISTENT, Properties, TRANSIENT};
use crate::publish::{
    self, Address, Confirms, Ending, Input, LineEnd, Outcome, PublishOptions, Records, Routing,
    Source,
};
use crate::status::Status;

const PROPERTIES: &str = "Properties";
const SEEDING: &str = "Many messages";

/// From 200 to 1000 in flight is where throughput flattens.
const MAX_IN_FLIGHT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

const EXAMPLES: &str = "Examples:
  # One persistent message to the queue job1:
  amqp-publish -r job1 -p -b apple
  # Each line of a file, without its newline:
  amqp-publish -r job1 -p -l --chomp tasks.txt
  # Each file:
  amqp-publish -r job1 -p tasks/*.json";

/// Publish messages from standard input, an argument, or files, and wait until the broker has confirmed them.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-publish",
    version,
    override_usage = "amqp-publish [OPTIONS]... [FILE]...",
    after_help = EXAMPLES
)]
pub struct Publish {
    /// The exchange to publish to [default: the default exchange, where the routing key is a queue's name]
    #[arg(short, long, value_name = "NAME")]
    exchange: Option<String>,

    /// The routing key; without --exchange, the queue's name
    #[arg(short, long, value_name = "KEY")]
    routing_key: Option<String>,

    /// The message's body [default: all of standard input]
    #[arg(short, long, value_name = "BODY", conflicts_with_all = ["line_buffered", "inputs"])]
    body: Option<OsString>,

    /// Make each line a message, newline included, and send it as soon as it is read
    #[arg(short, long)]
    line_buffered: bool,

    /// With -l: leave the newline out of the message
    #[arg(long, requires = "line_buffered")]
    chomp: bool,

    /// Files to publish, each as one message or, with -l, each record of each; - is standard input
    #[arg(value_name = "FILE")]
    inputs: Vec<OsString>,

    /// Let messages survive a restart of the broker (in durable queues)
    #[arg(short, long, help_heading = PROPERTIES)]
    persistent: bool,

    /// The MIME type of the body
    #[arg(short = 'C', long, value_name = "TYPE", help_heading = PROPERTIES)]
    content_type: Option<String>,

    /// The MIME content encoding of the body
    #[arg(short = 'E', long, value_name = "ENCODING", help_heading = PROPERTIES)]
    content_encoding: Option<String>,

    /// The queue that replies are wanted in
    #[arg(short = 't', long, value_name = "QUEUE", help_heading = PROPERTIES)]
    reply_to: Option<String>,

    /// A header; may be given several times
    #[arg(short = 'H', long, value_name = "KEY: VALUE", value_parser = parse_header, action = ArgAction::Append, help_heading = PROPERTIES)]
    header: Vec<(String, HeaderValue)>,

    /// Exit 0 once the messages are sent, without the broker's word that it has them
    #[arg(long, help_heading = SEEDING)]
    no_confirm: bool,

    /// Make it an error that a message reaches no queue [default: for the default exchange only]
    #[arg(long, overrides_with = "no_mandatory", help_heading = SEEDING)]
    mandatory: bool,

    /// Let the broker drop messages that reach no queue
    #[arg(long, overrides_with = "mandatory", help_heading = SEEDING)]
    no_mandatory: bool,

    /// How many messages may be unconfirmed at a time
    #[arg(long, value_name = "N", default_value_t = MAX_IN_FLIGHT, conflicts_with = "no_confirm", help_heading = SEEDING)]
    max_in_flight: NonZeroUsize,

    /// Print one JSON object about the run at its end
    #[arg(long, help_heading = SEEDING)]
    json: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for Publish {
    fn command() -> Command {
        <Publish as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let json = self.json;
        let (options, connection) = self.options()?;
        let single = options.source.is_single_message();
        let outcome = publish::publish(&connection.options()?, &options)?;
        explain(&outcome, single);
        if json {
            let mut stdout = io::stdout();
            writeln!(stdout, "{}", outcome.to_json_line()).context("writing to standard output")?;
        }
        Ok(outcome.status())
    }
}

impl Publish {
    fn options(self) -> Result<(PublishOptions, ConnectionArgs), UsageError> {
        let options = PublishOptions {
            address: self.address()?,
            properties: self.properties(),
            routing: self.routing(),
            confirms: self.confirms(),
            source: self.source()?,
        };
        Ok((options, self.connection))
    }

    fn address(&self) -> Result<Address, UsageError> {
        if self.exchange.is_none() && self.routing_key.is_none() {
            return Err(UsageError(
                "neither exchange nor routing key specified".to_owned(),
            ));
        }
        Ok(Address::Given {
            exchange: self.exchange.clone().unwrap_or_default(),
            routing_key: self.routing_key.clone().unwrap_or_default(),
        })
    }

    fn properties(&self) -> Properties {
        let delivery_mode = if self.persistent {
            PERSISTENT
        } else {
            TRANSIENT
        };
        let headers = self.header.iter().cloned().collect();
        Properties {
            content_type: self.content_type.clone(),
            content_encoding: self.content_encoding.clone(),
            reply_to: self.reply_to.clone(),
            delivery_mode: Some(delivery_mode),
            headers: (!self.header.is_empty()).then_some(headers),
            ..Properties::default()
        }
    }

    fn routing(&self) -> Routing {
        match (self.mandatory, self.no_mandatory) {
            (true, _) => Routing::MustReachQueue,
            (_, true) => Routing::MayBeDropped,
            (false, false) => Routing::MustReachNamedQueue,
        }
    }

    fn confirms(&self) -> Confirms {
        if self.no_confirm {
            Confirms::Off
        } else {
            Confirms::Awaited {
                max_in_flight: self.max_in_flight,
            }
        }
    }

    fn source(&self) -> Result<Source, UsageError> {
        if let Some(body) = &self.body {
            return Ok(Source::Argument(body.clone().into_vec()));
        }
        let records = match (self.line_buffered, self.chomp) {
            (false, _) => Records::Whole,
            (true, false) => Records::Lines(LineEnd::Kept),
            (true, true) => Records::Lines(LineEnd::Chomped),
        };
        if self.inputs.is_empty() {
            return Ok(Source::Inputs(vec![Input::Stdin], records));
        }
        let inputs: Vec<Input> = self.inputs.iter().cloned().map(Input::from).collect();
        let readings_of_stdin = inputs.iter().filter(|input| **input == Input::Stdin);
        if readings_of_stdin.count() > 1 {
            return Err(UsageError(
                "standard input (-) can be read only once".to_owned(),
            ));
        }
        Ok(Source::Inputs(inputs, records))
    }
}

/// Says on standard error what went wrong and, where there was more than one message, how far it went.
fn explain(outcome: &Outcome, single: bool) {
    match &outcome.ending {
        Ending::Complete => {}
        Ending::Failed(error) => {
            complain(&format!("{error:#}"));
            if !single {
                complain(&outcome.progress_made());
            }
        }
        Ending::Interrupted(_) => complain(&format!("interrupted; {}", outcome.progress_made())),
    }
}

/// `key: value`; as in amqp-tools the value is a string, and blanks before it are not part of it.
fn parse_header(text: &str) -> Result<(String, HeaderValue), String> {
    let (key, value) = text
        .split_once(':')
        .ok_or("expected 'key: value', with a colon".to_owned())?;
    let value = value.trim_start_matches([' ', '\t']).to_owned();
    Ok((key.to_owned(), HeaderValue::String(value)))
}

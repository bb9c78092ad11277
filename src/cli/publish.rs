//! amqp-publish's command line.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ArgGroup, Command, CommandFactory, Parser};

use super::connection::ConnectionArgs;
use super::monitoring::MonitoringArgs;
use super::properties::{HEADING as PROPERTIES, PropertyArgs};
use super::rate::parse_rate;
use super::{Tool, UsageError, complain, say, warn};
use crate::message::{Properties, TRANSIENT};
use crate::publish::{
    self, Address, BodySource, Ended, Input, Inputs, Outcome, OwnProperties, PublishOptions,
    Records, Routing,
};
use crate::reason::printable;
use crate::status::Status;
use crate::system::closed;

const SOURCES: &str = "Files and records";
const DELIVERY: &str = "Delivery";
const REPORT: &str = "Progress and report";

/// Throughput does not grow beyond 200 to 1000 messages in flight.
const MAX_IN_FLIGHT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

const EXAMPLES: &str = "Examples:
  # One persistent message to the queue job1:
  amqp-publish -r job1 -p -b apple
  # Each line of a file, without its newline; run it again after a crash to go on:
  amqp-publish -r job1 -p -l --chomp --checkpoint seed.checkpoint tasks.txt
  # Each file:
  amqp-publish -r job1 -p tasks/*.json
  find in/ -type f -print0 | amqp-publish -r job1 -p --files0-from -
  # A dump, with all properties:
  amqp-get -q dead -c 1000 --json | amqp-publish -r job1 --jsonl";

/// Publish messages from standard input, an argument, or files, and wait until the broker has confirmed them
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-publish",
    version,
    override_usage = "amqp-publish [OPTIONS]... [FILE]...",
    after_help = EXAMPLES,
    group(ArgGroup::new("records").args(["line_buffered", "null", "jsonl"])),
    group(ArgGroup::new("source").args(["body", "inputs", "files_from", "files0_from"]))
)]
pub struct Publish {
    /// Exchange to publish to [default: the default exchange]
    #[arg(short, long, value_name = "NAME")]
    exchange: Option<String>,

    /// Routing key; without --exchange, the queue's name
    #[arg(short, long, value_name = "KEY")]
    routing_key: Option<String>,

    /// Message body [default: all of standard input]
    #[arg(short, long, value_name = "BODY", conflicts_with_all = ["records", "checkpoint"])]
    body: Option<OsString>,

    /// Publish one message per line, newline included, as soon as it is read
    #[arg(short, long, help_heading = SOURCES)]
    line_buffered: bool,

    /// With -l: leave out the newline
    #[arg(long, help_heading = SOURCES)]
    chomp: bool,

    /// Publish one message per NUL-terminated record, without the NUL
    #[arg(short = '0', long, help_heading = SOURCES)]
    null: bool,

    /// Publish one message per line of JSON, as amqp-get --json writes it; options override its properties, and -r without -e names a queue
    #[arg(long, help_heading = SOURCES)]
    jsonl: bool,

    /// Publish the files named in FILE, one name per line (- = standard input)
    #[arg(long, value_name = "FILE", help_heading = SOURCES)]
    files_from: Option<OsString>,

    /// Publish the files named in FILE, NUL-terminated as by find -print0
    #[arg(long, value_name = "FILE", help_heading = SOURCES)]
    files0_from: Option<OsString>,

    /// Files to publish, each as one message or, with -l, -0 or --jsonl, one per record (- = standard input)
    #[arg(value_name = "FILE")]
    inputs: Vec<OsString>,

    #[command(flatten)]
    properties: PropertyArgs,

    /// Give each message an id made of its file's name, its number there and its body: the same whenever it is published
    /// again, so that a consumer can drop what it has seen
    #[arg(long, conflicts_with = "message_id", help_heading = PROPERTIES)]
    auto_message_id: bool,

    /// Put the name of each message's file into a header
    #[arg(long, value_name = "NAME", conflicts_with = "body", help_heading = PROPERTIES)]
    file_header: Option<String>,

    /// Publish no faster than that, evenly: 10 or 10/s a second, 5/m a minute, 100/h an hour
    #[arg(long, value_name = "N[/s|/m|/h]", value_parser = parse_rate, help_heading = DELIVERY)]
    rate: Option<Duration>,

    /// Do not wait for the broker's confirms
    #[arg(long, help_heading = DELIVERY)]
    no_confirm: bool,

    /// Maximum number of unconfirmed messages; of their bodies, 16 MiB
    #[arg(long, value_name = "N", default_value_t = MAX_IN_FLIGHT, conflicts_with = "no_confirm", help_heading = DELIVERY)]
    max_in_flight: NonZeroUsize,

    /// Fail if a message reaches no queue [default: for the default exchange only]
    #[arg(long, overrides_with = "no_mandatory", help_heading = DELIVERY)]
    mandatory: bool,

    /// Let the broker drop messages that reach no queue
    #[arg(long, overrides_with = "mandatory", help_heading = DELIVERY)]
    no_mandatory: bool,

    /// Keep in FILE up to where all is confirmed; the same command, run again, goes on from there. It is refused where the
    /// destination, the records, the properties or what is confirmed of the input are no longer the same
    #[arg(long, value_name = "FILE", conflicts_with = "no_confirm", help_heading = DELIVERY)]
    checkpoint: Option<PathBuf>,

    /// Show progress on standard error; auto = on a terminal
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = progress_parser(), action = ArgAction::Set, help_heading = REPORT)]
    progress: bool,

    /// Print one JSON object about the run at its end
    #[arg(long, help_heading = REPORT)]
    json: bool,

    #[command(flatten)]
    monitoring: MonitoringArgs,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Whether the progress is shown, by name.
pub(super) fn progress_parser() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["auto", "always", "never"]).map(|word| match &*word {
        "auto" => io::stderr().is_terminal(),
        word => word == "always",
    })
}

impl Tool for Publish {
    fn command() -> Command {
        <Publish as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let connect = self.connection.clone().options("amqp-publish")?;
        let json = self.json;
        if json {
            closed::ensure_stdout_open().context("standard output")?;
        }
        let taken_for_file = self.operand_taken_for_file();
        let options = self.options()?;
        let is_single_message = options.source.is_single_message();
        if options.source.comes_from_stdin() && io::stdin().is_terminal() {
            say("reading standard input, which is a terminal; Ctrl-D ends it");
        }
        let outcome = publish::publish(&connect, options);
        explain(&outcome, is_single_message);
        if let (Ended::Failed(_), Some(hint)) = (&outcome.ended, taken_for_file) {
            say(&hint);
        }
        if json {
            writeln!(io::stdout(), "{}", outcome.to_json_line())
                .context("writing to standard output")?;
        }
        Ok(outcome.status())
    }
}

impl Publish {
    fn options(self) -> Result<PublishOptions, UsageError> {
        if self.chomp && !self.line_buffered {
            return Err(UsageError("--chomp needs --line-buffered".to_owned()));
        }
        Ok(PublishOptions {
            address: self.address()?,
            routing: self.routing(),
            max_in_flight: (!self.no_confirm).then_some(self.max_in_flight),
            source: self.source()?,
            pace: self.rate,
            own: OwnProperties {
                file_header: self.file_header.clone(),
                has_message_id: self.auto_message_id,
            },
            shows_progress: self.progress,
            status_address: self.monitoring.status_address,
            properties: if self.jsonl {
                self.properties.properties()
            } else {
                self.properties.properties().or(Properties {
                    delivery_mode: Some(TRANSIENT),
                    ..Properties::default()
                })
            },
            checkpoint: self.checkpoint,
        })
    }

    /// What is said of a body that is given as an operand, behind a -p that is taken for another tool's.
    fn operand_taken_for_file(&self) -> Option<String> {
        let [operand] = self.inputs.as_slice() else {
            return None;
        };
        let is_missing = operand != "-" && !Path::new(operand).exists();
        (self.properties.is_persistent() && is_missing).then(|| {
            let operand = printable(&operand.display().to_string());
            format!("'{operand}' is taken for the name of a file, since -p takes no value; a body is given by -b")
        })
    }

    fn address(&self) -> Result<Address, UsageError> {
        match (&self.exchange, &self.routing_key) {
            (exchange, None) if self.jsonl => Ok(Address::OfEnvelope {
                exchange: exchange.clone(),
            }),
            (None, None) => Err(UsageError(
                "neither exchange nor routing key specified".to_owned(),
            )),
            (exchange, routing_key) => Ok(Address::Given {
                exchange: exchange.clone().unwrap_or_default(),
                routing_key: routing_key.clone().unwrap_or_default(),
            }),
        }
    }

    fn routing(&self) -> Routing {
        match (self.mandatory, self.no_mandatory) {
            (true, _) => Routing::MustReachQueue,
            (_, true) => Routing::MayBeDropped,
            (false, false) => Routing::MustReachNamedQueue,
        }
    }

    fn source(&self) -> Result<BodySource, UsageError> {
        match &self.body {
            Some(body) => Ok(BodySource::Argument(body.clone().into_vec())),
            None => Ok(BodySource::Inputs(self.inputs()?, self.records())),
        }
    }

    fn records(&self) -> Records {
        match (self.line_buffered, self.chomp) {
            (true, false) => Records::Lines,
            (true, true) => Records::ChompedLines,
            _ if self.null => Records::NulTerminated,
            _ if self.jsonl => Records::Envelopes,
            _ => Records::Whole,
        }
    }

    fn inputs(&self) -> Result<Inputs, UsageError> {
        let list = |name: &OsString, terminator| {
            let list = Input::from(name.clone());
            Ok(Inputs::Listed { list, terminator })
        };
        match (&self.files_from, &self.files0_from) {
            (Some(name), _) => list(name, b'\n'),
            (_, Some(name)) => list(name, b'\0'),
            (None, None) if self.inputs.is_empty() => Ok(Inputs::Named(vec![Input::Stdin])),
            (None, None) => named(&self.inputs),
        }
    }
}

fn named(names: &[OsString]) -> Result<Inputs, UsageError> {
    let inputs: Vec<Input> = names.iter().cloned().map(Input::from).collect();
    let from_stdin = inputs.iter().filter(|input| **input == Input::Stdin);
    if from_stdin.count() > 1 {
        return Err(UsageError(
            "standard input (-) can be read only once".to_owned(),
        ));
    }
    Ok(Inputs::Named(inputs))
}

/// Prints on standard error what went wrong and, unless there is a single message, how many are confirmed.
fn explain(outcome: &Outcome, is_single_message: bool) {
    match &outcome.ended {
        Ended::Complete => {}
        Ended::Failed(reason) => {
            complain(reason);
            let began = outcome.tally.published > 0 || outcome.first_unconfirmed.is_some();
            if began && !is_single_message {
                say(&outcome.progress_made());
            }
        }
        Ended::Interrupted(_) => warn(&format!("interrupted; {}", outcome.progress_made())),
    }
}

//! amqp-call's command line.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Command, CommandFactory, Parser};

use super::connection::ConnectionArgs;
use super::duration::parse_duration;
use super::properties::PropertyArgs;
use super::{Tool, UsageError, complain};
use crate::call::{self, CallOptions};
use crate::message::{Message, Properties, TRANSIENT};
use crate::status::Status;
use crate::system::closed;
use crate::system::stdout::Format;

const EXAMPLES: &str = "Examples:
  # What the worker behind the queue resize makes of a picture:
  amqp-call -r resize picture.jpg >small.jpg
  # A question, and at most five seconds for the answer:
  amqp-call -r upper -b hello --timeout 5s
  # The reply with its properties:
  amqp-call -r upper -b hello --json";

/// Publish a request, wait for the one reply, write it to standard output, and exit with the status that it tells.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-call",
    version,
    override_usage = "amqp-call [OPTIONS]... [FILE]",
    after_help = EXAMPLES,
    group(ArgGroup::new("source").args(["body", "input"])),
    mut_arg("reply_to", |arg| arg.hide(true))
)]
pub struct Call {
    /// The exchange to publish to [default: the default exchange, where the routing key is a queue's name]
    #[arg(short, long, value_name = "NAME")]
    exchange: Option<String>,

    /// The routing key; without --exchange, the queue's name
    #[arg(short, long, value_name = "KEY")]
    routing_key: Option<String>,

    /// The request's body [default: all of standard input]
    #[arg(short, long, value_name = "BODY")]
    body: Option<OsString>,

    /// How long the reply may take; after that the request expires, and the exit status is 124
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    timeout: Duration,

    /// Print the reply with its properties as a line of JSON; the exit status stays the reply's
    #[arg(long)]
    json: bool,

    /// With --json: print also a reply that JSON cannot hold all of (see amqp-tools(7))
    #[arg(long, requires = "json")]
    lossy: bool,

    /// The file with the request's body; - is standard input
    #[arg(value_name = "FILE")]
    input: Option<OsString>,

    #[command(flatten)]
    properties: PropertyArgs,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Tool for Call {
    fn command() -> Command {
        <Call as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let connect = self.connection.clone().options("amqp-call")?;
        let options = self.options()?;
        let timeout = options.timeout;
        let Some(status) = call::call(&connect, options)? else {
            complain(&match timeout {
                Duration::ZERO => "no reply within 0s".to_owned(), // and not 0ns
                timeout => format!("no reply within {timeout:?}"),
            });
            return Ok(Status::TIMED_OUT);
        };
        Ok(status)
    }
}

impl Call {
    fn options(self) -> anyhow::Result<CallOptions> {
        if self.exchange.is_none() && self.routing_key.is_none() {
            let message = "neither exchange nor routing key specified";
            return Err(UsageError(message.to_owned()).into());
        }
        let given = self.properties.properties();
        if given.reply_to.is_some() {
            let message = "--reply-to cannot be used: the reply comes to amqp-call itself";
            return Err(UsageError(message.to_owned()).into());
        }
        Ok(CallOptions {
            timeout: self.timeout,
            format: Format::of(self.json),
            lossy: self.lossy,
            request: Message {
                exchange: self.exchange.unwrap_or_default(),
                routing_key: self.routing_key.unwrap_or_default(),
                properties: given.or(Properties {
                    delivery_mode: Some(TRANSIENT),
                    ..Properties::default()
                }),
                body: body(self.body, self.input)?,
            },
        })
    }
}

fn body(argument: Option<OsString>, input: Option<OsString>) -> anyhow::Result<Vec<u8>> {
    if let Some(body) = argument {
        return Ok(body.into_vec());
    }
    let mut body = Vec::new();
    match input.filter(|name| name != "-") {
        None => closed::ensure_stdin_open()
            .and_then(|()| io::stdin().read_to_end(&mut body))
            .context("reading -")?,
        Some(name) => File::open(&name)
            .and_then(|mut file| file.read_to_end(&mut body))
            .with_context(|| format!("reading {}", name.display()))?,
    };
    Ok(body)
}

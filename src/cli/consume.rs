//! amqp-consume's command line.

use std::ffi::OsString;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Command, CommandFactory, Parser};

use super::connection::ConnectionArgs;
use super::duration::parse_duration;
use super::failure::FailureArgs;
use super::{Tool, UsageError};
use crate::consume::{
    self, Acknowledgement, CommandWork, ConsumeOptions, Idle, SourceQueue, Stdin, Work,
};
use crate::queues::Binding;
use crate::status::Status;

const QUEUE: &str = "Queue";
const WORK: &str = "Work";
const TIME: &str = "Time";

/// Printing takes no time: nothing is hoarded, and no round trip waited for.
const PRINT_AHEAD: u16 = 100;

const EXAMPLES: &str = "Examples:
  # One message; the exit status is the command's:
  amqp-consume -q job1 -c 1 ./worker.sh
  # Four at a time, none for longer than ten minutes:
  amqp-consume -q job1 -j 4 --timeout 10m ./worker.sh
  # Until the queue is empty; what fails three times is put aside:
  amqp-consume -q job1 --idle-timeout 0s --max-attempts 3 --park bad ./worker.sh
  # From an exchange, by a queue that ends with the tool:
  amqp-consume -e logs -r error,warning -x cat";

/// Run a command for each message and acknowledge those whose command succeeds
///
/// The body is on the command's standard input, the message's properties are in its environment.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-consume",
    version,
    override_usage = "amqp-consume [OPTIONS]... COMMAND [ARGS]...",
    after_help = EXAMPLES
)]
pub struct Consume {
    /// The queue to consume from [default: a new one, named by the broker]
    #[arg(short, long, value_name = "NAME", help_heading = QUEUE)]
    queue: Option<String>,

    /// Declare the queue and bind it to this exchange
    #[arg(short, long, value_name = "NAME", help_heading = QUEUE)]
    exchange: Option<String>,

    /// The routing keys to bind with, separated by commas
    #[arg(short, long, value_name = "KEYS", help_heading = QUEUE)]
    routing_key: Option<String>,

    /// Declare the queue; it ends with its last consumer
    #[arg(short, long, help_heading = QUEUE)]
    declare: bool,

    /// Declare the queue for this connection alone
    #[arg(short = 'x', long, help_heading = QUEUE)]
    exclusive: bool,

    /// Acknowledge each message before its command runs: if that fails, the message is gone
    #[arg(short = 'A', long, help_heading = WORK)]
    no_ack: bool,

    /// End after N messages, with the status of the first command that failed [default: no limit]
    #[arg(short, long, value_name = "N", help_heading = WORK)]
    count: Option<i64>,

    /// How many unacknowledged messages the broker may hand over; 0: 65535 [default: as many as --jobs; with --json 100]
    #[arg(short, long, value_name = "N", help_heading = WORK)]
    prefetch_count: Option<i64>,

    /// How many commands may run at once
    #[arg(short, long, value_name = "N", default_value_t = NonZeroUsize::MIN, help_heading = WORK)]
    jobs: NonZeroUsize,

    /// Without COMMAND: write each message to standard output as a line of JSON, and acknowledge it then
    #[arg(long, conflicts_with_all = ["command", "jobs", "stdin", "joblog", "timeout", "retries", "no_ack"], help_heading = WORK)]
    json: bool,

    /// What the command's standard input is: pipe, or file, which can be sought in and opened as /dev/stdin [default: pipe]
    #[arg(long, value_name = "KIND", value_parser = stdin_parser(), hide_possible_values = true, help_heading = WORK)]
    stdin: Option<Stdin>,

    /// Append a line about each command to this file
    #[arg(long, value_name = "FILE", help_heading = WORK)]
    joblog: Option<PathBuf>,

    /// End a command that runs longer, by SIGTERM and 5s later SIGKILL; it has failed, with status 124
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = TIME)]
    timeout: Option<Duration>,

    /// End when no message has come for that long and nothing runs; 0s: when the queue is empty
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = TIME)]
    idle_timeout: Option<Duration>,

    /// The exit status if --idle-timeout passes and not one message was handled [default: 0]
    #[arg(long, value_name = "N", requires = "idle_timeout", help_heading = TIME)]
    idle_status: Option<u8>,

    /// After SIGTERM or SIGINT, end commands that still run after that long [default: let them finish]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = TIME)]
    grace: Option<Duration>,

    #[command(flatten)]
    failure: FailureArgs,

    /// The command and its arguments; options of amqp-consume stand before it
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// What standard input can be, by name.
fn stdin_parser() -> impl TypedValueParser<Value = Stdin> {
    PossibleValuesParser::new(["pipe", "file"]).map(|name| match &*name {
        "file" => Stdin::File,
        _ => Stdin::Pipe,
    })
}

impl Tool for Consume {
    fn command() -> Command {
        <Consume as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let (options, connection) = self.options()?;
        consume::consume(&connection.options()?, options)
    }
}

impl Consume {
    fn options(self) -> Result<(ConsumeOptions, ConnectionArgs), UsageError> {
        let source = self.source()?;
        let limit = self.limit();
        let prefetch = self.prefetch(limit);
        let acknowledgement = self.acknowledgement()?;
        self.failure.check_against_queue(self.queue.as_deref())?;
        let options = ConsumeOptions {
            source,
            work: self.work()?,
            limit,
            prefetch,
            acknowledgement,
            failure: self.failure.policy()?,
            idle: self.idle_timeout.map(|timeout| Idle {
                timeout,
                status_if_unused: Status::exited(self.idle_status.unwrap_or(0)),
            }),
            grace: self.grace,
            joblog: self.joblog,
        };
        Ok((options, self.connection))
    }

    /// As amqp-tools has it: a queue that is named, and nothing said about it, must exist; any other is declared.
    fn source(&self) -> Result<SourceQueue, UsageError> {
        if self.routing_key.is_some() && self.exchange.is_none() {
            return Err(UsageError(
                "--routing-key option requires an exchange name to be provided with --exchange"
                    .to_owned(),
            ));
        }
        let declare = self.exchange.is_some() || self.declare || self.exclusive;
        match &self.queue {
            Some(name) if !declare => Ok(SourceQueue::Existing(name.clone())),
            name => Ok(SourceQueue::Declared {
                name: name.clone().unwrap_or_default(),
                exclusive: self.exclusive,
                bindings: self.bindings(),
            }),
        }
    }

    fn bindings(&self) -> Vec<Binding> {
        let Some(exchange) = &self.exchange else {
            return Vec::new();
        };
        let mut keys: Vec<&str> = self
            .routing_key
            .iter()
            .flat_map(|keys| keys.split(','))
            .filter(|key| !key.is_empty())
            .collect();
        if keys.is_empty() {
            keys.push("");
        }
        keys.into_iter()
            .map(|routing_key| Binding {
                exchange: exchange.clone(),
                routing_key: routing_key.to_owned(),
            })
            .collect()
    }

    fn work(&self) -> Result<Work, UsageError> {
        if self.json {
            return match self.failure.first_given() {
                None => Ok(Work::Print),
                Some(flag) => Err(exclusive(flag, "--json")),
            };
        }
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(UsageError("consuming command not specified".to_owned()));
        };
        let (retries, retry_delay) = self.failure.retries();
        Ok(Work::Command(Arc::new(CommandWork {
            program: program.clone(),
            arguments: arguments.to_vec(),
            stdin: self.stdin.unwrap_or_default(),
            jobs: self.jobs,
            timeout: self.timeout,
            retries,
            retry_delay,
        })))
    }

    /// A negative count is no limit.
    fn limit(&self) -> Option<u64> {
        self.count.and_then(|count| u64::try_from(count).ok())
    }

    /// As many as can run, so that no worker hoards what an idle one could do; never more than are asked for. As in
    /// amqp-tools, 0 and what AMQP has no number for is no limit; ours is the highest number, as a limit there must be.
    fn prefetch(&self, limit: Option<u64>) -> NonZeroU16 {
        let asked = match self.prefetch_count {
            Some(count @ 1..) => u16::try_from(count).unwrap_or(u16::MAX),
            Some(_) => u16::MAX,
            None if self.json => PRINT_AHEAD,
            None => u16::try_from(self.jobs.get()).unwrap_or(u16::MAX),
        };
        let useful = limit.map_or(asked, |limit| {
            u16::try_from(limit).map_or(asked, |limit| asked.min(limit))
        });
        NonZeroU16::new(useful).unwrap_or(NonZeroU16::MIN)
    }

    fn acknowledgement(&self) -> Result<Acknowledgement, UsageError> {
        match (self.no_ack, self.failure.first_given()) {
            (false, _) => Ok(Acknowledgement::AfterCommand),
            (true, None) => Ok(Acknowledgement::OnArrival),
            (true, Some(flag)) => Err(exclusive(flag, "--no-ack")),
        }
    }
}

fn exclusive(one: &str, other: &str) -> UsageError {
    UsageError(format!("{one} and {other} cannot be used at the same time"))
}

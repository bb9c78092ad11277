//! amqp-consume's command line.

use std::ffi::OsString;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Command, CommandFactory, Parser};

use super::connection::ConnectionArgs;
use super::duration::parse_duration;
use super::failure::FailureArgs;
use super::monitoring::MonitoringArgs;
use super::number::parse_integer;
use super::offset::OffsetParser;
use super::output::OutputArgs;
use super::rate::parse_rate;
use super::several::SeveralArgs;
use super::typed::parse_typed;
use super::{Tool, UsageError, complain, say, way_out};
use crate::broker::{Binding, SubscribeOptions};
use crate::consume::offset::STREAM_OFFSET;
use crate::consume::{
    self, Acknowledgement, CommandWork, ConsumeOptions, FailurePolicy, JoblogFile, JoblogFormat,
    SourceQueue, Stdin, StreamOffset, Work,
};
use crate::message::HeaderValue;
use crate::reason;
use crate::status::Status;

const QUEUE: &str = "Queue";
const WORK: &str = "Work";
const TIME: &str = "Time";

/// The prefetch limit with `--json`. Printing is fast, so no worker holds messages back from another.
const PRINT_AHEAD: u16 = 100;

const EXAMPLES: &str = "Examples:
  # One message; the exit status is the command's:
  amqp-consume -q job1 -c 1 ./worker.sh
  # Four at a time, none for longer than ten minutes:
  amqp-consume -q job1 -j 4 --timeout 10m ./worker.sh
  # Until the queue is empty; a message that fails three times is parked:
  amqp-consume -q job1 --idle-timeout 0s --max-attempts 3 --park bad ./worker.sh
  # From an exchange, with a queue that is deleted at the end:
  amqp-consume -e logs -r error,warning -x cat";

/// Run a command for each message and acknowledge the message when the command succeeds
///
/// The command reads the message's body from standard input. Environment variables hold its properties.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "amqp-consume",
    version,
    override_usage = "amqp-consume [OPTIONS]... COMMAND [ARGS]...",
    after_help = EXAMPLES
)]
pub struct Consume {
    /// Queue to consume from [default: a new one, named by the broker]
    #[arg(short, long, value_name = "NAME", help_heading = QUEUE)]
    queue: Option<String>,

    /// Declare the queue and bind it to this exchange
    #[arg(short, long, value_name = "NAME", help_heading = QUEUE)]
    exchange: Option<String>,

    /// Routing keys to bind with, separated by commas
    #[arg(short, long, value_name = "KEYS", help_heading = QUEUE)]
    routing_key: Option<String>,

    /// Declare the queue; the broker deletes it with its last consumer
    #[arg(short, long, help_heading = QUEUE)]
    declare: bool,

    /// Declare the queue for this connection only
    #[arg(short = 'x', long, help_heading = QUEUE)]
    exclusive: bool,

    /// Argument of the consumer, such as x-priority=5; integers, true and false have their type; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_typed, action = ArgAction::Append, help_heading = QUEUE)]
    consumer_argument: Vec<(String, HeaderValue)>,

    /// Where to begin in a stream: first, last, next, a message's number, a time (2026-01-31T12:00:00Z), or a duration (10m = from ten minutes ago)
    #[arg(long, value_name = "OFFSET", value_parser = OffsetParser, hide_possible_values = true, help_heading = QUEUE)]
    offset: Option<StreamOffset>,

    /// Be the only consumer of the queue; a quorum queue does not see to that
    #[arg(long, help_heading = QUEUE)]
    exclusive_consumer: bool,

    /// Acknowledge each message before its command runs; a failure loses it
    #[arg(short = 'A', long, help_heading = WORK)]
    no_ack: bool,

    /// End after N messages, with the first failed command's status [default: no limit]
    #[arg(short, long, value_name = "N", value_parser = parse_integer, help_heading = WORK)]
    count: Option<i64>,

    /// Prefetch limit (0 = 65535) [default: --jobs, times --batch; with --json 100]; with --coprocess, how many messages a child may have unanswered [default: 1]
    #[arg(short, long, value_name = "N", value_parser = parse_integer, help_heading = WORK)]
    prefetch_count: Option<i64>,

    /// Number of commands to run at once
    #[arg(short, long, value_name = "N", default_value_t = NonZeroUsize::MIN, help_heading = WORK)]
    jobs: NonZeroUsize,

    /// Without COMMAND: write each message as a line of JSON, then acknowledge it
    #[arg(long, conflicts_with_all = ["command", "jobs", "stdin", "hide_url", "joblog", "timeout", "retries", "no_ack"], help_heading = WORK)]
    json: bool,

    /// With --json: write also a message that JSON cannot hold all of (see amqp-tools(7))
    #[arg(long, requires = "json", help_heading = WORK)]
    lossy: bool,

    /// Kind of standard input for the command: pipe, or file (seekable) [default: pipe]
    #[arg(long, value_name = "KIND", value_parser = stdin_parser(), hide_possible_values = true, help_heading = WORK)]
    stdin: Option<Stdin>,

    /// Keep the URL in the environment, which may hold a password, from the command
    #[arg(long, help_heading = WORK)]
    hide_url: bool,

    /// Say nothing on standard error about failed commands
    #[arg(long, help_heading = WORK)]
    quiet: bool,

    /// Append a line about each command to FILE
    #[arg(long, value_name = "FILE", help_heading = WORK)]
    joblog: Option<PathBuf>,

    /// Format of the job log: tsv, or json (with what became of the message) [default: tsv]
    #[arg(long, value_name = "FORMAT", value_parser = joblog_format_parser(), hide_possible_values = true, requires = "joblog", help_heading = WORK)]
    joblog_format: Option<JoblogFormat>,

    /// Exit status if the tool itself fails: the broker, the connection, the machine [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..), help_heading = WORK)]
    error_status: Option<u8>,

    /// End a command after this time (SIGTERM, SIGKILL 5s later); it has failed with status 124
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = TIME)]
    timeout: Option<Duration>,

    /// End when no message came for this time and nothing runs (0s = when none is ready)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = TIME)]
    idle_timeout: Option<Duration>,

    /// Exit status if --idle-timeout or --max-time ends a run without any message [default: 0]
    #[arg(long, value_name = "N", help_heading = TIME)]
    idle_status: Option<u8>,

    /// Take no more messages after this time, and end as with --idle-timeout
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = TIME)]
    max_time: Option<Duration>,

    /// Start no more commands than that: 10, 10/s, 5/m, 100/h
    #[arg(long, value_name = "N[/s|/m|/h]", value_parser = parse_rate, conflicts_with = "json", help_heading = TIME)]
    rate: Option<Duration>,

    /// Time that running commands have after SIGTERM or SIGINT [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = TIME)]
    grace: Option<Duration>,

    #[command(flatten)]
    several: SeveralArgs,

    #[command(flatten)]
    failure: FailureArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    monitoring: MonitoringArgs,

    /// Command and its arguments; options of amqp-consume come before it
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The kinds of standard input, by name.
fn stdin_parser() -> impl TypedValueParser<Value = Stdin> {
    PossibleValuesParser::new(["pipe", "file"]).map(|name| match &*name {
        "file" => Stdin::File,
        _ => Stdin::Pipe,
    })
}

/// The formats of the job log, by name.
fn joblog_format_parser() -> impl TypedValueParser<Value = JoblogFormat> {
    PossibleValuesParser::new(["tsv", "json"]).map(|name| match &*name {
        "json" => JoblogFormat::Json,
        _ => JoblogFormat::Tsv,
    })
}

impl Tool for Consume {
    fn command() -> Command {
        <Consume as CommandFactory>::command()
    }

    fn run(self) -> anyhow::Result<Status> {
        let (command, error_status) = (self.command.clone(), self.error_status());
        let (options, connection) = self.options()?;
        let connect = connection.options("amqp-consume");
        let result = connect.and_then(|connect| consume::consume(&connect, options));
        let hint = match (&result, command.split_first()) {
            (Ok(status), Some((program, _))) => way_out::for_failed_start(*status, program),
            (Err(error), Some((_, arguments))) => {
                way_out::for_lost_option(&error.to_string(), arguments)
            }
            (_, None) => None,
        };
        let status = match result {
            Ok(status) => status,
            Err(error) if error.is::<UsageError>() => return Err(error),
            Err(error) => {
                complain(&reason::chain(&error));
                error_status
            }
        };
        if let Some(hint) = hint {
            say(&hint);
        }
        Ok(status)
    }
}

impl Consume {
    fn options(self) -> Result<(ConsumeOptions, ConnectionArgs), UsageError> {
        let source = self.source()?;
        let limit = self.limit();
        self.several.check()?;
        let prefetch = self.prefetch(limit)?;
        let acknowledgement = self.acknowledgement()?;
        self.failure.check_against_queue(self.queue.as_deref())?;
        if self.idle_status.is_some() && self.idle_timeout.is_none() && self.max_time.is_none() {
            return Err(UsageError(
                "--idle-status needs --idle-timeout or --max-time".to_owned(),
            ));
        }
        let failure = self.failure.policy()?;
        self.check_stream(&source, &failure)?;
        let options = ConsumeOptions {
            source,
            subscription: SubscribeOptions {
                exclusive: self.exclusive_consumer,
                arguments: self.consumer_argument.iter().cloned().collect(),
            },
            offset: self.offset,
            work: self.work()?,
            limit,
            prefetch,
            acknowledgement,
            failure,
            publishing: self.output.publishing()?,
            tags: self.output.tags(),
            idle_timeout: self.idle_timeout,
            max_time: self.max_time,
            status_if_unused: Status::exited(self.idle_status.unwrap_or(0)),
            error_status: self.error_status(),
            pace: self.rate,
            grace: self.grace,
            quiet: self.quiet,
            joblog: self.joblog.map(|path| JoblogFile {
                path,
                format: self.joblog_format.unwrap_or_default(),
            }),
            status_address: self.monitoring.status_address,
        };
        Ok((options, self.connection))
    }

    /// As in amqp-tools: a queue must exist if only its name is given; otherwise it is declared.
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

    /// With `--offset`, refuses what is not for streams.
    fn check_stream(
        &self,
        source: &SourceQueue,
        failure: &FailurePolicy,
    ) -> Result<(), UsageError> {
        if self.offset.is_none() {
            return Ok(());
        }
        if matches!(source, SourceQueue::Declared { .. }) {
            return Err(UsageError(
                "--offset is for a stream that exists: give its name with --queue, without --exchange, --declare and --exclusive"
                    .to_owned(),
            ));
        }
        let mut arguments = self.consumer_argument.iter();
        if arguments.any(|(name, _)| name == STREAM_OFFSET) {
            return Err(exclusive(
                &format!("--consumer-argument {STREAM_OFFSET}"),
                "--offset",
            ));
        }
        let early = self.no_ack.then(|| "--no-ack".to_owned());
        match early.or(failure.unfit_for_streams()) {
            None => Ok(()),
            Some(misfit) => Err(UsageError(format!(
                "{misfit} and --offset cannot be used at the same time: nothing can be given back to a stream"
            ))),
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
                source: exchange.clone(),
                routing_key: routing_key.to_owned(),
                ..Binding::default()
            })
            .collect()
    }

    /// The exit status if the tool itself fails.
    fn error_status(&self) -> Status {
        self.error_status.map_or(Status::FAILURE, Status::exited)
    }

    fn work(&self) -> Result<Work, UsageError> {
        if self.json {
            let tag = self.output.tags().then_some("--tag");
            let flag = self.failure.first_given().or(self.output.first_given());
            return match flag.or(tag) {
                None => Ok(Work::Print { lossy: self.lossy }),
                Some(flag) => Err(exclusive(flag, "--json")),
            };
        }
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(UsageError(
                "consuming command not specified\n\
                 (without one, --json prints messages, and amqp-get takes single ones)"
                    .to_owned(),
            ));
        };
        let (retries, retry_delay) = self.failure.retries();
        Ok(Work::Command(Arc::new(CommandWork {
            program: program.clone(),
            arguments: arguments.to_vec(),
            stdin: self.stdin.unwrap_or_default(),
            hides_url: self.hide_url,
            jobs: self.jobs,
            timeout: self.timeout,
            retries,
            retry_delay,
            form: self.several.form(self.unanswered()),
            framing: self.several.framing(),
        })))
    }

    /// The limit; a negative count is none.
    fn limit(&self) -> Option<u64> {
        self.count.and_then(|count| u64::try_from(count).ok())
    }

    /// The prefetch limit. The default is the number of jobs, so that no worker holds messages that an idle one could handle, and never
    /// more than the count.
    fn prefetch(&self, limit: Option<u64>) -> Result<NonZeroU16, UsageError> {
        let jobs = u16::try_from(self.jobs.get()).unwrap_or(u16::MAX);
        let at_once = jobs.saturating_mul(self.several.batch_size());
        let asked = match self.prefetch_count {
            _ if self.several.prefetch_is_for_each_job() => {
                jobs.saturating_mul(self.unanswered().get())
            }
            Some(count) => prefetch_count(count).get(),
            None if self.json => PRINT_AHEAD,
            None => at_once,
        };
        if self.several.batch_size() > 1 && asked < at_once {
            return Err(UsageError(format!(
                "--prefetch-count {asked} is too few for --batch: {at_once} messages are worked on at once"
            )));
        }
        let useful = limit.map_or(asked, |limit| {
            u16::try_from(limit).map_or(asked, |limit| asked.min(limit))
        });
        Ok(NonZeroU16::new(useful).unwrap_or(NonZeroU16::MIN))
    }

    /// How many messages a child may have unanswered.
    fn unanswered(&self) -> NonZeroU16 {
        self.prefetch_count.map_or(NonZeroU16::MIN, prefetch_count)
    }

    fn acknowledgement(&self) -> Result<Acknowledgement, UsageError> {
        let flag = self.failure.first_given().or(self.output.first_given());
        match (self.no_ack, flag) {
            (false, _) => Ok(Acknowledgement::AfterCommand),
            (true, None) => Ok(Acknowledgement::OnArrival),
            (true, Some(flag)) => Err(exclusive(flag, "--no-ack")),
        }
    }
}

/// As in amqp-tools, 0 and numbers that do not fit mean no limit; that is 65535 here.
fn prefetch_count(count: i64) -> NonZeroU16 {
    let count = u16::try_from(count).ok();
    count.and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MAX)
}

fn exclusive(one: &str, other: &str) -> UsageError {
    UsageError(format!("{one} and {other} cannot be used at the same time"))
}

//! Command lines become validated options, and results become exit statuses. This is the only module that names clap, prints errors,
//! and decides what a usage error is.
//!
//! * `consume`, `publish`, `get`, `declare_queue`, `delete_queue`, `declare_exchange`, `delete_exchange`, `transfer` (amqp-move),
//!   `call`: one tool each.
//! * `connection`, `url`, `tls`, `authfile`, `environment`: the options that all tools share: which broker, and as which user.
//! * `output`: amqp-consume's options for what commands write.
//! * `failure`: amqp-consume's options for failed messages.
//! * `several`: amqp-consume's options for commands that get several messages.
//! * `offset`: where the reading of a stream begins.
//! * `monitoring`: the options for those who operate a tool.
//! * `properties`: amqp-publish's options for a message's properties.
//! * `bindings`: the options for bindings, of queues and of exchanges.
//! * `typed`, `duration`, `rate`, `number`: values with a type, durations, rates, and numbers as amqp-tools takes them.
//! * `scan`, `way_out`: what a refused command line holds, and the hint that its error gets.
//! * `usage`: parsing as lenient as popt's, usage errors, and `--usage`.

// Public for the fuzzer alone, as is `url`.
#[doc(hidden)]
pub mod authfile;
mod bindings;
mod call;
mod connection;
mod consume;
mod declare_exchange;
mod declare_queue;
mod delete_exchange;
mod delete_queue;
mod duration;
mod environment;
mod failure;
mod get;
mod monitoring;
mod number;
mod offset;
mod output;
mod properties;
mod publish;
mod rate;
mod scan;
mod several;
mod tls;
mod transfer;
mod typed;
#[doc(hidden)]
pub mod url;
mod usage;
mod way_out;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Command, FromArgMatches};

use crate::reason;
use crate::status::Status;
use crate::system::closed;
use crate::system::stderr::{self, complain, say, warn};

pub use call::Call;
pub use consume::Consume;
pub use declare_exchange::DeclareExchange;
pub use declare_queue::DeclareQueue;
pub use delete_exchange::DeleteExchange;
pub use delete_queue::DeleteQueue;
pub use get::Get;
pub use publish::Publish;
pub use transfer::Move;

/// How long a tool waits at its end until its standard error is read.
const PATIENCE: Duration = Duration::from_secs(1);

/// One of the tools: its options, and what it does.
pub trait Tool: FromArgMatches {
    /// The definition of its command line.
    fn command() -> Command;

    /// Validates the options and does the work.
    fn run(self) -> anyhow::Result<Status>;
}

/// A wrong command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A tool's command line as it is parsed. Help, man page and completions are made from it.
#[must_use]
pub fn command_line<T: Tool>() -> Command {
    usage::lenient(T::command())
}

/// The main function of a tool: parses the command line, does the work, and prints errors.
pub fn main<T: Tool>(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let status = try_main::<T>(arguments);
    stderr::finish(PATIENCE);
    status
}

fn try_main<T: Tool>(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if usage::asks_for_json_log(command_line::<T>, &arguments) {
        stderr::speak_json();
    }
    match command_line::<T>().try_get_matches_from(&arguments) {
        Ok(matches) if matches.get_flag("usage") => print(&usage::brief(command_line::<T>())),
        Ok(matches) => match T::from_arg_matches(&matches) {
            Ok(tool) => report::<T>(tool.run()),
            Err(error) => {
                usage_error::<T>(&usage::describe(&error, command_line::<T>(), &arguments))
            }
        },
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print(&error.to_string()),
            _ => refuse::<T>(&error, &arguments),
        },
    }
}

/// A command line that clap does not take. A text that it asks for is printed, whatever else is wrong.
fn refuse<T: Tool>(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    match usage::text_asked_for(command_line::<T>(), arguments) {
        Some(option) => try_main::<T>([OsString::from("tool"), option.into()]),
        None => usage_error::<T>(&usage::describe(error, command_line::<T>(), arguments)),
    }
}

fn report<T: Tool>(result: anyhow::Result<Status>) -> ExitCode {
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            if let Some(UsageError(message)) = error.downcast_ref() {
                return usage_error::<T>(message);
            }
            complain(&reason::chain(&error));
            Status::FAILURE.into()
        }
    }
}

fn usage_error<T: Tool>(message: &str) -> ExitCode {
    complain(message);
    say(&usage::hint(command_line::<T>()));
    Status::FAILURE.into()
}

/// Prints a text to standard output. If that fails, so does the tool.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    match closed::ensure_stdout_open()
        .and_then(|()| stdout.write_all(text.as_bytes()))
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Status::SUCCESS.into(),
        Err(error) => {
            complain(&format!(
                "writing to standard output: {}",
                reason::reason(&error)
            ));
            Status::FAILURE.into()
        }
    }
}

//! From the command line to validated options, and from a result to the exit status: the only room that knows clap,
//! prints errors and decides what a usage error is.

mod authfile;
mod connection;
mod consume;
mod declare_queue;
mod delete_queue;
mod duration;
mod failure;
mod get;
mod properties;
mod publish;
mod tls;
mod usage;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Command, FromArgMatches};

use crate::reason;
use crate::status::Status;
use crate::system::stderr::{self, say as complain};
use crate::system::stdout;

pub use consume::Consume;
pub use declare_queue::DeclareQueue;
pub use delete_queue::DeleteQueue;
pub use get::Get;
pub use publish::Publish;

/// How long a tool waits at its end for whoever reads its standard error.
const PATIENCE: Duration = Duration::from_secs(1);

/// One of the five tools: its flags, and what it does with them.
pub trait Tool: FromArgMatches {
    /// The definition of its command line, that help, man page and completions are made from.
    fn command() -> Command;

    /// Validates what was given and does it.
    fn run(self) -> anyhow::Result<Status>;
}

/// A command line that asks for nothing that can be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A tool's command line as it is read: what man page and completions are made from.
#[must_use]
pub fn command_line<T: Tool>() -> Command {
    usage::lenient(T::command())
}

/// The whole life of a tool: reads the command line, does the work, prints what went wrong.
pub fn main<T: Tool>(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let status = try_main::<T>(arguments);
    stderr::finish(PATIENCE);
    status
}

fn try_main<T: Tool>(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match command_line::<T>().try_get_matches_from(arguments) {
        Ok(matches) if matches.get_flag("usage") => print(&usage::brief(command_line::<T>())),
        Ok(matches) => match T::from_arg_matches(&matches) {
            Ok(tool) => report::<T>(tool.run()),
            Err(error) => usage_error::<T>(&usage::describe(&error)),
        },
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print(&error.to_string()),
            _ => usage_error::<T>(&usage::describe(&error)),
        },
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
    complain(&usage::hint(command_line::<T>()));
    Status::FAILURE.into()
}

/// Prints a text that was asked for. If it cannot be written, that is a failure.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    match stdout::ensure_open()
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

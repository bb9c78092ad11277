//! amqp-declare-queue and amqp-delete-queue: what they do to each queue, and what they print.

use std::io::{self, Write};

use anyhow::Context;

use crate::broker::{
    self, ConnectOptions, DeleteConditions, QueueDeclaration, QueueState, Session,
};
use crate::status::Status;
use crate::system::signals::end_at_signals;
use crate::system::stdout::{self, Format};

/// The options of amqp-declare-queue.
#[derive(Clone, Debug)]
pub struct DeclareOptions {
    /// The queues' names, each once; the broker names one that is empty.
    pub names: Vec<String>,
    /// The declaration of each, without its name; `None`: the queues are only checked.
    pub create: Option<QueueDeclaration>,
    /// The bindings of each.
    pub bindings: Vec<Binding>,
    /// How to print the result.
    pub format: Format,
}

/// A binding of a queue to an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The exchange's name.
    pub exchange: String,
    /// The routing key, empty for none.
    pub routing_key: String,
}

/// Declares the queues and prints their names.
pub fn declare(connect: &ConnectOptions, options: &DeclareOptions) -> anyhow::Result<Status> {
    stdout::ensure_open().context("standard output")?;
    end_at_signals().context("taking note of signals")?;
    let (session, mut first) = open_declaring_first(connect, options)?;
    for name in &options.names {
        let state = match first.take() {
            Some(state) => state,
            None => declare_one(&session, name, options.create.as_ref())?,
        };
        for binding in &options.bindings {
            session.bind_queue(&state.name, &binding.exchange, &binding.routing_key)?;
        }
        print_line(&match options.format {
            Format::Text => state.name,
            Format::Json => serde_json::json!({
                "queue": state.name,
                "messages": state.messages,
                "consumers": state.consumers,
            })
            .to_string(),
        })?;
    }
    session.close()?;
    Ok(Status::SUCCESS)
}

/// A session, and the state of the first queue if it was created: its declaration is sent together with connecting.
fn open_declaring_first(
    connect: &ConnectOptions,
    options: &DeclareOptions,
) -> broker::Result<(Session, Option<QueueState>)> {
    match (&options.create, options.names.first()) {
        (Some(queue), Some(name)) => {
            let (session, state) = Session::open_declaring(connect, &named(queue, name))?;
            Ok((session, Some(state)))
        }
        _ => Ok((Session::open(connect)?, None)),
    }
}

fn declare_one(
    session: &Session,
    name: &str,
    create: Option<&QueueDeclaration>,
) -> broker::Result<QueueState> {
    match create {
        None => session.look_at_queue(name),
        Some(queue) => session.declare_queue(&named(queue, name)),
    }
}

fn named(queue: &QueueDeclaration, name: &str) -> QueueDeclaration {
    QueueDeclaration {
        name: name.to_owned(),
        ..queue.clone()
    }
}

/// The options of amqp-delete-queue.
#[derive(Clone, Debug)]
pub struct DeleteOptions {
    /// The queues' names, each once.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: DeleteAction,
    /// How to print the result.
    pub format: Format,
}

/// What happens to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteAction {
    /// It is deleted, if the conditions hold.
    Delete(DeleteConditions),
    /// It is purged, and not deleted.
    Purge,
}

/// Deletes or purges the queues and prints how many messages were in each.
pub fn delete(connect: &ConnectOptions, options: &DeleteOptions) -> anyhow::Result<Status> {
    stdout::ensure_open().context("standard output")?;
    end_at_signals().context("taking note of signals")?;
    let session = Session::open(connect)?;
    for name in &options.names {
        let messages = match options.action {
            DeleteAction::Delete(conditions) => session.delete_queue(name, conditions)?,
            DeleteAction::Purge => session.purge_queue(name)?,
        };
        print_line(&match options.format {
            Format::Text => messages.to_string(),
            Format::Json => serde_json::json!({ "queue": name, "messages": messages }).to_string(),
        })?;
    }
    session.close()?;
    Ok(Status::SUCCESS)
}

/// Prints at once, so that the result is known even if the next queue fails.
fn print_line(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("writing to standard output")
}

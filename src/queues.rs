//! amqp-declare-queue and amqp-delete-queue: what is done to each queue named, and what is printed about it.

use std::io::{self, Write};

use anyhow::Context;

use crate::broker::{
    self, ConnectOptions, DeleteConditions, QueueDeclaration, QueueState, Session,
};
use crate::message::Headers;
use crate::status::Status;
use crate::system::signals::end_at_signals;
use crate::system::stdout;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As amqp-tools prints them.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What amqp-declare-queue was asked for.
#[derive(Clone, Debug)]
pub struct DeclareOptions {
    /// The queues' names, each once; an empty one is named by the broker.
    pub names: Vec<String>,
    /// Whether they are created or only looked at.
    pub mode: DeclareMode,
    /// What each is bound to.
    pub bindings: Vec<Binding>,
    /// How to print the result.
    pub format: Format,
}

/// Whether queues are created.
#[derive(Clone, Debug)]
pub enum DeclareMode {
    /// Created where they don't stand yet.
    Create(QueueTraits),
    /// Looked at, not created.
    LookOnly,
}

/// What all queues of one call have in common.
#[derive(Clone, Debug, Default)]
pub struct QueueTraits {
    /// Survive a restart of the broker.
    pub durable: bool,
    /// End with their last consumer.
    pub auto_delete: bool,
    /// `x-queue-type` and so on.
    pub arguments: Headers,
}

impl QueueTraits {
    fn declaration(&self, name: &str) -> QueueDeclaration {
        QueueDeclaration {
            name: name.to_owned(),
            durable: self.durable,
            exclusive: false,
            auto_delete: self.auto_delete,
            arguments: self.arguments.clone(),
        }
    }
}

/// An exchange that a queue gets messages from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The exchange's name.
    pub exchange: String,
    /// The routing key, empty for none.
    pub routing_key: String,
}

/// Declares the queues and prints their names as the broker confirms them.
pub fn declare(connect: &ConnectOptions, options: &DeclareOptions) -> anyhow::Result<Status> {
    stdout::ensure_open().context("standard output")?;
    end_at_signals().context("taking note of signals")?;
    let (session, mut first) = open_declaring_first(connect, options)?;
    for name in &options.names {
        let state = match first.take() {
            Some(state) => state,
            None => declare_one(&session, name, &options.mode)?,
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

/// A session, and what has become of the first queue if it is to be created.
fn open_declaring_first(
    connect: &ConnectOptions,
    options: &DeclareOptions,
) -> broker::Result<(Session, Option<QueueState>)> {
    match (&options.mode, options.names.first()) {
        (DeclareMode::Create(traits), Some(name)) => {
            let (session, state) = Session::open_declaring(connect, &traits.declaration(name))?;
            Ok((session, Some(state)))
        }
        _ => Ok((Session::open(connect)?, None)),
    }
}

fn declare_one(session: &Session, name: &str, mode: &DeclareMode) -> broker::Result<QueueState> {
    match mode {
        DeclareMode::LookOnly => session.look_at_queue(name),
        DeclareMode::Create(traits) => session.declare_queue(&traits.declaration(name)),
    }
}

/// What amqp-delete-queue was asked for.
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
    /// It is deleted, if it is as the conditions say.
    Delete(DeleteConditions),
    /// It is emptied, and stays.
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

/// Prints at once, so that what was done is known even if the next queue fails.
fn print_line(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("writing to standard output")
}

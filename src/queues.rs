//! amqp-declare-queue and amqp-delete-queue: what is done to each queue named, and what is printed about it.

use std::io::{self, Write};

use anyhow::Context;

use crate::broker::{ConnectOptions, DeleteConditions, QueueDeclaration, QueueState, Session};
use crate::message::Headers;
use crate::status::Status;

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
    let session = Session::open(connect)?;
    for name in &options.names {
        let state = declare_one(&session, name, options)?;
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

fn declare_one(
    session: &Session,
    name: &str,
    options: &DeclareOptions,
) -> anyhow::Result<QueueState> {
    let state = match &options.mode {
        DeclareMode::LookOnly => session.look_at_queue(name)?,
        DeclareMode::Create(traits) => session.declare_queue(&QueueDeclaration {
            name: name.to_owned(),
            durable: traits.durable,
            exclusive: false,
            auto_delete: traits.auto_delete,
            arguments: traits.arguments.clone(),
        })?,
    };
    for binding in &options.bindings {
        session.bind_queue(&state.name, &binding.exchange, &binding.routing_key)?;
    }
    Ok(state)
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

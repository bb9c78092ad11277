//! amqp-declare-queue and amqp-delete-queue: what they do to each queue, and what they print.

use anyhow::{Context, bail};

use crate::bindings::Bindings;
use crate::broker::{
    self, ConnectOptions, DeleteConditions, Destination, QueueDeclaration, QueueState, Session,
};
use crate::status::Status;
use crate::streams;
use crate::system::closed;
use crate::system::signals::end_at_signals;
use crate::system::stdout::{Format, print_line};

/// The options of amqp-declare-queue.
#[derive(Clone, Debug)]
pub struct DeclareOptions {
    /// The queues' names, each once; the broker names one that is empty.
    pub names: Vec<String>,
    /// The declaration of each, without its name; `None`: the queues are only checked.
    pub create: Option<QueueDeclaration>,
    /// The bindings of each.
    pub bindings: Bindings,
    /// How to print the result.
    pub format: Format,
}

/// Declares the queues and prints their names.
pub fn declare(connect: &ConnectOptions, options: &DeclareOptions) -> anyhow::Result<Status> {
    closed::ensure_stdout_open().context("standard output")?;
    end_at_signals().context("taking note of signals")?;
    let explained = |error| explain(error, options.create.as_ref());
    let (mut session, mut first) = open_declaring_first(connect, options).map_err(explained)?;
    for name in &options.names {
        let state = match first.take() {
            Some(state) => state,
            None => declare_one(&session, name, options.create.as_ref()).map_err(explained)?,
        };
        options
            .bindings
            .apply(&session, Destination::Queue(&state.name))?;
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
    options.bindings.warn_of_match_all(&mut session);
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

/// The error. Where the broker refuses queues that are neither durable nor exclusive, as `RabbitMQ` does from 4.3 on
/// (<https://www.rabbitmq.com/docs/queues#durability>), it names the option to add.
fn explain(error: broker::Error, create: Option<&QueueDeclaration>) -> anyhow::Error {
    const FEATURE: &str = "transient_nonexcl_queues";
    let is_transient = create.is_some_and(|queue| !queue.durable);
    match &error {
        broker::Error::Refused { text, .. } if is_transient && text.contains(FEATURE) => {
            anyhow::anyhow!("{error}; this broker takes durable queues alone: add -d")
        }
        _ => error.into(),
    }
}

/// The broker deletes a stream whether it is empty or not (<https://www.rabbitmq.com/docs/streams>). A connection of its own
/// asks, since an answer may end its channel.
fn is_stream_with_messages(connect: &ConnectOptions, name: &str) -> anyhow::Result<bool> {
    let session = Session::open(connect)?;
    let has_messages = match session.look_at_queue(name) {
        Ok(state) => state.messages > 0,
        Err(broker::Error::Refused { .. }) => false, // deleting it says why
        Err(error) => return Err(error.into()),
    };
    Ok(has_messages && session.is_stream(name)?)
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
    closed::ensure_stdout_open().context("standard output")?;
    end_at_signals().context("taking note of signals")?;
    let session = Session::open(connect)?;
    for name in &options.names {
        let messages = match options.action {
            DeleteAction::Delete(conditions) => {
                if conditions.if_empty && is_stream_with_messages(connect, name)? {
                    bail!(
                        "queue.delete: queue '{name}' is a stream and not empty, and the broker deletes streams that are not; it was not asked"
                    );
                }
                session.delete_queue(name, conditions)?
            }
            DeleteAction::Purge => session.purge_queue(name).map_err(|error| {
                streams::explain(
                    error.into(),
                    "a stream drops its messages by x-max-age or x-max-length-bytes, or when it is deleted",
                )
            })?,
        };
        print_line(&match options.format {
            Format::Text => messages.to_string(),
            Format::Json => serde_json::json!({ "queue": name, "messages": messages }).to_string(),
        })?;
    }
    session.close()?;
    Ok(Status::SUCCESS)
}

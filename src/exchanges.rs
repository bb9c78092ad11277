//! amqp-declare-exchange and amqp-delete-exchange: what is done to each exchange named.

use anyhow::Context;

use crate::bindings::Bindings;
use crate::broker::{ConnectOptions, Destination, ExchangeDeclaration, Session};
use crate::message::Headers;
use crate::status::Status;
use crate::system::closed;
use crate::system::signals::end_at_signals;
use crate::system::stdout::{Format, print_line};

/// What amqp-declare-exchange was asked for.
#[derive(Clone, Debug)]
pub struct DeclareOptions {
    /// The exchanges' names, each once.
    pub names: Vec<String>,
    /// Whether they are created or only looked at.
    pub mode: DeclareMode,
    /// What each is bound to.
    pub bindings: Bindings,
    /// How to print the result.
    pub format: Format,
}

/// Whether exchanges are created.
#[derive(Clone, Debug)]
pub enum DeclareMode {
    /// Created where they don't stand yet.
    Create(ExchangeTraits),
    /// Looked at, not created.
    LookOnly,
}

/// What all exchanges of one call have in common.
#[derive(Clone, Debug, Default)]
pub struct ExchangeTraits {
    /// `direct`, `fanout`, `topic`, `headers`, or a plugin's.
    pub kind: String,
    /// Survive a restart of the broker.
    pub durable: bool,
    /// End with their last binding.
    pub auto_delete: bool,
    /// Take nothing from publishers.
    pub internal: bool,
    /// `alternate-exchange` and so on.
    pub arguments: Headers,
}

impl ExchangeTraits {
    fn declaration(&self, name: &str) -> ExchangeDeclaration {
        ExchangeDeclaration {
            name: name.to_owned(),
            kind: self.kind.clone(),
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            arguments: self.arguments.clone(),
        }
    }
}

/// Declares the exchanges and prints their names as the broker confirms them.
pub fn declare(connect: &ConnectOptions, options: &DeclareOptions) -> anyhow::Result<Status> {
    closed::ensure_stdout_open().context("standard output")?;
    end_at_signals().context("taking note of signals")?;
    let mut session = Session::open(connect)?;
    for name in &options.names {
        match &options.mode {
            DeclareMode::Create(traits) => session.declare_exchange(&traits.declaration(name))?,
            DeclareMode::LookOnly => session.look_at_exchange(name)?,
        }
        options
            .bindings
            .apply(&session, Destination::Exchange(name))?;
        print_line(&match options.format {
            Format::Text => name.clone(),
            Format::Json => serde_json::json!({ "exchange": name }).to_string(),
        })?;
    }
    options.bindings.warn_of_match_all(&mut session);
    session.close()?;
    Ok(Status::SUCCESS)
}

/// What amqp-delete-exchange was asked for.
#[derive(Clone, Debug)]
pub struct DeleteOptions {
    /// The exchanges' names, each once.
    pub names: Vec<String>,
    /// Whether one that has bindings is kept.
    pub if_unused: bool,
}

/// Deletes the exchanges. One that does not exist is gone already.
pub fn delete(connect: &ConnectOptions, options: &DeleteOptions) -> anyhow::Result<Status> {
    end_at_signals().context("taking note of signals")?;
    let session = Session::open(connect)?;
    for name in &options.names {
        session.delete_exchange(name, options.if_unused)?;
    }
    session.close()?;
    Ok(Status::SUCCESS)
}

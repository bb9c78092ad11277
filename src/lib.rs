//! Command-line AMQP tools for shell scripts and worker containers.

pub mod broker;
pub mod cli;
pub mod console;
pub mod consume;
pub mod doorbell;
pub mod envelope;
pub mod get;
pub mod message;
pub mod publish;
pub mod queues;
pub mod reason;
pub mod signals;
pub mod status;
pub mod stdout;
mod termination;

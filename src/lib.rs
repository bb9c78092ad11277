//! Command-line AMQP tools for shell scripts and worker containers.
//!
//! Data flows one way:
//!
//! ```text
//! arguments ─► cli ─► options ─► core ◄─► driver ◄─► broker
//!                                  │
//!                                  ▼
//!                             exit status
//! ```
//!
//! A core (`consume::run`, `publish::run`, `transfer::run`) decides everything and has no I/O: it takes events and returns actions. Its driver
//! waits for signals, commands, input and the broker, makes events of what happens, and carries out the actions. The tools that
//! run once (`get`, `call`, `queues`) have neither: they call the broker in turn.
//!
//! * [`cli`]: command lines become validated options, and results become exit statuses. The only module that names clap.
//! * [`consume`]: amqp-consume runs a command for each message.
//! * [`publish`]: amqp-publish makes messages of its input and has them confirmed.
//! * [`transfer`]: amqp-move publishes copies of a queue's messages elsewhere and acknowledges the messages.
//! * [`call`]: amqp-call publishes a request and waits for its reply.
//! * [`get`]: amqp-get writes messages to standard output.
//! * [`queues`]: amqp-declare-queue and amqp-delete-queue; [`exchanges`]: amqp-declare-exchange and amqp-delete-exchange;
//!   [`bindings`]: what queues and exchanges are bound to.
//! * [`broker`]: everything that touches the network. The only module that names amiquip.
//! * [`message`]: a message and its properties.
//! * [`envelope`]: a message as a line of JSON.
//! * `streams`: what streams do not do.
//! * `breaks`: connections that break one after the other.
//! * [`status`]: the table of exit statuses.
//! * [`reason`]: errors in words.
//! * `monitoring`: the HTTP server of `--status-address`: probes and metrics.
//! * [`system`]: standard output and error, signals, and what wakes a thread.

pub mod bindings;
mod breaks;
pub mod broker;
pub mod call;
pub mod cli;
pub mod consume;
pub mod envelope;
pub mod exchanges;
pub mod get;
pub mod message;
mod monitoring;
pub mod publish;
pub mod queues;
pub mod reason;
pub mod status;
mod streams;
pub mod system;
pub mod transfer;

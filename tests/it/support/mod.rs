//! The tests' vocabulary: a [`Test`] runs commands, which end as they must, and looks at queues on the broker.

// A vocabulary may have words that no test needs today.
#![allow(dead_code, unused_imports)]

mod command;
mod inspector;
mod outcome;
mod proxy;
mod queue;
mod running;
mod terminal;
mod test;
mod wait;
mod words;

pub(crate) use command::Command;
pub(crate) use inspector::Message;
pub(crate) use outcome::{Ended, Finished};
pub(crate) use proxy::Proxy;
pub(crate) use queue::{Kind, Queue};
pub(crate) use running::Running;
pub(crate) use rustix::process::Signal;
pub(crate) use terminal::Terminal;
pub(crate) use test::{Test, Tools, broker_url};
pub(crate) use wait::{eventually, eventually_some, until};
pub(crate) use words::rabbitmqs;

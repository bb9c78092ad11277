//! Commands as processes.
//!
//! * `command`: a command is started, in a process group of its own.
//! * `environment`: the variables that it gets about its message.
//! * `headers_file`: headers that no variable can hold.
//! * `stdin`: the message's body as its standard input.
//! * `conversation`: the pipes to a command that gets several messages, and answers.
//! * `children`: running commands get signals, and ended ones are reaped.

pub(super) mod children;
pub(super) mod command;
pub(super) mod conversation;
pub(super) mod environment;
pub(super) mod headers_file;
mod stdin;

//! Commands as processes.
//!
//! * `command`: a command is started, in a process group of its own.
//! * `environment`: the variables that it gets about its message.
//! * `stdin`: the message's body as its standard input.
//! * `children`: running commands get signals, and ended ones are reaped.

pub(super) mod children;
pub(super) mod command;
pub(super) mod environment;
mod stdin;

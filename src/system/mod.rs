//! What the tools need of the operating system beyond the standard library.
//!
//! * `stdin`: whether there is a standard input.
//! * `stdout`: whether standard output is open, and the formats of results on it.
//! * `stderr`: lines on standard error, written by a thread.
//! * `signals`: ignored signals, and ending at a signal.
//! * `waker`: waking a thread that waits for files and signals.

pub(crate) mod signals;
pub(crate) mod stderr;
pub(crate) mod stdin;
pub mod stdout;
pub mod waker;

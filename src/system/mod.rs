//! What the tools need of the operating system beyond the standard library.
//!
//! * `closed`: whether standard input and output were closed at the start.
//! * `stdout`: the formats of results on standard output.
//! * `stderr`: lines on standard error, written by a thread.
//! * `signals`: ignored signals, and ending at a signal.
//! * `waker`: waking a thread that waits for files and signals.

pub(crate) mod closed;
pub(crate) mod signals;
pub(crate) mod stderr;
pub mod stdout;
pub mod waker;

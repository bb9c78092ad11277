//! What the tools need of the operating system, and the standard library does not do.
//!
//! * `stdout`: whether there is a standard output, and in which format it is written.
//! * `stderr`: lines on standard error, written by a thread.
//! * `signals`: which signals are ignored; ending at a signal.
//! * `waker`: waking a thread that waits for files and signals.

pub(crate) mod signals;
pub(crate) mod stderr;
pub mod stdout;
pub mod waker;

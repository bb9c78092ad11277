//! amqp-call: see [`amqp_tools::cli::Call`].

use std::process::ExitCode;

use amqp_tools::cli::{self, Call};

fn main() -> ExitCode {
    cli::main::<Call>(std::env::args_os())
}

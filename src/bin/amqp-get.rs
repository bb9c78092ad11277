//! amqp-get: see [`amqp_tools::cli::Get`].

use std::process::ExitCode;

use amqp_tools::cli::{self, Get};

fn main() -> ExitCode {
    cli::main::<Get>(std::env::args_os())
}

//! amqp-consume: see [`amqp_tools::cli::Consume`].

use std::process::ExitCode;

use amqp_tools::cli::{self, Consume};

fn main() -> ExitCode {
    cli::main::<Consume>(std::env::args_os())
}

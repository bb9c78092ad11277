//! amqp-delete-exchange: see [`amqp_tools::cli::DeleteExchange`].

use std::process::ExitCode;

use amqp_tools::cli::{self, DeleteExchange};

fn main() -> ExitCode {
    cli::main::<DeleteExchange>(std::env::args_os())
}

//! amqp-delete-queue: see [`amqp_tools::cli::DeleteQueue`].

use std::process::ExitCode;

use amqp_tools::cli::{self, DeleteQueue};

fn main() -> ExitCode {
    cli::main::<DeleteQueue>(std::env::args_os())
}

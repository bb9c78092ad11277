//! amqp-declare-queue: see [`amqp_tools::cli::DeclareQueue`].

use std::process::ExitCode;

use amqp_tools::cli::{self, DeclareQueue};

fn main() -> ExitCode {
    cli::main::<DeclareQueue>(std::env::args_os())
}

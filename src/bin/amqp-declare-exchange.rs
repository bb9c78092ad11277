//! amqp-declare-exchange: see [`amqp_tools::cli::DeclareExchange`].

use std::process::ExitCode;

use amqp_tools::cli::{self, DeclareExchange};

fn main() -> ExitCode {
    cli::main::<DeclareExchange>(std::env::args_os())
}

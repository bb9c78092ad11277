//! amqp-move: see [`amqp_tools::cli::Move`].

use std::process::ExitCode;

use amqp_tools::cli::{self, Move};

fn main() -> ExitCode {
    cli::main::<Move>(std::env::args_os())
}

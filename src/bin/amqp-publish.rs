//! amqp-publish: see [`amqp_tools::cli::Publish`].

use std::process::ExitCode;

use amqp_tools::cli::{self, Publish};

fn main() -> ExitCode {
    cli::main::<Publish>(std::env::args_os())
}

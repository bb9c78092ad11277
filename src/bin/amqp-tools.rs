//! All five tools in one binary, each by the name that the binary is called by: for images and packages, where it saves
//! four copies of what the tools share.

use std::env::args_os;
use std::path::Path;
use std::process::ExitCode;

use amqp_tools::cli::{self, Consume, DeclareQueue, DeleteQueue, Get, Publish};

fn main() -> ExitCode {
    let own_name = args_os().next().unwrap_or_default();
    match Path::new(&own_name)
        .file_name()
        .and_then(|name| name.to_str())
    {
        Some("amqp-consume") => cli::main::<Consume>(args_os()),
        Some("amqp-declare-queue") => cli::main::<DeclareQueue>(args_os()),
        Some("amqp-delete-queue") => cli::main::<DeleteQueue>(args_os()),
        Some("amqp-get") => cli::main::<Get>(args_os()),
        Some("amqp-publish") => cli::main::<Publish>(args_os()),
        _ => {
            eprintln!("amqp-tools: to be called as one of the tools, by a link of its name");
            ExitCode::FAILURE
        }
    }
}

//! All tools in one binary, which runs the tool that it is called as. For images and packages, where it is smaller than one binary per
//! tool.

use std::env::args_os;
use std::path::Path;
use std::process::ExitCode;

use amqp_tools::cli::{
    self, Call, Consume, DeclareExchange, DeclareQueue, DeleteExchange, DeleteQueue, Get, Move,
    Publish,
};

fn main() -> ExitCode {
    let own_name = args_os().next().unwrap_or_default();
    match Path::new(&own_name)
        .file_name()
        .and_then(|name| name.to_str())
    {
        Some("amqp-call") => cli::main::<Call>(args_os()),
        Some("amqp-consume") => cli::main::<Consume>(args_os()),
        Some("amqp-declare-exchange") => cli::main::<DeclareExchange>(args_os()),
        Some("amqp-declare-queue") => cli::main::<DeclareQueue>(args_os()),
        Some("amqp-delete-exchange") => cli::main::<DeleteExchange>(args_os()),
        Some("amqp-delete-queue") => cli::main::<DeleteQueue>(args_os()),
        Some("amqp-get") => cli::main::<Get>(args_os()),
        Some("amqp-move") => cli::main::<Move>(args_os()),
        Some("amqp-publish") => cli::main::<Publish>(args_os()),
        _ => {
            eprintln!("amqp-tools: to be called as one of the tools, by a link of its name");
            ExitCode::FAILURE
        }
    }
}

//! The tools, as clap knows them: what pages and scripts are generated from.

use amqp_tools::cli;
use clap::Command;

/// Every tool's command line, in alphabetical order.
pub(crate) fn all() -> Vec<Command> {
    vec![
        cli::command_line::<cli::Call>(),
        cli::command_line::<cli::Consume>(),
        cli::command_line::<cli::DeclareExchange>(),
        cli::command_line::<cli::DeclareQueue>(),
        cli::command_line::<cli::DeleteExchange>(),
        cli::command_line::<cli::DeleteQueue>(),
        cli::command_line::<cli::Get>(),
        cli::command_line::<cli::Move>(),
        cli::command_line::<cli::Publish>(),
    ]
}

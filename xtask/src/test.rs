//! `cargo xtask test`: all tests, with what they need on this machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::install;

/// Installs what is missing and runs `cargo test`; more arguments are for that.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    install::rabbitmq()?;
    install::reference_tools()?;
    let status = cargo(root)
        .args(["test", "--workspace", "--locked"])
        .args(arguments)
        .status()?;
    ensure!(status.success(), "tests failed ({status})");
    Ok(())
}

/// The cargo that runs this.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(root);
    command
}

//! `cargo xtask simulate [ARGUMENT]...`: builds the simulator for speed, with its checks, and runs it.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::test::cargo;

/// Passes the arguments to the simulator.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let status = cargo(root)
        .args([
            "run",
            "--quiet",
            "--profile",
            "simulation",
            "--package",
            "simulator",
            "--",
        ])
        .args(arguments)
        .status()?;
    ensure!(status.success(), "the simulation failed");
    Ok(())
}

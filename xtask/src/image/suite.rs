//! `cargo xtask image suite`: the integration suite with the RabbitMQ of Debian 13 (4.0), in a container that has it
//! installed: every broker that a scenario starts is of that version then. The test program comes from this machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::base;
use super::docker::{Container, docker_shown};
use crate::root;

/// Every scenario that passes with RabbitMQ 3.10 passes with 4.0, or says that it is for one of them only.
pub(super) fn run() -> Result<()> {
    base::provide_suite()?;
    let program = test_program()?;
    let root = root().canonicalize()?;
    let mount = format!("--volume={0}:{0}", root.display());
    let workdir = format!("--workdir={}", root.display());
    let program = program.to_str().context("a path that is not UTF-8")?;
    // Scenarios of a container's first process make one with `unshare`, which an ordinary container may not.
    let unconfined = ["seccomp", "apparmor", "systempaths"]
        .map(|guard| format!("--security-opt={guard}=unconfined"));
    let mut args: Vec<&str> = unconfined.iter().map(String::as_str).collect();
    args.extend(["--init", &mount, &workdir, base::SUITE, program]);
    let container = Container::create(&args)?;
    docker_shown(&["start", "--attach", container.id()])
}

/// Builds the suite, unless it is built, and returns where it is.
fn test_program() -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args([
            "test",
            "--locked",
            "--quiet",
            "--test",
            "it",
            "--no-run",
            "--message-format=json",
        ])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo")?;
    ensure!(
        output.status.success(),
        "building the suite: {}",
        output.status
    );
    let messages = String::from_utf8(output.stdout)?;
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let suite = artifacts.filter(|artifact| artifact["target"]["name"] == "it");
    let mut programs =
        suite.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    programs.next().context("cargo named no test program")
}

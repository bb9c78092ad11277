//! The test programs of the whole workspace, built by cargo.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::run::cargo;

/// A test program, and the folder of its package, in which cargo would run it.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
}

/// The integration tests, and all the others.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) integration: Program,
    pub(super) others: Vec<Program>,
}

/// Builds all of them.
pub(super) fn all() -> Result<Programs> {
    let (integration, others): (Vec<_>, Vec<_>) = build(&["--workspace"])?
        .into_iter()
        .partition(|(name, _)| name == "it");
    Ok(Programs {
        integration: first(integration)?,
        others: others.into_iter().map(|(_, program)| program).collect(),
    })
}

/// Builds the integration tests alone.
pub(super) fn integration() -> Result<Program> {
    // The whole workspace, since cargo chooses features for what is built together.
    first(build(&["--workspace", "--test", "it"])?)
}

fn first(programs: Vec<(String, Program)>) -> Result<Program> {
    let program = programs.into_iter().next();
    Ok(program.context("cargo named no test program")?.1)
}

fn build(what: &[&str]) -> Result<Vec<(String, Program)>> {
    let test = "test --locked --no-run --message-format=json-render-diagnostics";
    let mut cargo = cargo();
    cargo
        .args(test.split(' '))
        .args(what)
        .stderr(Stdio::inherit());
    let output = cargo.output().context("running cargo")?;
    let status = output.status;
    ensure!(status.success(), "building the tests: {status}");
    let messages = String::from_utf8(output.stdout)?;
    Ok(messages
        .lines()
        .filter_map(|line| program(&serde_json::from_str(line).ok()?))
        .collect())
}

/// The name and program of one of cargo's messages, if it is about a test program.
fn program(message: &Value) -> Option<(String, Program)> {
    if message["profile"]["test"] != true {
        return None;
    }
    let program = Program {
        path: message["executable"].as_str()?.into(),
        folder: Path::new(message["manifest_path"].as_str()?)
            .parent()?
            .to_owned(),
    };
    Some((message["target"]["name"].as_str()?.to_owned(), program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_and_what_is_none() {
        let message = serde_json::json!({
            "manifest_path": "/a/Cargo.toml", "target": {"name": "it"}, "profile": {"test": true}, "executable": "/a/it-1",
        });
        let (name, found) = program(&message).unwrap();
        assert_eq!(name, "it");
        assert_eq!(found.path, Path::new("/a/it-1"));
        assert_eq!(found.folder, Path::new("/a"));
        let mut tool = message;
        tool["profile"]["test"] = false.into();
        assert!(program(&tool).is_none());
    }
}

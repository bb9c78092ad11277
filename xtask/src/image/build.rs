//! `docker build` of every target. Where crates can't be downloaded from inside a build, or shouldn't be twice, they
//! come with the context: vendored into `.cargo/`, which the Dockerfile copies in any case.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::docker::{docker, docker_shown};
use crate::root;

/// Where the tools were built; it has a name so that its layers stay for the next time.
const BUILDER: &str = "amqp-tools:builder";
pub(crate) const TOOLS: &str = "amqp-tools:tools";
pub(crate) const WORKER: &str = "amqp-tools:worker";
pub(crate) const DEBUG: &str = "amqp-tools:debug";
/// The tutorial's worker, made from `k8s/worker`.
pub(crate) const TUTORIAL: &str = "job-wq-1";

/// On every image from here, so that those whose names have gone to newer ones can be removed.
const LABEL: &str = "amqp-tools-image";

/// What of the repository goes into an image.
const SOURCES: [&str; 10] = [
    ".cargo",
    ".dockerignore",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "completions",
    "packaging",
    "src",
    "testbroker",
    "xtask",
];

/// Makes cargo look for crates beside its own configuration, and nowhere else.
const VENDORED: &str = r#"
[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = ".cargo/vendor"
"#;

/// Builds all images; their bases are there.
pub(crate) fn all() -> Result<()> {
    let context = context()?;
    let targets = [
        ("builder", BUILDER),
        ("tools", TOOLS),
        ("worker", WORKER),
        ("debug", DEBUG),
    ];
    for (target, name) in targets {
        println!("building {name}");
        build(context.path(), &["--target", target], name)?;
    }
    println!("building {TUTORIAL}");
    build(&root().join("k8s/worker"), &[], TUTORIAL)?;
    let replaced = format!("label={LABEL}");
    docker(&["image", "prune", "--force", "--filter", &replaced]).map(drop)
}

fn build(context: &Path, options: &[&str], name: &str) -> Result<()> {
    let context = context.to_str().context("a path that is not UTF-8")?;
    docker_shown(
        &[
            &["build", "--label", LABEL, "--tag", name],
            options,
            &[context],
        ]
        .concat(),
    )
}

/// A copy of the sources with all crates beside them.
fn context() -> Result<TempDir> {
    let context = TempDir::new()?;
    for source in SOURCES {
        copy(&root().join(source), context.path())?;
    }
    vendor(&context.path().join(".cargo/vendor"))?;
    let configuration = context.path().join(".cargo/config.toml");
    let before = fs::read_to_string(&configuration).unwrap_or_default();
    fs::write(configuration, before + VENDORED)?;
    Ok(context)
}

/// Copies every crate of Cargo.lock into a folder.
fn vendor(folder: &Path) -> Result<()> {
    let status = Command::new("cargo")
        .args([
            "vendor",
            "--quiet",
            "--locked",
            "--versioned-dirs",
            "--manifest-path",
        ])
        .arg(root().join("Cargo.toml"))
        .arg(folder)
        .status()
        .context("running cargo vendor")?;
    ensure!(status.success(), "cargo vendor: {status}");
    Ok(())
}

fn copy(source: &Path, folder: &Path) -> Result<()> {
    let status = Command::new("cp")
        .args(["--archive", "--"])
        .args([source, folder])
        .status()?;
    ensure!(status.success(), "copying {}: {status}", source.display());
    Ok(())
}

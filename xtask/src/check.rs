//! `cargo xtask check`: whether what is generated is up to date, and what linters say that are not clippy.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::run::{cargo, output, script, succeed, works};
use crate::{completions, install, man};

/// Everything; the generated files are generated anew.
pub(crate) fn everything(root: &Path) -> Result<()> {
    generated_files(root)?;
    scripts(root)?;
    script("workflows.sh", [""; 0])?;
    documentation()?;
    dependencies(root)?;
    declared_rust()?;
    fuzz_targets(root)
}

fn generated_files(root: &Path) -> Result<()> {
    man::generate(root)?;
    completions::generate(root)?;
    install::program("mandoc", "mandoc")?;
    let pages = files(&root.join("man"), "")?;
    let mut mandoc = Command::new("mandoc");
    let remarks = output(mandoc.args(["-T", "lint", "-W", "style"]).args(pages))?;
    ensure!(remarks.is_empty(), "mandoc:\n{remarks}");
    let mut git = Command::new("git");
    git.args(["status", "--porcelain", "--", "man", "completions"]);
    let stale = output(git.current_dir(root))?;
    if !stale.is_empty() {
        bail!("these files were stale and have been generated anew; commit them:\n{stale}");
    }
    println!("man pages and completions are up to date");
    Ok(())
}

fn scripts(root: &Path) -> Result<()> {
    install::program("shellcheck", "shellcheck")?;
    let folders = ["xtask/scripts", "xtask/trials", "k8s/worker"].map(|folder| root.join(folder));
    let scripts: Result<Vec<_>> = folders.iter().map(|folder| files(folder, "sh")).collect();
    succeed(
        Command::new("shellcheck")
            .args(["--severity=warning", "--exclude=SC2154"]) // SC2154: variables of trials/lib.sh
            .arg(root.join(".ci/run"))
            .args(scripts?.concat()),
    )
}

/// For contributors: private items are in it, and links to them resolve.
fn documentation() -> Result<()> {
    let doc = "doc --quiet --no-deps --workspace --locked --document-private-items";
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    succeed(cargo().args(doc.split(' ')).env("RUSTDOCFLAGS", flags))
}

/// Licences, sources and bans as `deny.toml` has them, and advisories where their database can be had.
fn dependencies(root: &Path) -> Result<()> {
    if !works(cargo().args(["deny", "--version"])) {
        println!("skipped: cargo deny: not installed (cargo install --locked cargo-deny)");
        return licences_and_sources(root);
    }
    let check = "deny --log-level=error check licenses bans sources";
    succeed(cargo().args(check.split(' ')))?;
    if !works(cargo().args(["deny", "fetch", "db"])) {
        println!("skipped: cargo deny check advisories: their database can't be fetched");
        return Ok(());
    }
    succeed(cargo().args(["deny", "--log-level=error", "check", "advisories"]))
}

/// What needs no cargo-deny: all crates are from one registry, and under licences that `deny.toml` lists.
fn licences_and_sources(root: &Path) -> Result<()> {
    let allowed = fs::read_to_string(root.join("deny.toml"))?;
    let metadata = output(cargo().args(["metadata", "--locked", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array();
    // A part of this workspace has no source.
    let sources: BTreeSet<&str> = packages
        .into_iter()
        .flatten()
        .filter_map(|package| package["source"].as_str())
        .collect();
    ensure!(
        sources.len() == 1 && sources.iter().all(|source| source.starts_with("registry+")),
        "crates come from more than one registry: {sources:?}"
    );
    for package in packages.into_iter().flatten() {
        let licence = package["license"].as_str().unwrap_or_default();
        let each = licence.replace('/', " OR ").replace(['(', ')'], "");
        let mut needed = each.split(" AND ");
        let is_allowed = |name: &str| allowed.contains(&format!("\"{name}\","));
        ensure!(
            needed.all(|choice| choice.split(" OR ").map(str::trim).any(is_allowed)),
            "{}: {licence:?}: see deny.toml",
            package["name"]
        );
    }
    Ok(())
}

/// Builds with the oldest Rust that `Cargo.toml` declares. Clippy keeps to it, too (`incompatible_msrv`).
fn declared_rust() -> Result<()> {
    let version = env!("CARGO_PKG_RUST_VERSION");
    let with = |arguments: &[&str]| {
        let mut rustup = Command::new("rustup");
        rustup.args(["run", version, "cargo"]).args(arguments);
        for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
            rustup.env_remove(variable);
        }
        rustup
    };
    if !works(&mut with(&["--version"])) {
        println!("skipped: building with Rust {version}: rustup does not have it here");
        return Ok(());
    }
    let check = "check --quiet --locked --package amqp-tools --bins --target-dir";
    let check: Vec<&str> = check.split(' ').collect();
    succeed(with(&check).arg("target/declared-rust"))
}

/// They are a workspace of their own, which needs no nightly Rust to be checked.
fn fuzz_targets(root: &Path) -> Result<()> {
    let fuzz = root.join("fuzz");
    succeed(cargo().args(["fmt", "--check"]).current_dir(&fuzz))?;
    if !works(Command::new("c++").arg("--version")) {
        println!("skipped: linting the fuzz targets: libFuzzer needs a C++ compiler");
        return Ok(());
    }
    let clippy = "clippy --quiet --locked --target-dir ../target -- -D warnings";
    succeed(cargo().args(clippy.split(' ')).current_dir(&fuzz))
}

/// The files with that extension, whatever it is if none is given, in the order of their names.
pub(crate) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<_> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    let wanted = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    files.retain(|path| extension.is_empty() || wanted(path));
    files.sort();
    Ok(files)
}

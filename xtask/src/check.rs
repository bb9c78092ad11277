//! `cargo xtask check`: whether the committed man pages and completions are what the code generates, and lint clean.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{completions, install, man};

/// Generates everything anew and fails if that differs from what is committed.
pub(crate) fn generated_files(root: &Path) -> Result<()> {
    install::program("mandoc", "mandoc")?;
    man::generate(root)?;
    completions::generate(root)?;
    lint_pages(root)?;
    let stale = Command::new("git")
        .args(["status", "--porcelain", "--", "man", "completions"])
        .current_dir(root)
        .output()
        .context("running git")?;
    if !stale.status.success() {
        bail!(
            "git status failed: {}",
            String::from_utf8_lossy(&stale.stderr)
        );
    }
    if !stale.stdout.is_empty() {
        bail!(
            "these files were stale and have been generated anew; commit them:\n{}",
            String::from_utf8_lossy(&stale.stdout)
        );
    }
    println!("man pages and completions are up to date");
    Ok(())
}

/// Has mandoc read every page; any remark at all is an error.
fn lint_pages(root: &Path) -> Result<()> {
    let pages = std::fs::read_dir(root.join("man"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    let lint = Command::new("mandoc")
        .args(["-T", "lint", "-W", "style"])
        .args(&pages)
        .output()
        .context("running mandoc")?;
    if !lint.status.success() || !lint.stdout.is_empty() {
        bail!("mandoc:\n{}", String::from_utf8_lossy(&lint.stdout));
    }
    Ok(())
}

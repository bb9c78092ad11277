//! `cargo xtask dist`: what is handed out, in `target/dist`: a tarball with the tools, their manuals and completions, the
//! Debian package, and their checksums. The tools are one static binary, and links to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::root;

pub(crate) const TOOLS: [&str; 7] = [
    "amqp-call",
    "amqp-consume",
    "amqp-declare-queue",
    "amqp-delete-queue",
    "amqp-get",
    "amqp-move",
    "amqp-publish",
];
/// The binary that is all of them.
pub(crate) const MULTI_CALL: &str = "amqp-tools";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What makes the Debian package, installed under `target/` where it is not there yet.
const CARGO_DEB: &str = "3.8.0";
/// What goes into the tarball beside the binaries.
const COMPANIONS: [&str; 6] = [
    "README.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs",
    "man",
    "completions",
];

pub(crate) fn run() -> Result<()> {
    let folder = root().join("target/dist");
    fs::create_dir_all(&folder)?;
    let binary = build()?;
    let mut files = vec![
        tarball(&binary, &folder)?,
        debian_package(&binary, &folder)?,
    ];
    files.push(checksums(&files, &folder)?);
    for file in files {
        println!("{}", file.display());
    }
    Ok(())
}

/// Builds the static binary that is all tools, as the Dockerfile does, and returns where it is.
fn build() -> Result<PathBuf> {
    let resolver = root().join("target/resolver.o");
    run_command(
        Command::new("cc")
            .args(["-O2", "-c", "-o"])
            .arg(&resolver)
            .arg(root().join("packaging/resolver.c")),
    )?;
    let target = captured(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("-Clink-arg={}", resolver.display()),
    ];
    // A target that is named keeps the flags away from build scripts and procedural macros, which can't be static.
    run_command(
        Command::new("cargo")
            .args(["build", "--locked", "--release", "--package", "amqp-tools"])
            .args(["--bin", MULTI_CALL, "--features", "multi-call", "--target"])
            .arg(&target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .current_dir(root()),
    )?;
    Ok(root()
        .join("target")
        .join(target)
        .join("release")
        .join(MULTI_CALL))
}

/// The binary and its names, in a folder. Each of them must at least say what it is.
fn lay_out(binary: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::copy(binary, folder.join(MULTI_CALL))
        .with_context(|| format!("copying {}", binary.display()))?;
    for tool in TOOLS {
        let link = folder.join(tool);
        symlink(MULTI_CALL, &link)?;
        captured(Command::new(link).arg("--version"))?;
    }
    Ok(())
}

/// `amqp-tools-VERSION-ARCHITECTURE-linux.tar.gz`, the same bytes for the same commit and toolchain.
fn tarball(binary: &Path, folder: &Path) -> Result<PathBuf> {
    let name = format!("amqp-tools-{VERSION}-{}-linux", std::env::consts::ARCH);
    let stage = folder.join(&name);
    fresh(&stage)?;
    lay_out(binary, &stage.join("bin"))?;
    for companion in COMPANIONS {
        run_command(
            Command::new("cp")
                .arg("--recursive")
                .args([&root().join(companion), &stage]),
        )?;
    }
    let archive = folder.join(format!("{name}.tar.gz"));
    let time = captured(
        Command::new("git")
            .args(["log", "-1", "--format=@%ct"])
            .current_dir(root()),
    )?;
    run_command(
        Command::new("tar")
            .args([
                "--sort=name",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                "--mode=u=rwX,go=rX",
                "--mtime",
                &time,
            ])
            .args([
                "--use-compress-program",
                "gzip --best --no-name",
                "--create",
                "--file",
            ])
            .arg(&archive)
            .arg("--directory")
            .arg(folder)
            .arg(&name),
    )?;
    fs::remove_dir_all(&stage)?;
    Ok(archive)
}

/// The Debian package of this binary, as `Cargo.toml` describes it.
pub(crate) fn debian_package(binary: &Path, folder: &Path) -> Result<PathBuf> {
    // cargo-deb takes binaries from a target folder's release/, so they are laid out as in one.
    let stage = folder.join("deb");
    fresh(&stage)?;
    lay_out(binary, &stage.join("release"))?;
    let program = cargo_deb()?;
    let printed = captured(
        Command::new(program)
            .args(["deb", "--no-build", "--no-strip", "--quiet", "--output"])
            .arg(folder)
            .env("CARGO_TARGET_DIR", &stage)
            .current_dir(root()),
    )?;
    fs::remove_dir_all(&stage)?;
    Ok(PathBuf::from(printed))
}

fn cargo_deb() -> Result<PathBuf> {
    let root = root().join("target/cargo-deb");
    let program = root.join("bin/cargo-deb");
    if !program.exists() {
        run_command(
            Command::new("cargo")
                .args([
                    "install",
                    // Optimising it takes longer than it ever runs.
                    "--debug",
                    "--quiet",
                    "--locked",
                    "cargo-deb",
                    "--version",
                    CARGO_DEB,
                    "--root",
                ])
                .arg(&root),
        )?;
    }
    Ok(program)
}

/// SHA256SUMS, as `sha256sum --check` reads it.
fn checksums(files: &[PathBuf], folder: &Path) -> Result<PathBuf> {
    let names = files.iter().filter_map(|file| file.file_name());
    let sums = captured(Command::new("sha256sum").args(names).current_dir(folder))?;
    let list = folder.join("SHA256SUMS");
    fs::write(&list, sums + "\n")?;
    Ok(list)
}

fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

fn run_command(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("running {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

fn captured(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{complaint}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

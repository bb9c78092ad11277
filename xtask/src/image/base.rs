//! The base images, under the names that the Dockerfiles use: pulled where a registry can be reached, else made here
//! from Debian's packages and this machine's Rust toolchain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::docker::{docker, has_image};
use crate::debian::apt_sources;

/// What `docker build` needs for our images.
pub(crate) const FOR_BUILDING: [&str; 2] = [BOOKWORM, "rust:1-bookworm"];
/// With the broker that the manifests name.
pub(crate) const ALL: [&str; 4] = [BOOKWORM, "rust:1-bookworm", TRIXIE, "rabbitmq:4"];
/// Debian 12, what our images are made from.
pub(crate) const BOOKWORM: &str = "debian:bookworm-slim";
/// Debian 13, which has RabbitMQ 4.0.
pub(crate) const TRIXIE: &str = "debian:trixie-slim";
/// Makes sure that the images exist.
pub(crate) fn provide(names: &[&str]) -> Result<()> {
    for name in names {
        if !has_image(name) && docker(&["pull", "--quiet", name]).is_err() {
            println!("making {name}");
            make(name).with_context(|| format!("making {name}"))?;
        }
    }
    Ok(())
}

/// Makes sure that containers find each other on a network of their own, and Debian's packages.
pub(crate) fn try_network() -> Result<()> {
    const NETWORK: &str = "amqp-tools-attempt";
    let _ = docker(&["network", "rm", NETWORK]); // left by an attempt that was broken off
    docker(&["network", "create", NETWORK]).context("making a network")?;
    let updated = docker(&[
        "run",
        "--rm",
        "--network",
        NETWORK,
        BOOKWORM,
        "apt-get",
        "update",
        "-qq",
        "--option=APT::Update::Error-Mode=any",
    ]);
    docker(&["network", "rm", NETWORK])?;
    updated
        .context("reaching Debian's packages from a container")
        .map(drop)
}

fn make(name: &str) -> Result<()> {
    match name {
        BOOKWORM => debian("bookworm", name),
        TRIXIE => debian("trixie", name),
        "rust:1-bookworm" => rust(name),
        "rabbitmq:4" => from_dockerfile(include_str!("base/rabbitmq.Dockerfile"), name, &[]),
        _ => anyhow::bail!("there is no recipe for it"),
    }
}

/// A minimal Debian by debootstrap, without its package lists, manuals and documentation, as the slim images are.
fn debian(suite: &str, name: &str) -> Result<()> {
    let folder = TempDir::new()?;
    let root = folder.path().join(suite);
    // It waits for ever for a mirror that does not answer.
    let status = Command::new("timeout")
        .args([
            "--kill-after=10s",
            "10m",
            "debootstrap",
            "--variant=minbase",
            suite,
        ])
        .arg(&root)
        .args(apt_sources::mirror().ok())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("running debootstrap")?;
    ensure!(
        status.success(),
        "debootstrap {suite}: {status} (it needs root)"
    );
    import(&root, name)
}

fn import(root: &Path, name: &str) -> Result<()> {
    let left_out = [
        "usr/share/doc/*",
        "usr/share/man/*",
        "var/cache/apt/*",
        "var/lib/apt/lists/*",
        "var/log/*.log",
        "dev/*",
    ];
    let mut tar = Command::new("tar")
        .args(left_out.map(|path| format!("--exclude=./{path}")))
        .args(["--create", "--directory"])
        .arg(root)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .context("running tar")?;
    let archive = tar.stdout.take().context("tar has no output")?;
    let imported = Command::new("docker")
        .args(["import", "--change", "CMD [\"bash\"]", "-", name])
        .stdin(archive)
        .stdout(Stdio::null())
        .status()
        .context("running docker import")?;
    let packed = tar.wait()?;
    ensure!(
        packed.success() && imported.success(),
        "importing {name}: tar {packed}, docker {imported}"
    );
    Ok(())
}

/// The toolchain that runs this program, without its documentation.
fn rust(name: &str) -> Result<()> {
    let printed = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .context("running rustc")?;
    let sysroot = PathBuf::from(String::from_utf8(printed.stdout)?.trim());
    let parts = ["bin/cargo", "bin/rustc", "bin/rustdoc", "lib"]
        .map(|part| (sysroot.join(part), PathBuf::from(part)));
    from_dockerfile(include_str!("base/rust.Dockerfile"), name, &parts)
}

/// Builds an image from a Dockerfile and files that are copied into its context.
fn from_dockerfile(dockerfile: &str, name: &str, files: &[(PathBuf, PathBuf)]) -> Result<()> {
    let context = TempDir::new()?;
    fs::write(context.path().join("Dockerfile"), dockerfile)?;
    for (source, place) in files {
        let place = context.path().join(place);
        fs::create_dir_all(place.parent().context("no parent folder")?)?;
        let status = Command::new("cp")
            .arg("--archive")
            .args([source, &place])
            .status()?;
        ensure!(status.success(), "copying {}: {status}", source.display());
    }
    docker(&[
        "build".as_ref(),
        "--quiet".as_ref(),
        "--tag".as_ref(),
        name.as_ref(),
        context.path().as_os_str(),
    ])
    .map(drop)
}

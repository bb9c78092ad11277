//! The Debian package, in the place of the original.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::ground::Ground;
use super::tutorial;
use crate::dist;
use crate::image::build::TOOLS;

/// What an administrator does to a machine that has amqp-tools, and a look at what became of it.
const INSTALL: &str = "
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends amqp-tools
! amqp-publish --version
apt-get -qq install -y --no-install-recommends /packages/*.deb
test \"$(dpkg-query --show --showformat '${db:Status-Status}' amqp-tools-rs)\" = installed
test \"$(dpkg-query --show --showformat '${db:Status-Status}' amqp-tools)\" != installed
apt-get check
amqp-publish --version
dpkg --listfiles amqp-tools-rs
";

/// Everything that the package is there for.
const FILES: [&str; 8] = [
    "/usr/bin/amqp-consume",
    "/usr/bin/amqp-declare-queue",
    "/usr/bin/amqp-delete-queue",
    "/usr/bin/amqp-get",
    "/usr/bin/amqp-publish",
    "/usr/share/man/man1/amqp-consume.1.gz",
    "/usr/share/man/man7/amqp-tools.7.gz",
    "/usr/share/bash-completion/completions/amqp-consume",
];

/// Installed over amqp-tools in a clean Debian, it leaves one set of tools, and the tutorial works with it.
pub(super) fn replaces_the_original(ground: &Ground) -> Result<()> {
    let folder = TempDir::new()?;
    let binary = binary(ground, &folder)?;
    let packages = folder.path().join("packages");
    fs::create_dir(&packages)?;
    dist::debian_package(&binary, &packages)?;

    let mount = format!("--volume={}:/packages:ro", packages.display());
    let debian = ground.container(&[&mount], "debian:bookworm-slim", &["sleep", "infinity"])?;
    debian.start()?;
    let printed = debian.exec(&["sh", "-euc", INSTALL])?;
    for file in FILES {
        ensure!(
            printed.lines().any(|line| line == file),
            "{file} is missing: {printed}"
        );
    }

    tutorial::forget(ground)?;
    let printed = debian.exec(&["sh", "-euc", tutorial::TOOL_LINES])?;
    ensure!(printed == "foo\nHellojob1", "printed: {printed}");
    tutorial::filled(ground)?;

    debian.exec(&["apt-get", "-qq", "purge", "-y", "amqp-tools-rs"])?;
    let left = debian.exec(&["sh", "-c", "ls /usr/bin/amqp-* 2>/dev/null | wc -l"])?;
    ensure!(left == "0", "{left} files are left after purging");
    Ok(())
}

/// The tools image's binary: packaged is what was tried.
fn binary(ground: &Ground, folder: &TempDir) -> Result<PathBuf> {
    let tools = ground.container(&[], TOOLS, &["/usr/bin/amqp-get", "--version"])?;
    let path = folder.path().join(dist::MULTI_CALL);
    tools
        .copy_out("/usr/bin/amqp-tools", &path)
        .context("copying the tools")?;
    Ok(path)
}

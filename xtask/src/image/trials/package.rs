//! The Debian package, in the place of the original.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::ground::Ground;
use super::tutorial;
use crate::dist;
use crate::image::base::{BOOKWORM, TRIXIE};
use crate::image::build::TOOLS;

/// What an administrator does to a machine that has amqp-tools, and a look at what became of it.
const INSTALL: &str = "
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o Acquire::Retries=3 update
apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends amqp-tools
! amqp-publish --version
apt-get -qq install -y --no-install-recommends /packages/*.deb
test \"$(dpkg-query --show --showformat '${db:Status-Status}' amqp-tools-rs)\" = installed
test \"$(dpkg-query --show --showformat '${db:Status-Status}' amqp-tools)\" != installed
apt-get check
for tool in consume declare-queue delete-queue get publish; do amqp-$tool --version; done
dpkg --listfiles amqp-tools-rs
";

/// What an administrator does who thinks better of it, and better again.
const THERE_AND_BACK: &str = "
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends amqp-tools
test \"$(dpkg-query --show --showformat '${db:Status-Status}' amqp-tools-rs)\" != installed
! amqp-publish --version
apt-get -qq install -y --no-install-recommends /packages/*.deb
amqp-publish --version
apt-get -qq purge -y amqp-tools-rs
find /usr /etc /var/lib -name '*amqp-tools-rs*' -o -name '*amqp-publish*'
";

/// Installed over amqp-tools in a clean Debian 12 and 13, it leaves one set of tools, and the tutorial works with it.
pub(super) fn replaces_the_original(ground: &Ground) -> Result<()> {
    let folder = TempDir::new()?;
    let binary = binary(ground, &folder)?;
    let packages = folder.path().join("packages");
    fs::create_dir(&packages)?;
    dist::debian_package(&binary, &packages)?;
    for debian in [BOOKWORM, TRIXIE] {
        replaces_it_in(debian, &packages, ground).context(debian)?;
    }
    Ok(())
}

fn replaces_it_in(image: &str, packages: &Path, ground: &Ground) -> Result<()> {
    let mount = format!("--volume={}:/packages:ro", packages.display());
    let debian = ground.container(&[&mount], image, &["sleep", "infinity"])?;
    debian.start()?;
    let printed = debian.exec(&["sh", "-euc", INSTALL])?;
    for file in files() {
        ensure!(
            printed.lines().any(|line| line == file),
            "{file} is missing: {printed}"
        );
    }

    tutorial::forget(ground)?;
    let printed = debian.exec(&["sh", "-euc", tutorial::TOOL_LINES])?;
    ensure!(printed == "foo\nHellojob1", "printed: {printed}");
    tutorial::filled(ground)?;

    let left = debian.exec(&["sh", "-euc", THERE_AND_BACK])?;
    let mut left = left.lines().filter(|line| line.starts_with('/'));
    ensure!(left.next().is_none(), "left after purging: {left:?}");
    Ok(())
}

/// What the package is there for: the tools, each with its page and its completions, and what explains them.
fn files() -> Vec<String> {
    let of_a_tool = |tool| {
        [
            format!("/usr/bin/{tool}"),
            format!("/usr/share/man/man1/{tool}.1.gz"),
            format!("/usr/share/bash-completion/completions/{tool}"),
            format!("/usr/share/fish/vendor_completions.d/{tool}.fish"),
            format!("/usr/share/zsh/vendor-completions/_{tool}"),
        ]
    };
    let mut files: Vec<String> = dist::TOOLS.into_iter().flat_map(of_a_tool).collect();
    files.push("/usr/share/man/man7/amqp-tools.7.gz".to_owned());
    files.push("/usr/share/doc/amqp-tools-rs/copyright".to_owned());
    files
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

//! What tests and demo need: Debian packages, found or installed with apt-get, and Qpid, which no package has.

use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use testbroker::{Installation, QPID_RELEASE, cache_folder};

/// Maven's plugin that copies a file out of a repository.
const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy";

/// Installs the packages, but neither starts their services now nor enables them for later: only the files are needed.
const SCRIPT: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q || echo 'apt-get update failed; going on with the package lists there are' >&2
apt-get install -q -y --no-install-recommends "$@"
for package; do
    [ $package != rabbitmq-server ] || ! command -v systemctl >/dev/null ||
        systemctl disable rabbitmq-server epmd.socket || true
done
"#;

/// RabbitMQ's files, which a private node runs from.
pub(crate) fn rabbitmq() -> Result<()> {
    if Installation::find().is_ok() {
        return Ok(());
    }
    apt_get("rabbitmq-server")?;
    Installation::find().map(drop)
}

/// Debian's amqp-tools, which ours are compared with.
pub(crate) fn reference_tools() -> Result<()> {
    if Path::new("/usr/bin/amqp-consume").exists() {
        return Ok(());
    }
    apt_get("amqp-tools")
}

/// Apache Qpid, by Maven, into the cache: a second run downloads nothing.
pub(crate) fn qpid() -> Result<()> {
    program("java", "default-jre-headless")?;
    let home = cache_folder(&format!("qpid-{QPID_RELEASE}"))?;
    if home.exists() {
        return Ok(());
    }
    program("mvn", "maven")?;
    println!(
        "fetching Apache Qpid {QPID_RELEASE} into {}",
        home.display()
    );
    let cache = home.parent().context("a cache without a folder")?;
    fs::create_dir_all(cache)?;
    // Beside its place, so that it comes there whole or not at all.
    let folder = TempDir::with_prefix_in("qpid-", cache)?;
    let artifact = format!("org.apache.qpid:apache-qpid-broker-j:{QPID_RELEASE}:tar.gz:bin");
    let mut maven = Command::new("mvn");
    maven
        .args(["--quiet", "--batch-mode", MAVEN_COPY])
        .arg(format!("-Dartifact={artifact}"))
        .arg(format!("-DoutputDirectory={}", folder.path().display()))
        .current_dir(folder.path());
    insist(&mut maven)?;
    let unpacked = folder.path().join("unpacked");
    fs::create_dir(&unpacked)?;
    let tarball = format!("apache-qpid-broker-j-{QPID_RELEASE}-bin.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--strip-components=2", "--file", &tarball])
        .arg("--directory")
        .arg(&unpacked)
        .current_dir(folder.path());
    insist(&mut tar)?;
    fs::rename(unpacked, home).context("moving Qpid into the cache")
}

/// Runs a command whose last words are the reason where it fails.
fn insist(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| program.clone())?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let reason = said.lines().find(|line| line.contains("ERROR"));
    let reason = reason.or(said.lines().last()).unwrap_or_default();
    bail!("{program} failed ({}): {reason}", output.status)
}

/// A program by its name, from the package that has it.
pub(crate) fn program(name: &str, package: &str) -> Result<()> {
    if on_path(name) {
        return Ok(());
    }
    apt_get(package)
}

fn apt_get(package: &str) -> Result<()> {
    let by_hand = format!(
        "install the Debian package {package}, for example: sudo apt-get install {package}"
    );
    if !on_path("apt-get") {
        bail!("{by_hand}");
    }
    println!("installing {package} (its files only: no service is started or enabled)");
    let mut command = as_root().with_context(|| by_hand.clone())?;
    let status = command
        .args(["/bin/sh", "-c", SCRIPT, "install", package])
        .status()?;
    ensure!(status.success(), "apt-get failed ({status}); {by_hand}");
    Ok(())
}

/// `env`, by way of sudo where this process is not root's. Without a terminal sudo must not ask for a password.
fn as_root() -> Result<Command> {
    if rustix::process::geteuid().is_root() {
        return Ok(Command::new("env"));
    }
    ensure!(on_path("sudo"), "not root, and there is no sudo");
    let mut sudo = Command::new("sudo");
    if !std::io::stdin().is_terminal() {
        sudo.arg("-n");
    }
    sudo.arg("env");
    Ok(sudo)
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

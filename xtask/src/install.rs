//! The Debian packages that tests and demo need: found, or installed with apt-get.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use testbroker::Installation;

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

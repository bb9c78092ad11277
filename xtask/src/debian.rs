//! Debians in folders, which have the releases of RabbitMQ and amqp-tools that this machine does not: made by debootstrap
//! when they are first asked for, and kept in the cache.

pub(crate) mod apt_sources;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use testbroker::{Flavour, Installation};

use crate::install;

/// Makes the folder `$2` with Debian's suite `$1` from the mirror `$3`, complete or not at all. What it mounts belongs to a
/// mount namespace of its own.
const MAKE: &str = r#"
set -e
suite=$1 folder=$2 mirror=$3
making=$folder.making
rm -rf --one-file-system "$making"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$making" "$mirror"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$making/etc/hosts"
# The index of a mirror may be out of date.
printf 'Acquire::Check-Valid-Until "false";\nAPT::Install-Recommends "false";\n' >"$making/etc/apt/apt.conf.d/90tests"
# No service is started.
printf '#!/bin/sh\nexit 101\n' >"$making/usr/sbin/policy-rc.d"
chmod 755 "$making/usr/sbin/policy-rc.d"
mount --rbind /proc "$making/proc"
mount --rbind /dev "$making/dev"
chroot "$making" apt-get update -q
DEBIAN_FRONTEND=noninteractive chroot "$making" apt-get install -q -y rabbitmq-server amqp-tools
chroot "$making" apt-get clean
rm -rf "$making"/var/lib/apt/lists/*
umount --recursive "$making/proc" "$making/dev"
mv "$making" "$folder"
"#;

/// The flavour's RabbitMQ: this machine's own, or the one in its Debian's folder, which is made if it is not there.
pub(crate) fn rabbitmq(flavour: &Flavour) -> Result<Installation> {
    let found = Installation::of(flavour);
    let folder = flavour.root_folder()?;
    if found.is_ok() || folder.exists() {
        return found;
    }
    make(flavour.suite, &folder)?;
    Installation::of(flavour)
}

fn make(suite: &str, folder: &Path) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "only root can make a Debian in a folder"
    );
    install::program("debootstrap", "debootstrap")?;
    let mirror = apt_sources::mirror()?;
    let parent = folder.parent().context("a folder without a parent")?;
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let lock = lock(&beside(folder, "lock"))?;
    if folder.exists() {
        return Ok(()); // another run has made it meanwhile
    }
    println!(
        "making Debian {suite} in {} from {mirror}",
        folder.display()
    );
    let log = beside(folder, "log");
    let output = File::create(&log).with_context(|| log.display().to_string())?;
    // debootstrap waits for ever for a mirror that does not answer.
    let status = Command::new("timeout")
        .args(["--kill-after=10s", "20m"])
        .args(["unshare", "--mount", "--propagation", "private"])
        .args(["/bin/sh", "-c", MAKE, "make", suite])
        .args([folder.as_os_str(), mirror.as_ref()])
        .stdin(lock) // held by what is left of a run that is killed, too
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("running debootstrap")?;
    if !status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let last = said.lines().last().unwrap_or_default();
        bail!(
            "making Debian {suite} failed ({status}): {last} (see {})",
            log.display()
        );
    }
    Ok(())
}

/// One run at a time makes a folder; the others wait for it.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| path.display().to_string())?;
    Ok(file)
}

/// `folder.extension`, whatever dots the folder's name has.
fn beside(folder: &Path, extension: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

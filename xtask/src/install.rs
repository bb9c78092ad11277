//! What tests, demo and bench need: Debian packages, Python packages, Debians in folders, and Qpid, which no package has.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use testbroker::{Flavour, Installation, QPID_RELEASE, cache_folder};

use crate::root;
use crate::run::{output, script, works};

/// What Debian's package of that name has instead of a program.
const BASH_COMPLETION: &str = "/usr/share/bash-completion/bash_completion";

/// RabbitMQ's files, which a private node runs from.
pub(crate) fn rabbitmq() -> Result<()> {
    if Installation::find().is_err() {
        script("install.sh", ["rabbitmq-server"])?;
    }
    Installation::find().map(drop)
}

/// The flavour's RabbitMQ: this machine's own, or the one in its Debian's folder, which is made if it is not there.
pub(crate) fn flavour(flavour: &Flavour) -> Result<Installation> {
    let found = Installation::of(flavour);
    let folder = flavour.root_folder()?;
    if found.is_ok() || folder.exists() {
        return found;
    }
    script("debian.sh", [OsStr::new(flavour.suite), folder.as_os_str()])?;
    Installation::of(flavour)
}

/// Debian's amqp-tools, which ours are compared with.
pub(crate) fn reference_tools() -> Result<()> {
    program("/usr/bin/amqp-consume", "amqp-tools")
}

/// The shells that completions are tried in, and Prometheus. Tests skip what is missing.
pub(crate) fn for_some_tests() {
    for package in ["bash", "bash-completion", "fish", "zsh", "prometheus"] {
        let is_there = package == "bash-completion" && Path::new(BASH_COMPLETION).exists();
        if !is_there && let Err(error) = script("install.sh", [package]) {
            println!("skipped: tests with {package}: {error}");
        }
    }
}

/// A program, from the package that has it.
pub(crate) fn program(name: &str, package: &str) -> Result<()> {
    script("install.sh", [package, name])
}

/// A Python with that package, in a virtual environment of its own under `target/`.
pub(crate) fn python(folder: &str, module: &str, package: &str) -> Result<PathBuf> {
    let folder = root().join("target").join(folder);
    let python = folder.join("bin/python");
    if !works(Command::new(&python).args(["-c", &format!("import {module}")])) {
        let mut venv = Command::new("python3");
        output(venv.args(["-m", "venv", "--clear"]).arg(&folder))?;
        let pip = "-m pip install --quiet --disable-pip-version-check";
        output(Command::new(&python).args(pip.split(' ')).arg(package))?;
    }
    Ok(python)
}

/// Apache Qpid, by Maven, into the cache: a second run downloads nothing.
pub(crate) fn qpid() -> Result<()> {
    let folder = cache_folder(&format!("qpid-{QPID_RELEASE}"))?;
    script("qpid.sh", [OsStr::new(QPID_RELEASE), folder.as_os_str()])
}

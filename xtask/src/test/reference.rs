//! The tools that ours are compared with: this machine's amqp-tools, and the newer ones of Debian sid where its folder is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use testbroker::{Flavour, cache_folder};

use crate::run::{output, script};

/// Tells the tests where the five programs of the reference are. Unset: in `/usr/bin`.
pub(super) const VARIABLE: &str = "AMQP_TOOLS_REFERENCE";

/// The folder of the five programs, and their version.
pub(super) struct Reference {
    pub(super) version: String,
    pub(super) folder: PathBuf,
}

impl Reference {
    /// This machine's own.
    pub(super) fn own() -> Result<Self> {
        Ok(Self {
            version: version(Path::new("/"))?,
            folder: "/usr/bin".into(),
        })
    }

    /// Debian sid's, if its folder is there.
    pub(super) fn newest() -> Result<Option<Self>> {
        let root = Flavour::named("rabbitmq-4.3")?.root_folder()?;
        if !root.join("usr/bin/amqp-get").exists() {
            return Ok(None);
        }
        let version = version(&root)?;
        let folder = cache_folder(&format!("reference-{version}"))?;
        script("reference.sh", [&root, &folder])?;
        Ok(Some(Self { version, folder }))
    }
}

/// Of the package amqp-tools in the Debian there, without Debian's own revision.
fn version(root: &Path) -> Result<String> {
    let mut query = Command::new("dpkg-query");
    query.arg("--admindir").arg(root.join("var/lib/dpkg"));
    let version = output(query.args(["--show", "--showformat=${Version}", "amqp-tools"]))?;
    Ok(version.split('-').next().unwrap_or_default().to_owned())
}

//! The tools that ours are compared with: this machine's amqp-tools, and the newer ones of Debian sid where its folder is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use testbroker::{Flavour, cache_folder};

/// Tells the tests where the five programs of the reference are. Unset: in `/usr/bin`.
pub(super) const VARIABLE: &str = "AMQP_TOOLS_REFERENCE";

const TOOLS: [&str; 5] = [
    "amqp-consume",
    "amqp-declare-queue",
    "amqp-delete-queue",
    "amqp-get",
    "amqp-publish",
];

/// Programs of another Debian run with its libraries and their dynamic linker, without a chroot: what they start is this
/// machine's.
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
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let linker = Linker::of(&root)?;
        for tool in TOOLS {
            let script = folder.join(tool);
            write_program(&script, &linker.script(&root, tool))?;
        }
        Ok(Some(Self { version, folder }))
    }
}

/// Of the package amqp-tools in the Debian there, without Debian's own revision.
fn version(root: &Path) -> Result<String> {
    let output = Command::new("dpkg-query")
        .arg("--admindir")
        .arg(root.join("var/lib/dpkg"))
        .args(["--show", "--showformat=${Version}", "amqp-tools"])
        .output()
        .context("running dpkg-query")?;
    ensure!(
        output.status.success(),
        "no package amqp-tools in {}",
        root.display()
    );
    let version = String::from_utf8(output.stdout)?;
    Ok(version.split('-').next().unwrap_or_default().to_owned())
}

struct Linker {
    libraries: PathBuf,
    program: PathBuf,
}

impl Linker {
    fn of(root: &Path) -> Result<Self> {
        let named = |folder: &Path, matches: &dyn Fn(&str) -> bool| {
            let entries = fs::read_dir(folder).ok()?;
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .find(|path| matches(&path.file_name().unwrap_or_default().to_string_lossy()))
        };
        let libraries = named(&root.join("usr/lib"), &|name| name.ends_with("-linux-gnu"))
            .with_context(|| format!("no libraries in {}", root.display()))?;
        let program = named(&libraries, &|name| name.starts_with("ld-linux"))
            .with_context(|| format!("no dynamic linker in {}", libraries.display()))?;
        Ok(Self { libraries, program })
    }

    fn script(&self, root: &Path, tool: &str) -> String {
        let [linker, libraries, program] = [
            &self.program,
            &self.libraries,
            &root.join("usr/bin").join(tool),
        ]
        .map(|path| format!("'{}'", path.display()));
        format!(
            "#!/bin/sh\nexec {linker} --argv0 {tool} --library-path {libraries} {program} \"$@\"\n"
        )
    }
}

/// In one step, since another run may be using it.
fn write_program(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|written| written == text) {
        return Ok(());
    }
    let new = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&new, text)?;
    fs::set_permissions(&new, Permissions::from_mode(0o755))?;
    Ok(fs::rename(&new, path)?)
}

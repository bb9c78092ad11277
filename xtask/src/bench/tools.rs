//! What is compared: our release binaries, and what the machine has, or can get, of the others.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::results::Fact;

/// The version of pika that the scripts are run with.
const PIKA: &str = "pika==1.3.2";

/// Where the contenders' programs are. What a machine lacks is `None`, and is left out of the comparison.
#[derive(Debug)]
pub(crate) struct Tools {
    root: PathBuf,
    ours: PathBuf,
    python: Option<PathBuf>,
    parallel: Option<PathBuf>,
    valgrind: Option<PathBuf>,
}

impl Tools {
    /// Builds ours, unless they are somewhere already, and installs the others where that is possible without asking.
    pub(crate) fn prepare(root: &Path, ours: Option<&Path>) -> Result<Self> {
        let ours = match ours {
            Some(folder) => folder.to_owned(),
            None => build_release(root)?,
        };
        let packages = [
            ("amqp-publish", "amqp-tools"),
            ("time", "time"),
            ("parallel", "parallel"),
            ("valgrind", "valgrind"),
        ];
        for (program, package) in packages {
            if on_path(program).is_none() {
                install(package);
            }
        }
        for needed in ["/usr/bin/amqp-publish", "/usr/bin/time"] {
            ensure!(
                Path::new(needed).exists(),
                "{needed} is missing: apt-get install amqp-tools time"
            );
        }
        Ok(Self {
            root: root.to_owned(),
            ours,
            python: python_with_pika(root)
                .inspect_err(|error| eprintln!("bench: without pika: {error:#}"))
                .ok(),
            parallel: on_path("parallel"),
            valgrind: on_path("valgrind"),
        })
    }

    /// One of our tools, such as `amqp-get`.
    pub(crate) fn ours(&self, name: &str) -> PathBuf {
        self.ours.join(name)
    }

    /// The reference's tool of the same name.
    pub(crate) fn reference(name: &str) -> PathBuf {
        Path::new("/usr/bin").join(name)
    }

    /// A Python that has pika.
    pub(crate) fn python(&self) -> Option<&Path> {
        self.python.as_deref()
    }

    /// One of the scripts beside this file.
    pub(crate) fn script(&self, name: &str) -> String {
        let script = self.root.join("xtask/src/bench/pika").join(name);
        script.display().to_string()
    }

    pub(crate) fn parallel(&self) -> Option<&Path> {
        self.parallel.as_deref()
    }

    pub(crate) fn valgrind(&self) -> Option<&Path> {
        self.valgrind.as_deref()
    }

    /// What takes no part because the machine lacks it.
    pub(crate) fn missing(&self) -> Vec<String> {
        let found = [
            ("pika", self.python.is_some()),
            ("GNU parallel", self.parallel.is_some()),
            ("instructions (valgrind)", self.valgrind.is_some()),
        ];
        let missing = found.into_iter().filter(|(_, there)| !there);
        missing
            .map(|(name, _)| format!("{name}: not on this machine."))
            .collect()
    }

    /// The versions of everything that takes part.
    pub(crate) fn versions(&self) -> Vec<Fact> {
        let commit = first_line(Command::new("git").args(["describe", "--always", "--dirty"]));
        let mut facts = vec![fact("this project", commit)];
        for package in [
            "amqp-tools",
            "rabbitmq-server",
            "erlang-base",
            "parallel",
            "findutils",
        ] {
            let mut query = Command::new("dpkg-query");
            query.args(["--show", "--showformat=${Version}", package]);
            facts.push(fact(package, first_line(&mut query)));
        }
        facts.push(fact(
            "rustc",
            first_line(Command::new("rustc").arg("--version")),
        ));
        if let Some(python) = &self.python {
            let print =
                "import sys, pika; print(sys.version.split()[0], 'with pika', pika.__version__)";
            facts.push(fact(
                "Python",
                first_line(Command::new(python).args(["-c", print])),
            ));
        }
        facts
    }
}

pub(crate) fn fact(name: &str, value: Option<String>) -> Fact {
    Fact {
        name: name.to_owned(),
        value: value.unwrap_or_else(|| "unknown".to_owned()),
    }
}

/// The first line that a command prints, if it succeeds.
pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned())
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Builds the release binaries and says where they are.
fn build_release(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "amqp-tools",
            "--bins",
        ])
        .current_dir(root)
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .context("starting cargo")?;
    ensure!(status.success(), "cargo build --release failed");
    Ok(root.join("target/release"))
}

/// Tries; whoever needs the package finds out whether it is there.
fn install(package: &str) {
    eprintln!("bench: installing {package}");
    let installed = Command::new("apt-get")
        .args(["install", "--yes", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("bench: could not install {package}; what needs it is left out");
    }
}

fn python_with_pika(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/bench/python");
    let python = folder.join("bin/python3");
    let has_pika = |python: &Path| {
        first_line(Command::new(python).args(["-c", "import pika; print(1)"])).is_some()
    };
    if !has_pika(&python) {
        let mut create = Command::new("python3");
        create.args(["-m", "venv"]).arg(&folder);
        succeed(&mut create)?;
        succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", PIKA]))?;
    }
    ensure!(has_pika(&python), "{PIKA} cannot be imported");
    Ok(python)
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {complaint}");
    Ok(())
}

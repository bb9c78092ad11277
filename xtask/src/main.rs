//! `cargo xtask TASK`: what contributors and CI run.

mod bench;
mod check;
mod cluster;
mod completions;
mod demo;
mod install;
mod man;
mod run;
mod test;
mod tools;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask TASK

  demo          show the tools at work on a private RabbitMQ, or on the one that AMQP_URL names
  test          run all tests; more arguments are passed to `cargo test`
  test --rabbitmq RELEASE [WORD...]
                run the integration tests with that RabbitMQ: 3.10, 4.0, 4.3 or 4.3-refusing; with words, those that have
                one of them in their names
  test --broker NAME [WORD...]
                the same with the broker of that name in tests/brokers.tsv
  bench         measure the tools against what one would use instead [--quick] [--only WORD]
  cluster       the tools at work on three RabbitMQ nodes that fail: [SECONDS] [--seed N]
  simulate      simulate the cores: many schedules, each decided by a seed [--help for more]
  dist          make the tarball and the Debian package in target/dist
  arm64         build the tools for arm64 with Debian sid's Rust, and show them at work under emulation

and what serves these:

  man           write the man pages in man/
  completions   write the shell completions in completions/
  check         check that both are up to date, the lint of pages, scripts and workflows, the documentation, the dependencies,
                and the declared Rust version
  fuzz          run the fuzz targets [SECONDS each] [TARGET...], where nightly Rust is installed
  image         base, build or test: the container images, and trials with them
  manifests     check k8s/ against the Kubernetes API's schemas

image and manifests need Docker, and Debian's and Python's packages, and another broker must be had from somewhere; with
--if-possible they skip what can't be had, and say so. So does cluster";

/// What has the Kubernetes API's schemas, in a release that is known to have those that are asked for.
const VALIDATOR: &str = "kubernetes-validate==1.37.0";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    match perform(&task, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: &str, arguments: &[String]) -> Result<()> {
    match (task, arguments) {
        ("-h" | "--help" | "help", _) => println!("{HELP}"),
        ("demo", []) => demo::run()?,
        ("test", _) => test::run(root(), arguments)?,
        ("bench", _) => bench::run(arguments)?,
        ("cluster", _) => cluster::run(arguments)?,
        ("simulate", _) => {
            let simulator = "run --quiet --profile simulation --package simulator --";
            run::succeed(run::cargo().args(simulator.split(' ')).args(arguments))?;
        }
        ("arm64", []) => demo::emulated()?,
        ("dist", []) => run::script("dist.sh", arguments)?,
        ("man", []) => man::generate(root())?,
        ("completions", []) => completions::generate(root())?,
        ("check", []) => check::everything(root())?,
        ("fuzz", _) => run::script("fuzz.sh", arguments)?,
        ("image", [action, options @ ..]) => image(action, options)?,
        ("manifests", options) => manifests(Missing::from(options)?)?,
        _ => bail!("no such task, or not these arguments\n\n{HELP}"),
    }
    Ok(())
}

/// The trials need a Python that reads manifests.
fn image(action: &str, options: &[String]) -> Result<()> {
    let missing = Missing::from(options)?;
    if action == "test"
        && let Err(error) = python_for_manifests()
    {
        return missing.judge("container images", error);
    }
    let action = [action]
        .into_iter()
        .chain(options.iter().map(String::as_str));
    run::script("image.sh", action)
}

fn manifests(missing: Missing) -> Result<()> {
    let python = match python_for_manifests() {
        Ok(python) => python,
        Err(error) => return missing.judge("manifests", error),
    };
    let files = check::files(&root().join("k8s"), "yaml")?;
    let script = root().join("xtask/scripts/manifests.py");
    run::succeed(Command::new(python).arg(script).args(files))
}

fn python_for_manifests() -> Result<std::path::PathBuf> {
    install::python("manifests-venv", "kubernetes_validate", VALIDATOR)
}

/// What a task makes of it that something from outside can't be had here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    Skips,
}

impl Missing {
    fn from(options: &[String]) -> Result<Self> {
        match options {
            [] => Ok(Self::Fails),
            [option] if option == "--if-possible" => Ok(Self::Skips),
            _ => bail!("the only option is --if-possible"),
        }
    }

    /// The error, or one line instead of it.
    fn judge(self, what: &str, error: anyhow::Error) -> Result<()> {
        if self == Self::Fails {
            return Err(error);
        }
        let reason = error.root_cause().to_string();
        println!(
            "skipped: {what}: {}",
            reason.lines().last().unwrap_or_default()
        );
        Ok(())
    }
}

/// The folder that holds the package.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

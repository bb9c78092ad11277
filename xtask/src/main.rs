//! `cargo xtask TASK`: what contributors and CI run.

mod bench;
mod check;
mod completions;
mod debian;
mod demo;
mod dist;
mod fuzz;
mod image;
mod install;
mod job;
mod man;
mod manifests;
mod shell;
mod simulate;
mod test;
mod tools;

use std::path::Path;
use std::process::ExitCode;

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
  simulate      simulate the cores: many schedules, each decided by a seed [--help for more]
  fuzz          run the fuzz targets [SECONDS each] [TARGET...], where nightly Rust is installed
  man           write the man pages in man/
  completions   write the shell completions in completions/
  bench         measure the tools against what one would use instead, see CONTRIBUTING.md
  check         check that both are up to date, and the pages' lint
  dist          make the tarball and the Debian package in target/dist
  image         base, build or test: the container images, and trials with them
  manifests     check k8s/ against the Kubernetes API's schemas

image and manifests need Docker, and Debian's and Python's packages, and another broker must be had from somewhere; with
--if-possible they skip what can't be had, and say so";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    match run(&task, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &str, arguments: &[String]) -> Result<()> {
    let root = root();
    match (task, arguments) {
        ("demo", []) => demo::run(root),
        ("test", _) => test::run(root, arguments),
        ("simulate", _) => simulate::run(root, arguments),
        ("man", []) => man::generate(root),
        ("completions", []) => completions::generate(root),
        ("fuzz", _) => fuzz::run(root, arguments),
        ("bench", arguments) => bench::run(arguments),
        ("check", []) => check::generated_files(root),
        ("dist", []) => dist::run(),
        ("image", [action, options @ ..]) => image::run(action, Missing::from(options)?),
        ("manifests", options) => manifests::run(Missing::from(options)?),
        _ => bail!("no such task, or not these arguments\n\n{HELP}"),
    }
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
        match self {
            Self::Fails => Err(error),
            Self::Skips => {
                let reason = error.root_cause().to_string();
                println!(
                    "skipped: {what}: {}",
                    reason.lines().next().unwrap_or_default()
                );
                Ok(())
            }
        }
    }
}

/// The folder that holds the package.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

//! `cargo xtask test`: all tests, with what they need on this machine; or the integration tests with another broker.

mod broker;
mod marks;
mod programs;
mod reference;
mod suite;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use testbroker::BROKER_VARIABLE;

use crate::run::{cargo, succeed};
use crate::{Missing, install};
use broker::Broker;
use marks::{Marks, Plan};
use programs::{Program, Programs};
use reference::Reference;
use suite::Suite;

/// Installs what is missing and runs the tests that the arguments ask for.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    match &options.broker {
        Some(name) => with_broker(root, name, &options),
        None if arguments.is_empty() => everything(root),
        None => chosen_by_cargo(arguments),
    }
}

/// What the arguments say.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    broker: Option<String>,
    missing: Missing,
    /// Parts of tests' names.
    words: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            broker: None,
            missing: Missing::Fails,
            words: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || {
                rest.next()
                    .with_context(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--rabbitmq" => options.broker = Some(format!("rabbitmq-{}", value()?)),
                "--broker" => options.broker = Some(value()?.clone()),
                "--if-possible" => options.missing = Missing::Skips,
                _ => options.words.push(argument.clone()),
            }
        }
        if options.broker.is_none() && options.missing == Missing::Skips {
            bail!("--if-possible goes with --rabbitmq or --broker");
        }
        Ok(options)
    }
}

/// All tests of the workspace, the integration tests with this machine's RabbitMQ and with both references.
fn everything(root: &Path) -> Result<()> {
    install::rabbitmq()?;
    install::reference_tools()?;
    install::for_some_tests();
    let Programs {
        integration,
        others,
    } = programs::all()?;
    for program in others {
        let status = Command::new(&program.path)
            .current_dir(&program.folder)
            .status()?;
        ensure!(status.success(), "tests failed ({status})");
    }
    cargo_test(&["--doc".to_owned()])?;
    let suite = Suite::of(&integration).without(BROKER_VARIABLE);
    let broker = Broker::own()?;
    let plan = Marks::read(root)?.plan(&suite.tests()?, &broker)?;
    let results = suite.run(&broker, &plan)?;
    let compared = results.passed.iter().filter(|test| is_compared(test));
    print_reference(&Reference::own()?.version, compared.count());
    with_newest_reference(&integration, &plan)
}

/// The side-by-side tests with Debian sid's tools.
fn with_newest_reference(program: &Program, plan: &Plan) -> Result<()> {
    let Some(reference) = Reference::newest()? else {
        println!(
            "skipped: the newest reference: there is no Debian sid here (cargo xtask test --rabbitmq 4.3 makes one)"
        );
        return Ok(());
    };
    let compared = plan.run.iter().filter(|test| is_compared(test));
    let compared: Vec<String> = compared.cloned().collect();
    let folder = reference
        .folder
        .to_str()
        .context("a path that is not UTF-8")?;
    let results = Suite::of(program)
        .without(BROKER_VARIABLE)
        .with(reference::VARIABLE, folder)
        .only(&compared)?;
    let (failed, version) = (results.failed.len(), &reference.version);
    ensure!(
        failed == 0,
        "{failed} tests failed beside amqp-tools {version}"
    );
    print_reference(version, results.passed.len());
    Ok(())
}

fn is_compared(test: &str) -> bool {
    test.starts_with("side_by_side::")
}

fn print_reference(version: &str, passed: usize) {
    println!("reference-{version}: {passed} passed, 0 failed");
}

/// The integration tests with another broker.
fn with_broker(root: &Path, name: &str, options: &Options) -> Result<()> {
    ensure!(Broker::is_known(name), "no broker is called {name}");
    install::reference_tools()?;
    let broker = match Broker::provide(name) {
        Ok(broker) => broker,
        Err(error) => return options.missing.judge(name, error),
    };
    let program = programs::integration()?;
    let suite = Suite::of(&program)
        .without("AMQP_URL")
        .with(BROKER_VARIABLE, name);
    let plan = Marks::read(root)?
        .plan(&suite.tests()?, &broker)?
        .narrowed(&options.words);
    ensure!(!plan.is_empty(), "no test for {name} has such a name");
    suite.run(&broker, &plan).map(drop)
}

/// What `cargo test` runs with these arguments, and no marks.
fn chosen_by_cargo(arguments: &[String]) -> Result<()> {
    install::rabbitmq()?;
    install::reference_tools()?;
    cargo_test(arguments)
}

fn cargo_test(arguments: &[String]) -> Result<()> {
    let mut cargo = cargo();
    cargo
        .args(["test", "--workspace", "--locked"])
        .args(arguments);
    succeed(&mut cargo).context("tests failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn a_broker_is_named_by_its_release_or_its_name() {
        let options = parse(&["--rabbitmq", "4.3-refusing", "--if-possible", "queues"]).unwrap();
        assert_eq!(options.broker.as_deref(), Some("rabbitmq-4.3-refusing"));
        assert_eq!(options.missing, Missing::Skips);
        assert_eq!(options.words, ["queues"]);
        let options = parse(&["--broker", "qpid"]).unwrap();
        assert_eq!(options.broker.as_deref(), Some("qpid"));
        assert_eq!(options.missing, Missing::Fails);
    }

    #[test]
    fn options_without_what_they_need_are_errors() {
        for arguments in [&["--rabbitmq"][..], &["--if-possible"]] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}

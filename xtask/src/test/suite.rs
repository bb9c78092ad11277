//! The integration tests with one broker: which are run, how they ended, and the closing line.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};

use super::broker::Broker;
use super::marks::Plan;
use super::programs::Program;
use crate::run::output;

/// Tells the test program how many tests to run at once. Unset, it would be one for each processor, but most tests wait most of the time.
const THREADS_VARIABLE: &str = "RUST_TEST_THREADS";

/// The test program, and the environment that makes it use a broker or a reference.
pub(super) struct Suite<'p> {
    program: &'p Program,
    environment: Vec<(String, Option<String>)>,
}

/// How tests ended, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) passed: Vec<String>,
    pub(super) failed: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Shown,
    Hidden,
}

impl<'p> Suite<'p> {
    pub(super) fn of(program: &'p Program) -> Self {
        Self {
            program,
            environment: Vec::new(),
        }
    }

    /// With that variable set.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment
            .push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// Without that variable.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.environment.push((name.to_owned(), None));
        self
    }

    /// The names of all tests.
    pub(super) fn tests(&self) -> Result<Vec<String>> {
        let listed = output(&mut self.command(["--list", "--format=terse"]))?;
        let name = |line: &str| Some(line.strip_suffix(": test")?.to_owned());
        Ok(listed.lines().filter_map(name).collect())
    }

    /// Runs the tests as planned and prints the closing line. An error if one fails that should not, or the other way round.
    pub(super) fn run(&self, broker: &Broker, plan: &Plan) -> Result<Results> {
        println!("{}: {}", broker.name, broker.description);
        let results = self.execute(&plan.run, Output::Shown)?;
        let marked = self.execute(&plan.failing, Output::Hidden)?;
        if !plan.failing.is_empty() {
            println!("failing as marked: {}", marked.failed.len());
        }
        for test in &marked.passed {
            println!("{test} is marked as failing, and passes: take the mark away");
        }
        let [passed, failed, skipped] = [
            results.passed.len(),
            results.failed.len() + marked.passed.len(),
            plan.skipped.len() + marked.failed.len(),
        ];
        println!(
            "{}: {passed} passed, {failed} failed, {skipped} skipped",
            broker.name
        );
        ensure!(failed == 0, "tests failed with {}", broker.name);
        Ok(results)
    }

    /// Runs these tests and no others.
    pub(super) fn only(&self, tests: &[String]) -> Result<Results> {
        self.execute(tests, Output::Shown)
    }

    fn execute(&self, tests: &[String], output: Output) -> Result<Results> {
        if tests.is_empty() {
            return Ok(Results::default()); // without names, all would be run
        }
        let mut child = self
            .command(["--exact"])
            .args(tests)
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the tests")?;
        let stdout = child.stdout.take().context("tests without an output")?;
        let mut results = Results::default();
        for line in BufReader::new(stdout).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            if output == Output::Shown {
                println!("{line}");
            }
            results.note(&line);
        }
        let status = child.wait()?;
        let [ended, all] = [results.passed.len() + results.failed.len(), tests.len()];
        ensure!(
            ended == all,
            "{ended} of {all} tests came to their end ({status})"
        );
        Ok(results)
    }

    fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(&self.program.path);
        command.args(arguments).current_dir(&self.program.folder);
        if env::var_os(THREADS_VARIABLE).is_none() {
            let processors = thread::available_parallelism().map_or(1, NonZero::get);
            command.env(THREADS_VARIABLE, (2 * processors).to_string());
        }
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, OsStr::new(value)),
                None => command.env_remove(name),
            };
        }
        command
    }
}

impl Results {
    /// Takes a test's end out of a line of the test program.
    fn note(&mut self, line: &str) {
        let Some((test, end)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
        else {
            return;
        };
        match end {
            "ok" => self.passed.push(test.to_owned()),
            "FAILED" => self.failed.push(test.to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_tests_are_found_among_other_lines() {
        let mut results = Results::default();
        for line in [
            "running 3 tests",
            "test a::one ... ok",
            "test a::two ... FAILED",
            "test a::slow has been running for over 60 seconds",
            "test a::three - should panic ... ok",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored",
        ] {
            results.note(line);
        }
        assert_eq!(results.passed, ["a::one", "a::three - should panic"]);
        assert_eq!(results.failed, ["a::two"]);
    }
}

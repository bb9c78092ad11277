//! `cargo xtask bench`'s own command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use super::lab::Scale;

pub(crate) const USAGE: &str = "\
usage: cargo xtask bench [--quick] [--only NAME]... [--tools FOLDER] [--output FOLDER]
       cargo xtask bench --render FILE.json

Measures the release binaries against amqp-tools and others, in turn, with a private broker, and writes
docs/BENCHMARKS.md, docs/benchmarks/DATE.json and its plots.

  --quick          small sizes and few rounds, to try the benchmarks
  --only NAME      only this experiment: one-shot, round-trips, seeding, bodies, consuming, large-bodies, tls,
                   instructions, sizes
  --tools FOLDER   measure the binaries that are there, and build none
  --output FOLDER  where to write [default: docs; target/bench with --quick, --only or --tools]
  --render FILE    measures nothing: writes the page and the plots again from earlier results
";

/// The experiments, in the order in which they run.
pub(crate) const EXPERIMENTS: [&str; 9] = [
    "one-shot",
    "round-trips",
    "seeding",
    "bodies",
    "consuming",
    "large-bodies",
    "tls",
    "instructions",
    "sizes",
];

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) scale: Scale,
    pub(crate) only: Vec<String>,
    /// Where our binaries are, if they are not to be built.
    pub(crate) tools: Option<PathBuf>,
    pub(crate) output: PathBuf,
    pub(crate) render: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let (mut scale, mut only) = (Scale::Full, Vec::new());
        let (mut tools, mut output, mut render) = (None, None, None);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} needs a value\n\n{USAGE}"))
            };
            match word.as_str() {
                "--quick" => scale = Scale::Quick,
                "--only" => only.push(value()?.clone()),
                "--tools" => tools = Some(PathBuf::from(value()?)),
                "--output" => output = Some(PathBuf::from(value()?)),
                "--render" => render = Some(PathBuf::from(value()?)),
                _ => bail!("unknown argument '{word}'\n\n{USAGE}"),
            }
        }
        for name in &only {
            ensure!(
                EXPERIMENTS.contains(&name.as_str()),
                "unknown experiment '{name}'\n\n{USAGE}"
            );
        }
        let whole = scale == Scale::Full && only.is_empty() && tools.is_none();
        let folder = if whole { "docs" } else { "target/bench" };
        Ok(Self {
            scale,
            only,
            tools,
            output: output.unwrap_or_else(|| PathBuf::from(folder)),
            render,
        })
    }

    /// Whether this experiment was asked for.
    pub(crate) fn wants(&self, experiment: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == experiment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn only_a_whole_run_writes_into_docs() {
        assert_eq!(parse("").unwrap().output, PathBuf::from("docs"));
        for part in ["--quick", "--only sizes", "--tools /usr/bin"] {
            assert_eq!(parse(part).unwrap().output, PathBuf::from("target/bench"));
        }
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for line in ["--fast", "--only everything", "--only"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

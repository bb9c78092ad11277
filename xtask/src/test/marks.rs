//! Which tests hold for which brokers: `tests/brokers.tsv`, read and applied to the names of all tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use testbroker::FLAVOURS;

use super::broker::Broker;

/// The file, from the package's folder.
const FILE: &str = "tests/brokers.tsv";

/// All lines of the file.
pub(super) struct Marks(Vec<Mark>);

struct Mark {
    line: usize,
    /// A test's name, or the beginning of several: `module::`.
    tests: String,
    brokers: Vec<Selector>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The test is not run.
    Skipped,
    /// The test must fail: it is run by itself, and a run in which it passes has failed.
    Fails,
    /// The broker runs the tests that are marked so, and no others.
    Only,
}

#[derive(Debug, PartialEq, Eq)]
enum Selector {
    Any,
    Named(String),
    Since(Release),
    Before(Release),
}

/// Of RabbitMQ, as `4.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(u32, u32);

/// What a broker's run does with which tests. Tests that do not concern it are in none of the three.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) run: Vec<String>,
    pub(super) skipped: Vec<String>,
    pub(super) failing: Vec<String>,
}

impl Marks {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(FILE)).context(FILE)?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = (1..).zip(text.lines());
        let marks: Result<Vec<Mark>> = lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| {
                Mark::parse(number, line).with_context(|| format!("{FILE}:{number}"))
            })
            .collect();
        marks.map(Self)
    }

    /// Which of these tests, which are all there are, the broker runs.
    pub(super) fn plan(&self, tests: &[String], broker: &Broker) -> Result<Plan> {
        for mark in &self.0 {
            ensure!(
                tests.iter().any(|test| mark.covers(test)),
                "{FILE}:{}: there is no test {}",
                mark.line,
                mark.tests
            );
        }
        let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
        let mut concerned: Vec<&str> = Vec::new();
        for mark in self.of(broker) {
            for test in tests.iter().filter(|test| mark.covers(test)) {
                if mark.kind == Kind::Only {
                    concerned.push(test);
                } else if let Some(other) = kinds.insert(test, mark.kind)
                    && other != mark.kind
                {
                    bail!("{FILE}:{}: {test} is both skipped and failing", mark.line);
                }
            }
        }
        let only = self.of(broker).any(|mark| mark.kind == Kind::Only);
        let mut plan = Plan::default();
        for test in tests {
            if only && !concerned.contains(&test.as_str()) {
                continue;
            }
            match kinds.get(test.as_str()) {
                Some(Kind::Skipped) => &mut plan.skipped,
                Some(Kind::Fails) => &mut plan.failing,
                Some(Kind::Only) | None => &mut plan.run,
            }
            .push(test.clone());
        }
        Ok(plan)
    }

    fn of<'m>(&'m self, broker: &'m Broker) -> impl Iterator<Item = &'m Mark> {
        let concerns = |mark: &&Mark| mark.brokers.iter().any(|selector| selector.selects(broker));
        self.0.iter().filter(concerns)
    }
}

impl Mark {
    fn parse(line: usize, text: &str) -> Result<Self> {
        let columns: Vec<&str> = text.split('\t').collect();
        let [tests, brokers, kind, why] = columns[..] else {
            bail!("a mark has four columns, separated by tabs: tests, brokers, kind, why");
        };
        ensure!(!why.trim().is_empty(), "a mark says why");
        let brokers: Result<Vec<Selector>> = brokers.split(',').map(str::parse).collect();
        Ok(Self {
            line,
            tests: tests.to_owned(),
            brokers: brokers?,
            kind: match kind {
                "skipped" => Kind::Skipped,
                "fails" => Kind::Fails,
                "only" => Kind::Only,
                _ => bail!("{kind:?} is neither skipped nor fails nor only"),
            },
        })
    }

    fn covers(&self, test: &str) -> bool {
        test == self.tests || (self.tests.ends_with("::") && test.starts_with(&self.tests))
    }
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        [&self.run, &self.skipped, &self.failing]
            .iter()
            .all(|tests| tests.is_empty())
    }

    /// The same for the tests alone whose names contain one of these words; without words, for all.
    pub(super) fn narrowed(mut self, words: &[String]) -> Self {
        let keep = |test: &String| words.is_empty() || words.iter().any(|word| test.contains(word));
        for tests in [&mut self.run, &mut self.skipped, &mut self.failing] {
            tests.retain(keep);
        }
        self
    }
}

impl Selector {
    fn selects(&self, broker: &Broker) -> bool {
        match self {
            Self::Any => true,
            Self::Named(name) => *name == broker.name,
            Self::Since(first) => broker.release.is_some_and(|release| release >= *first),
            Self::Before(end) => broker.release.is_some_and(|release| release < *end),
        }
    }
}

impl FromStr for Selector {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_known = |name: &str| {
            Broker::OTHERS.contains(&name) || FLAVOURS.iter().any(|flavour| flavour.name == name)
        };
        Ok(match text.trim().split_once(' ') {
            Some(("since", release)) => Self::Since(release.parse()?),
            Some(("before", release)) => Self::Before(release.parse()?),
            None if text.trim() == "any" => Self::Any,
            None if is_known(text.trim()) => Self::Named(text.trim().to_owned()),
            _ => bail!("{text:?} is not a broker"),
        })
    }
}

impl FromStr for Release {
    type Err = anyhow::Error;

    /// Of `4.3.6`, the first two numbers count.
    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self(major, minor)),
            _ => bail!("{text:?} is not a release of RabbitMQ"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(name: &str, release: Option<&str>) -> Broker {
        Broker {
            name: name.to_owned(),
            release: release.map(|release| release.parse().unwrap()),
            description: String::new(),
        }
    }

    fn plan(marks: &str, broker: &Broker) -> Result<Plan> {
        let tests = ["a::one", "a::two", "b::one", "c"].map(str::to_owned);
        Marks::parse(marks)?.plan(&tests, broker)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn marks_of_releases_names_and_all() {
        let marks = "# a comment\n\
                     \n\
                     a::\tsince 4.0\tskipped\twhy\n\
                     b::one\tqpid, rabbitmq-4.3\tfails\twhy\n\
                     c\tbefore 4.0\tskipped\twhy\n";
        let expected = |run: &[&str], skipped: &[&str], failing: &[&str]| Plan {
            run: names(run),
            skipped: names(skipped),
            failing: names(failing),
        };
        assert_eq!(
            plan(marks, &broker("rabbitmq-4.3", Some("4.3.6"))).unwrap(),
            expected(&["c"], &["a::one", "a::two"], &["b::one"])
        );
        assert_eq!(
            plan(marks, &broker("rabbitmq-3.10", Some("3.10.8"))).unwrap(),
            expected(&["a::one", "a::two", "b::one"], &["c"], &[])
        );
        assert_eq!(
            plan(marks, &broker("qpid", None)).unwrap(),
            expected(&["a::one", "a::two", "c"], &[], &["b::one"])
        );
    }

    #[test]
    fn a_broker_may_run_a_part_only() {
        let marks = "a::\tqpid\tonly\twhy\na::two\tany\tskipped\twhy\n";
        let plan = plan(marks, &broker("qpid", None)).unwrap();
        assert_eq!(plan.run, names(&["a::one"]));
        assert_eq!(plan.skipped, names(&["a::two"]));
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named() {
        for (marks, complaint) in [
            (
                "d\tany\tskipped\twhy",
                "tests/brokers.tsv:1: there is no test d",
            ),
            ("a\tany\tskipped\twhy", "there is no test a"),
            ("c any skipped why", "four columns"),
            ("c\tany\tskipped\t ", "says why"),
            ("c\tany\tignored\twhy", "ignored"),
            ("c\trabbitmq-1.0\tskipped\twhy", "rabbitmq-1.0"),
            ("c\tsince yesterday\tskipped\twhy", "yesterday"),
            ("c\tany\tskipped\twhy\nc\tqpid\tfails\twhy", "both"),
        ] {
            let error = plan(marks, &broker("qpid", None)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(complaint), "{marks:?}: {error}");
        }
    }

    #[test]
    fn a_plan_can_be_narrowed_by_parts_of_names() {
        let narrowed = plan("c\tany\tskipped\twhy", &broker("qpid", None))
            .unwrap()
            .narrowed(&names(&["one"]));
        assert_eq!(narrowed.run, names(&["a::one", "b::one"]));
        assert!(narrowed.skipped.is_empty());
    }
}

//! What a run of the benchmarks found out, as it is kept in `docs/benchmarks/DATE.json`.

use serde::{Deserialize, Serialize};

use super::samples::{Summary, ratio};

/// All results of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    pub(crate) date: String,
    /// Small sizes and few rounds: good for trying the benchmarks, not for figures.
    pub(crate) quick: bool,
    pub(crate) minutes: f64,
    pub(crate) machine: Vec<Fact>,
    pub(crate) versions: Vec<Fact>,
    /// The share of all processors that was idle just before the start.
    pub(crate) idle_before: f64,
    pub(crate) races: Vec<Race>,
    pub(crate) tallies: Vec<Tally>,
    /// What could not be measured, and why.
    pub(crate) left_out: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Several ways to do the same, run in turn.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Race {
    pub(crate) id: String,
    pub(crate) title: String,
    /// What a reader must know to judge the figures.
    pub(crate) note: String,
    /// What one unit of work is, such as `message`.
    pub(crate) unit: String,
    pub(crate) lanes: Vec<Lane>,
}

/// One way to do it. Values are by round; a round that failed has none.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) who: Who,
    pub(crate) command: String,
    /// The lane that it is compared with, where that is not the race's first reference.
    pub(crate) against: Option<String>,
    /// How many units of work a run does.
    pub(crate) work: u64,
    /// From the process's start to its end.
    pub(crate) seconds: Vec<Option<f64>>,
    /// Processor time of the process and its children.
    pub(crate) cpu_seconds: Vec<Option<f64>>,
    /// The process's peak resident memory.
    pub(crate) peak_kib: Vec<u64>,
    pub(crate) failures: Vec<String>,
}

/// Whose way it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Who {
    /// This project.
    Ours,
    /// Debian's amqp-tools.
    Reference,
    /// A Python script with pika.
    Script,
    /// xargs or GNU parallel.
    Dispatcher,
    /// What no tool can beat.
    Limit,
}

/// Something that is counted, not timed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Tally {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) unit: String,
    /// Whether every count is the same, so that one is enough.
    pub(crate) is_exact: bool,
    pub(crate) rows: Vec<Row>,
}

/// One line of a tally. Several values show the spread; what cannot vary has one.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    /// What was counted, such as `declare`.
    pub(crate) name: String,
    pub(crate) who: Who,
    pub(crate) command: String,
    pub(crate) values: Vec<f64>,
}

impl Results {
    pub(crate) fn race(&self, id: &str) -> Option<&Race> {
        self.races.iter().find(|race| race.id == id)
    }

    pub(crate) fn tally(&self, id: &str) -> Option<&Tally> {
        self.tallies.iter().find(|tally| tally.id == id)
    }
}

impl Race {
    pub(crate) fn lane(&self, name: &str) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.name == name)
    }

    /// The lane that `lane` is compared with: the one it names, or the first of the reference, or the first at all.
    pub(crate) fn opponent(&self, lane: &Lane) -> Option<&Lane> {
        let named = lane.against.as_deref().and_then(|name| self.lane(name));
        let references = self.lanes.iter().find(|lane| lane.who == Who::Reference);
        named.or(references).or(self.lanes.first())
    }

    /// The time of a unit of work in one lane as a multiple of its opponent's.
    pub(crate) fn time_ratio(&self, lane: &Lane) -> Option<Summary> {
        lane.time_ratio(self.opponent(lane)?)
    }
}

impl Lane {
    /// Seconds for one unit of work, by round.
    pub(crate) fn seconds_per_unit(&self) -> Vec<Option<f64>> {
        #[allow(clippy::cast_precision_loss)] // at most some millions
        let work = self.work as f64;
        self.seconds
            .iter()
            .map(|seconds| seconds.map(|seconds| seconds / work))
            .collect()
    }

    /// The time of a unit of work as a multiple of `other`'s.
    pub(crate) fn time_ratio(&self, other: &Lane) -> Option<Summary> {
        ratio(&self.seconds_per_unit(), &other.seconds_per_unit())
    }

    /// The time of a whole run.
    pub(crate) fn time(&self) -> Option<Summary> {
        Summary::of(self.seconds.iter().flatten().copied())
    }

    /// Units of work a second.
    pub(crate) fn rate(&self) -> Option<Summary> {
        Summary::of(self.seconds_per_unit().into_iter().flatten()).map(|time| time.map(|t| 1.0 / t))
    }

    pub(crate) fn cpu(&self) -> Option<Summary> {
        Summary::of(self.cpu_seconds.iter().flatten().copied())
    }

    pub(crate) fn peak_mib(&self) -> Option<Summary> {
        #[allow(clippy::cast_precision_loss)]
        Summary::of(self.peak_kib.iter().map(|kib| *kib as f64 / 1024.0))
    }
}

impl Tally {
    pub(crate) fn row(&self, name: &str, who: Who) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.name == name && row.who == who)
    }
}

impl Row {
    pub(crate) fn summary(&self) -> Option<Summary> {
        Summary::of(self.values.iter().copied())
    }
}

//! Races: every lane runs once a round, in an order that rotates, so that noise and drift fall on all alike.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::invocation::{Invocation, Meter, Usage};
use super::lab::Lab;
use super::results::{Lane, Race, Who};

type Step<'a> = Box<dyn Fn() -> Result<()> + 'a>;
type Run<'a> = Box<dyn Fn(Meter) -> Result<Usage> + 'a>;

/// A lane that fails that often is not run again.
const FAILURES: usize = 3;

/// One way to do the work, with what comes before and after it, outside the measurement.
pub(crate) struct Entry<'a> {
    name: String,
    who: Who,
    command: String,
    against: Option<String>,
    work: u64,
    before: Step<'a>,
    run: Run<'a>,
    after: Step<'a>,
}

impl<'a> Entry<'a> {
    /// A command that does one unit of work.
    pub(crate) fn command(
        lab: &Lab,
        name: impl Into<String>,
        who: Who,
        invocation: Invocation,
    ) -> Self {
        let shown = lab.shown(&invocation);
        Self::of(name, who, shown, move |meter| invocation.run(meter))
    }

    /// Something else than a command, described by `shown`.
    pub(crate) fn of(
        name: impl Into<String>,
        who: Who,
        shown: impl Into<String>,
        run: impl Fn(Meter) -> Result<Usage> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            who,
            command: shown.into(),
            against: None,
            work: 1,
            before: Box::new(|| Ok(())),
            run: Box::new(run),
            after: Box::new(|| Ok(())),
        }
    }

    /// Calls it otherwise.
    pub(crate) fn named(mut self, name: String) -> Self {
        self.name = name;
        self
    }

    /// Says in other words what is run, where the command itself is too long to print.
    pub(crate) fn described(mut self, command: String) -> Self {
        self.command = command;
        self
    }

    /// Names the lane that it is compared with.
    pub(crate) fn against(mut self, lane: impl Into<String>) -> Self {
        self.against = Some(lane.into());
        self
    }

    pub(crate) fn work(mut self, units: u64) -> Self {
        self.work = units;
        self
    }

    pub(crate) fn before(mut self, step: impl Fn() -> Result<()> + 'a) -> Self {
        self.before = Box::new(step);
        self
    }

    pub(crate) fn after(mut self, step: impl Fn() -> Result<()> + 'a) -> Self {
        self.after = Box::new(step);
        self
    }

    fn once(&self, meter: Meter) -> Result<Usage> {
        (self.before)()?;
        let usage = (self.run)(meter)?;
        (self.after)()?;
        Ok(usage)
    }

    fn empty_lane(&self) -> Lane {
        Lane {
            name: self.name.clone(),
            who: self.who,
            command: self.command.clone(),
            against: self.against.clone(),
            work: self.work,
            seconds: Vec::new(),
            cpu_seconds: Vec::new(),
            peak_kib: Vec::new(),
            failures: Vec::new(),
        }
    }
}

/// A race before it is run.
pub(crate) struct Track<'a> {
    race: Race,
    entries: Vec<Entry<'a>>,
    meter: Meter,
    started: Instant,
}

impl<'a> Track<'a> {
    /// A race for time alone.
    pub(crate) fn new(id: &str, title: &str, unit: &str) -> Self {
        Self {
            race: Race {
                id: id.to_owned(),
                title: title.to_owned(),
                note: String::new(),
                unit: unit.to_owned(),
                lanes: Vec::new(),
            },
            entries: Vec::new(),
            meter: Meter::Time,
            started: Instant::now(),
        }
    }

    /// What a reader must know to judge the figures.
    pub(crate) fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.race.note);
        self
    }

    /// Measures peak memory too, for runs so long that GNU time's own half millisecond does not count.
    pub(crate) fn with_memory(mut self) -> Self {
        self.meter = Meter::TimeAndMemory;
        self
    }

    pub(crate) fn enter(mut self, entry: Entry<'a>) -> Self {
        self.race.lanes.push(entry.empty_lane());
        self.entries.push(entry);
        self
    }

    pub(crate) fn enter_all(self, entries: impl IntoIterator<Item = Entry<'a>>) -> Self {
        entries.into_iter().fold(self, Self::enter)
    }

    /// Runs every lane once without recording it, so that files are cached and the broker has met the queue.
    pub(crate) fn warm_up(self) -> Self {
        for entry in &self.entries {
            let _ = entry.once(self.meter); // what fails now fails again when it counts
        }
        self
    }

    /// Runs every lane `rounds` times.
    pub(crate) fn run(mut self, rounds: usize) -> Self {
        for round in 0..rounds {
            let id = &self.race.id;
            eprintln!("bench: {id}: round {} of {rounds}", round + 1);
            for place in 0..self.entries.len() {
                self.run_lane((place + round) % self.entries.len());
            }
        }
        self
    }

    /// Runs every lane `times` times more for its peak memory alone.
    pub(crate) fn weigh(mut self, times: usize) -> Self {
        for (entry, lane) in self.entries.iter().zip(&mut self.race.lanes) {
            let usages = (0..times).filter_map(|_| entry.once(Meter::TimeAndMemory).ok());
            lane.peak_kib
                .extend(usages.filter_map(|usage| usage.peak_kib));
        }
        self
    }

    /// The results.
    pub(crate) fn finish(self) -> Race {
        report(&self.race, self.started.elapsed());
        self.race
    }

    fn run_lane(&mut self, number: usize) {
        let (entry, lane) = (&self.entries[number], &mut self.race.lanes[number]);
        let result = if lane.failures.len() < FAILURES {
            entry.once(self.meter)
        } else {
            Err(anyhow::anyhow!("not run again after {FAILURES} failures"))
        };
        let usage = result
            .map_err(|error| lane.failures.push(one_line(&error)))
            .ok();
        lane.seconds.push(usage.map(|usage| usage.seconds));
        lane.cpu_seconds
            .push(usage.and_then(|usage| usage.cpu_seconds));
        lane.peak_kib.extend(usage.and_then(|usage| usage.peak_kib));
    }
}

fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Says on standard error how a race went, for whoever waits.
fn report(race: &Race, took: Duration) {
    eprintln!("bench: {} ({:.0} s)", race.id, took.as_secs_f64());
    for lane in &race.lanes {
        let seconds = lane.time().map_or(f64::NAN, |time| time.median);
        let speed = lane.rate().map_or(f64::NAN, |speed| speed.median);
        let ratio = race.time_ratio(lane).map_or(f64::NAN, |ratio| ratio.median);
        let peak = lane.peak_mib().map_or_else(
            || "no peak".to_owned(),
            |peak| format!("{:.1} MiB", peak.maximum),
        );
        eprintln!(
            "  {:<44} {seconds:>9.4} s {speed:>12.1} {}/s  x{ratio:<6.2} {peak:>10}  {} failed",
            lane.name,
            race.unit,
            lane.failures.len()
        );
        if let Some(failure) = lane.failures.first() {
            eprintln!("    {failure}");
        }
    }
}

//! What the figures must show, and whether they do; and where we lose, found in the figures themselves.

use super::experiments::consuming::{self, bare_name, ours_name, reference_name};
use super::experiments::seeding::{self, growth_name, window_name};
use super::results::{Lane, Race, Results, Who};
use super::samples::{Summary, ratio};

/// A bound on a figure.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) claim: String,
    pub(crate) bound: Bound,
    pub(crate) measured: Summary,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    pub(crate) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(limit) => self.measured.median <= limit,
            Bound::AtLeast(limit) => self.measured.median >= limit,
        }
    }
}

/// All targets whose figures were measured.
pub(crate) fn all(results: &Results) -> Vec<Target> {
    let targets = one_shot(results)
        .into_iter()
        .chain(round_trips(results))
        .chain(seeding(results))
        .chain(consumption(results))
        .chain([files(results), computing(results)])
        .chain(memory(results));
    targets.flatten().collect()
}

fn one_shot(results: &Results) -> Vec<Option<Target>> {
    let time = |task: &str, limit| {
        let race = results.race(&format!("one-shot-{task}"))?;
        let ours = race.lanes.iter().find(|lane| lane.who == Who::Ours)?;
        target(
            format!("{task} once: time, ours ÷ reference"),
            Bound::AtMost(limit),
            race.time_ratio(ours),
        )
    };
    vec![time("declare", 0.85), time("publish", 1.0)]
}

/// Half a round trip is allowed for noise; a whole one would show.
fn round_trips(results: &Results) -> Vec<Option<Target>> {
    let extra = |task: &str, limit: f64| {
        let tally = results.tally("round-trips")?;
        let ours = &tally.row(task, Who::Ours)?.values;
        let reference = &tally.row(task, Who::Reference)?.values;
        let differences = ours
            .iter()
            .zip(reference)
            .map(|(ours, theirs)| ours - theirs);
        target(
            format!("{task} once: round trips more than the reference (in whole ones)"),
            Bound::AtMost(limit),
            Summary::of(differences.map(|difference| difference.round() + 0.0)),
        )
    };
    vec![
        extra("declare", 0.0),
        extra("get", 0.0),
        extra("consume", 0.0),
        extra("publish", 1.0),
    ]
}

fn seeding(results: &Results) -> Vec<Option<Target>> {
    vec![results.race("seeding").and_then(|race| {
        let ours = race.lane(&window_name(1000))?;
        let reference = race.lane(seeding::REFERENCE)?;
        target(
            "seeding with confirms: messages a second, ours ÷ reference (which has none)"
                .to_owned(),
            Bound::AtLeast(1.0),
            rate_ratio(ours, reference),
        )
    })]
}

fn consumption(results: &Results) -> Vec<Option<Target>> {
    let mut targets = Vec::new();
    for (command, _) in consuming::COMMANDS {
        let Some(race) = results.race(&consuming::race_id(command)) else {
            continue;
        };
        let compare = |jobs: u64, other: &str, what: &str, limit| {
            target(
                format!("consuming with {command} at -j {jobs}: messages a second ÷ {what}"),
                Bound::AtLeast(limit),
                rate_ratio(race.lane(&ours_name(jobs))?, race.lane(other)?),
            )
        };
        targets.push(compare(1, &reference_name(1), "the reference's", 0.97));
        targets.push(compare(1, &bare_name(1), "the bare spawn loop's", 0.80));
        targets.push(compare(2, &ours_name(1), "that at -j 1", 1.7));
    }
    targets
}

fn files(results: &Results) -> Option<Target> {
    let race = results.race(seeding::FILES)?;
    let as_files = race.lane(seeding::AS_FILES)?;
    target(
        "messages of 1 KiB: time from a file each ÷ from a line each".to_owned(),
        Bound::AtMost(1.5),
        as_files.time_ratio(race.lane(seeding::AS_LINES)?),
    )
}

fn computing(results: &Results) -> Option<Target> {
    let race = results.race(&consuming::race_id("computing"))?;
    let two = race.lane(&ours_name(2))?;
    target(
        "consuming with a command that computes: time at -j 2 ÷ at -j 1".to_owned(),
        Bound::AtMost(0.6),
        two.time_ratio(race.lane(&ours_name(1))?),
    )
}

fn memory(results: &Results) -> Vec<Option<Target>> {
    let peak = |messages| {
        let race = results.race("seeding-growth")?;
        race.lane(&growth_name("confirmed", messages))?.peak_mib()
    };
    let flat = peak(1_000_000)
        .zip(peak(10_000))
        .and_then(|(large, small)| {
            target(
                "peak memory for a million records ÷ that for ten thousand".to_owned(),
                Bound::AtMost(1.1),
                Some(large.map(|mib| mib / small.median)),
            )
        });
    let consuming = |messages| {
        let race = results.race(consuming::GROWTH)?;
        race.lane(&consuming::growth_name("ours", messages))?
            .peak_mib()
    };
    let flat_consuming = consuming(10_000)
        .zip(consuming(100))
        .and_then(|(many, few)| {
            target(
                "peak memory for consuming 10 000 messages ÷ that for 100".to_owned(),
                Bound::AtMost(1.1),
                Some(many.map(|mib| mib / few.median)),
            )
        });
    vec![
        target(
            "peak memory for seeding a million records, MiB".to_owned(),
            Bound::AtMost(16.0),
            peak(1_000_000),
        ),
        flat,
        flat_consuming,
    ]
}

fn target(claim: String, bound: Bound, measured: Option<Summary>) -> Option<Target> {
    Some(Target {
        claim,
        bound,
        measured: measured.filter(Summary::is_repeated)?,
    })
}

/// Units a second in one lane as a multiple of another's.
pub(crate) fn rate_ratio(lane: &Lane, other: &Lane) -> Option<Summary> {
    ratio(&other.seconds_per_unit(), &lane.seconds_per_unit())
}

/// A figure in which another does better than we do.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) kind: Kind,
    pub(crate) what: String,
    pub(crate) ratio: Summary,
}

/// What is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Time,
    Memory,
    /// Round trips, instructions, sizes.
    Count,
}

/// Everything in which ours is clearly worse than what a user has instead: three quarters of the rounds say so, and by
/// more than a fiftieth.
pub(crate) fn losses(results: &Results) -> Vec<Loss> {
    let in_races = results.races.iter().flat_map(|race| {
        let ours = race.lanes.iter().filter(|lane| lane.who == Who::Ours);
        ours.flat_map(move |lane| {
            let rivals = rivals(race, lane).into_iter();
            rivals.flat_map(move |rival| {
                [time_loss(race, lane, rival), memory_loss(race, lane, rival)]
            })
        })
    });
    let in_tallies = results.tallies.iter().flat_map(|tally| {
        let ours = tally.rows.iter().filter(|row| row.who == Who::Ours);
        ours.map(move |row| {
            let reference = tally.row(&row.name, Who::Reference)?.summary()?;
            let ratio = row.summary()?.map(|value| value / reference.median);
            let what = format!("{}, {}", lower(&tally.title), row.name);
            let is_certain = ratio.is_repeated() || tally.is_exact;
            let kind = Kind::Count;
            (is_certain && clear(ratio)).then_some(Loss { kind, what, ratio })
        })
    });
    in_races.chain(in_tallies).flatten().collect()
}

fn time_loss(race: &Race, lane: &Lane, rival: &Lane) -> Option<Loss> {
    let ratio = lane.time_ratio(rival).filter(Summary::is_repeated)?;
    let what = format!("{}: {} ÷ {}", race.title, lane.name, rival.name);
    let kind = Kind::Time;
    clear(ratio).then_some(Loss { kind, what, ratio })
}

fn memory_loss(race: &Race, lane: &Lane, rival: &Lane) -> Option<Loss> {
    let theirs = rival.peak_mib()?.median;
    let ratio = lane.peak_mib()?.map(|mib| mib / theirs);
    let what = format!("{}: {} ÷ {}", race.title, lane.name, rival.name);
    let kind = Kind::Memory;
    (ratio.is_repeated() && clear(ratio)).then_some(Loss { kind, what, ratio })
}

/// What a user would run instead: the reference that the lane is compared with, and everything else that is not ours and
/// no mere limit.
fn rivals<'race>(race: &'race Race, lane: &'race Lane) -> Vec<&'race Lane> {
    let reference = race
        .opponent(lane)
        .filter(|other| other.who == Who::Reference);
    let others = race
        .lanes
        .iter()
        .filter(|other| matches!(other.who, Who::Script | Who::Dispatcher));
    reference.into_iter().chain(others).collect()
}

fn clear(ratio: Summary) -> bool {
    ratio.lower_quartile > 1.0 && ratio.median > 1.02
}

fn lower(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str, who: Who, seconds: &[f64]) -> Lane {
        Lane {
            name: name.to_owned(),
            who,
            command: String::new(),
            against: None,
            work: 1,
            seconds: seconds.iter().copied().map(Some).collect(),
            cpu_seconds: Vec::new(),
            peak_kib: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn lost(ours: &[f64], theirs: &[f64], who: Who) -> Vec<Kind> {
        let race = Race {
            id: "race".to_owned(),
            title: "A race".to_owned(),
            note: String::new(),
            unit: "run".to_owned(),
            lanes: vec![lane("ours", Who::Ours, ours), lane("theirs", who, theirs)],
        };
        let results = Results {
            date: String::new(),
            quick: false,
            minutes: 0.0,
            machine: Vec::new(),
            versions: Vec::new(),
            idle_before: 1.0,
            races: vec![race],
            tallies: Vec::new(),
            left_out: Vec::new(),
        };
        losses(&results).iter().map(|loss| loss.kind).collect()
    }

    #[test]
    fn what_is_slower_than_what_one_would_run_instead_is_a_loss() {
        let (fast, slow) = ([1.0, 1.0, 1.0, 1.0], [1.1, 1.2, 1.1, 0.9]);
        for rival in [Who::Reference, Who::Script, Who::Dispatcher] {
            assert_eq!(lost(&slow, &fast, rival), [Kind::Time], "{rival:?}");
            assert_eq!(lost(&fast, &slow, rival), [], "{rival:?}");
        }
        assert_eq!(lost(&slow, &fast, Who::Limit), []);
    }

    #[test]
    fn neither_noise_nor_two_runs_are_a_loss() {
        assert_eq!(lost(&[1.1, 0.9, 1.2, 0.9], &[1.0; 4], Who::Reference), []);
        assert_eq!(lost(&[1.01; 4], &[1.0; 4], Who::Reference), []);
        assert_eq!(lost(&[2.0; 2], &[1.0; 2], Who::Reference), []);
    }
}

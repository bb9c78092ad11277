//! What the figures must show, and whether they do; and where we lose, found in the figures themselves.

use super::experiments::consuming::{self, bare_name, ours_name};
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
        targets.push(compare(1, "reference, -p 1", "the reference's", 0.97));
        targets.push(compare(1, &bare_name(1), "the bare spawn loop's", 0.80));
        targets.push(compare(2, &ours_name(1), "that at -j 1", 1.7));
    }
    targets
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
    vec![
        target(
            "peak memory for seeding a million records, MiB".to_owned(),
            Bound::AtMost(16.0),
            peak(1_000_000),
        ),
        flat,
    ]
}

fn target(claim: String, bound: Bound, measured: Option<Summary>) -> Option<Target> {
    Some(Target {
        claim,
        bound,
        measured: measured?,
    })
}

/// Units a second in one lane as a multiple of another's.
pub(crate) fn rate_ratio(lane: &Lane, other: &Lane) -> Option<Summary> {
    ratio(&other.seconds_per_unit(), &lane.seconds_per_unit())
}

/// A figure in which another does better than we do.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) what: String,
    pub(crate) ratio: Summary,
}

/// Everything in which ours is clearly worse than what a user has instead: three quarters of the rounds say so, and by
/// more than a fiftieth.
pub(crate) fn losses(results: &Results) -> Vec<Loss> {
    let in_races = results.races.iter().flat_map(|race| {
        let ours = race.lanes.iter().filter(|lane| lane.who == Who::Ours);
        // Other windows than the default are there to show what a window does.
        let ours = ours.filter(|lane| {
            race.id != "seeding" || lane.name != window_name(1) && lane.name != window_name(20)
        });
        ours.flat_map(move |lane| [time_loss(race, lane), memory_loss(race, lane)])
    });
    let in_tallies = results.tallies.iter().flat_map(|tally| {
        let ours = tally.rows.iter().filter(|row| row.who == Who::Ours);
        ours.map(move |row| {
            let reference = tally.row(&row.name, Who::Reference)?.summary()?;
            let ratio = row.summary()?.map(|value| value / reference.median);
            let what = format!("{}, {}", lower(&tally.title), row.name);
            clear(ratio).then_some(Loss { what, ratio })
        })
    });
    in_races.chain(in_tallies).flatten().collect()
}

fn time_loss(race: &Race, lane: &Lane) -> Option<Loss> {
    let opponent = rival(race, lane)?;
    let ratio = lane.time_ratio(opponent)?;
    let what = format!("{}: time, {} ÷ {}", race.title, lane.name, opponent.name);
    clear(ratio).then_some(Loss { what, ratio })
}

fn memory_loss(race: &Race, lane: &Lane) -> Option<Loss> {
    let opponent = rival(race, lane)?;
    let theirs = opponent.peak_mib()?.median;
    let ratio = lane.peak_mib()?.map(|mib| mib / theirs);
    let what = format!(
        "{}: peak memory, {} ÷ {}",
        race.title, lane.name, opponent.name
    );
    clear(ratio).then_some(Loss { what, ratio })
}

/// What a user would run instead; nobody loses against himself.
fn rival<'race>(race: &'race Race, lane: &Lane) -> Option<&'race Lane> {
    let others = |who| race.lanes.iter().find(move |other| other.who == who);
    let named = race
        .opponent(lane)
        .filter(|other| other.who == Who::Reference);
    named.or_else(|| others(Who::Dispatcher))
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

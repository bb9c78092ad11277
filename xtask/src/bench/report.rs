//! `docs/BENCHMARKS.md`, written from the results alone, so that what it says is what was measured.

use std::fmt::Write as _;

use anyhow::Result;

use super::results::{Lane, Race, Results, Row, Tally, Who};
use super::samples::Summary;
use super::targets::{self, Bound, Kind, Target};

/// Below that share of idle processors the machine had other things to do.
const QUIET: f64 = 0.9;

/// The page, with the plots that were drawn.
pub(crate) fn page(results: &Results, plots: &[&str]) -> Result<String> {
    let mut page = String::new();
    introduction(&mut page, results)?;
    targets_section(&mut page, results)?;
    losses_section(&mut page, results)?;
    for (plot, text) in PLOTS {
        if plots.contains(plot) {
            writeln!(page, "![{text}](benchmarks/{plot}.svg)\n")?;
        }
    }
    writeln!(page, "## All figures\n")?;
    for tally in &results.tallies {
        tally_section(&mut page, tally)?;
    }
    for race in &results.races {
        race_section(&mut page, race)?;
    }
    conditions(&mut page, results)?;
    Ok(page)
}

const PLOTS: &[(&str, &str)] = &[
    ("one-shot", "Time of one run"),
    ("round-trips", "Round trips of one run"),
    (
        "seeding",
        "Messages a second by the window of unconfirmed messages",
    ),
    ("consuming", "Messages a second by command and jobs"),
    ("growth-time", "Time to seed, by the number of messages"),
    (
        "growth-memory",
        "Peak memory of seeding, by the number of messages",
    ),
];

fn introduction(page: &mut String, results: &Results) -> Result<()> {
    let quick = if results.quick { " --quick" } else { "" };
    writeln!(page, "# Benchmarks\n")?;
    writeln!(
        page,
        "Written by `cargo xtask bench{quick}` on {} from [its results](benchmarks/{}.json); run it to repeat them \
         (it took {:.0} minutes). It starts a private RabbitMQ, builds the release binaries, and lets every contender \
         do the same work in turn, A B C, then B C A, and so on.\n",
        results.date, results.date, results.minutes
    )?;
    writeln!(
        page,
        "Figures are medians, with the quartiles in parentheses. A ratio is taken round by round, so that what \
         disturbed a round disturbed both sides of it; absolute figures stand beside it, and they hold for one \
         machine only. *The reference* is Debian's amqp-tools, *pika* a Python script of the kind people write \
         instead (they are in `xtask/src/bench/pika/`). Processor time and peak memory are those of the process and of \
         the commands that it has started; peak memory is that of the largest of them. Limits have none, as they run \
         within the benchmark.\n"
    )?;
    if results.quick {
        writeln!(
            page,
            "**A quick run: small sizes and few rounds. These are no figures to quote.**\n"
        )?;
    }
    if results.idle_before < QUIET {
        writeln!(
            page,
            "**The machine was not quiet: {:.0} % of it was busy just before the start.** Ratios suffer less from \
             that than absolute figures.\n",
            (1.0 - results.idle_before) * 100.0
        )?;
    }
    Ok(())
}

fn targets_section(page: &mut String, results: &Results) -> Result<()> {
    let targets = targets::all(results);
    if targets.is_empty() {
        return Ok(());
    }
    writeln!(page, "## What they must show, and do they?\n")?;
    writeln!(page, "| figure | wanted | measured | |\n|---|---|---|---|")?;
    for target in &targets {
        let verdict = if target.is_met() {
            "met"
        } else {
            "**not met**"
        };
        let measured = with_quartiles(target.measured, ratio_text);
        writeln!(
            page,
            "| {} | {} | {measured} | {verdict} |",
            target.claim,
            bound(target)
        )?;
    }
    Ok(writeln!(page)?)
}

fn bound(target: &Target) -> String {
    match target.bound {
        Bound::AtMost(limit) => format!("at most {limit}"),
        Bound::AtLeast(limit) => format!("at least {limit}"),
    }
}

fn losses_section(page: &mut String, results: &Results) -> Result<()> {
    let mut losses = targets::losses(results);
    losses.sort_by(|one, other| other.ratio.median.total_cmp(&one.ratio.median));
    writeln!(page, "## Where we lose\n")?;
    writeln!(
        page,
        "All figures in which ours is clearly worse than what one would run instead, the reference, a script or a \
         dispatcher (in three quarters of the rounds, and by more than 2 %), the worst first. What is compared may not \
         be the same service: the reference waits for no confirms.\n"
    )?;
    for (kind, heading) in [
        (Kind::Time, "Time"),
        (Kind::Memory, "Peak memory"),
        (Kind::Count, "Round trips, instructions and sizes"),
    ] {
        writeln!(page, "{heading}:\n")?;
        let mut there_are_none = true;
        for loss in losses.iter().filter(|loss| loss.kind == kind) {
            let ratio = with_quartiles(loss.ratio, ratio_text);
            writeln!(page, "* {}: {ratio}", loss.what)?;
            there_are_none = false;
        }
        if there_are_none {
            writeln!(page, "* none in this run")?;
        }
        writeln!(page)?;
    }
    Ok(())
}

fn tally_section(page: &mut String, tally: &Tally) -> Result<()> {
    writeln!(page, "### {}\n\n{}\n", tally.title, tally.note)?;
    writeln!(
        page,
        "| | whose | ÷ reference | {} (min..max) | runs |\n|---|---|---|---|---|",
        tally.unit
    )?;
    for row in &tally.rows {
        let Some(summary) = row.summary() else {
            continue;
        };
        let reference = tally.row(&row.name, Who::Reference).and_then(Row::summary);
        let ratio = reference.filter(|_| row.who != Who::Reference);
        let ratio = ratio.map_or(String::new(), |reference| {
            ratio_text(summary.median / reference.median)
        });
        writeln!(
            page,
            "| {} | {} | {ratio} | {} | {} |",
            row.name,
            whose(row.who),
            with_extremes(summary, number),
            summary.count
        )?;
    }
    let commands = tally
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.command.as_str()));
    commands_list(page, commands)
}

fn race_section(page: &mut String, race: &Race) -> Result<()> {
    writeln!(page, "### {}\n", race.title)?;
    if !race.note.is_empty() {
        writeln!(page, "{}\n", race.note)?;
    }
    let unit = if is_rated(race) {
        format!("{}s a second", race.unit)
    } else {
        "ms a run".to_owned()
    };
    writeln!(
        page,
        "| | time ÷ | of | {unit} (min..max) | processor time | peak memory | runs |\n|---|---|---|---|---|---|---|"
    )?;
    for lane in &race.lanes {
        lane_row(page, race, lane)?;
    }
    let commands = race
        .lanes
        .iter()
        .map(|lane| (lane.name.as_str(), lane.command.as_str()));
    commands_list(page, commands)
}

/// Whether its speed is given as units a second, not as the time of a run.
fn is_rated(race: &Race) -> bool {
    race.unit != "run"
}

fn lane_row(page: &mut String, race: &Race, lane: &Lane) -> Result<()> {
    let speed = if is_rated(race) {
        lane.rate()
            .map(|speed| with_extremes(speed, |value| format!("{value:.0}")))
    } else {
        lane.time()
            .map(|time| with_extremes(time, |seconds| format!("{:.2}", seconds * 1000.0)))
    };
    let opponent = race.opponent(lane).filter(|other| other.name != lane.name);
    let ratio = opponent.and_then(|other| lane.time_ratio(other));
    let cpu = lane
        .cpu()
        .map(|cpu| with_extremes(cpu, |seconds| format!("{:.1}", seconds * 1000.0)) + " ms");
    let peak = lane
        .peak_mib()
        .map(|peak| with_extremes(peak, |mib| format!("{mib:.1}")) + " MiB");
    let failures = lane
        .failures
        .first()
        .map(|failure| format!("{} failed: {failure}", lane.failures.len()));
    writeln!(
        page,
        "| {} | {} | {} | {} | {} | {} | {} |",
        lane.name,
        ratio.map_or(String::new(), |ratio| with_quartiles(ratio, ratio_text)),
        opponent.map_or("", |other| &other.name),
        speed.or(failures).unwrap_or_default(),
        cpu.unwrap_or_default(),
        peak.unwrap_or_default(),
        lane.seconds.iter().flatten().count()
    )?;
    Ok(())
}

/// The exact commands, folded away.
fn commands_list<'a>(
    page: &mut String,
    commands: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<()> {
    let commands: Vec<_> = commands
        .filter(|(_, command)| !command.is_empty())
        .collect();
    if commands.is_empty() {
        return Ok(writeln!(page)?);
    }
    writeln!(page, "\n<details><summary>Commands</summary>\n")?;
    for (name, command) in commands {
        writeln!(page, "* {name}: `{command}`")?;
    }
    Ok(writeln!(page, "\n</details>\n")?)
}

fn conditions(page: &mut String, results: &Results) -> Result<()> {
    writeln!(page, "## Machine and versions\n")?;
    writeln!(page, "| | |\n|---|---|")?;
    for fact in results.machine.iter().chain(&results.versions) {
        writeln!(page, "| {} | {} |", fact.name, fact.value)?;
    }
    writeln!(
        page,
        "| idle before the start | {:.0} % |\n",
        results.idle_before * 100.0
    )?;
    for missing in &results.left_out {
        writeln!(page, "Left out: {missing}\n")?;
    }
    Ok(())
}

fn whose(who: Who) -> &'static str {
    match who {
        Who::Ours => "ours",
        Who::Reference => "reference",
        Who::Script => "pika",
        Who::Dispatcher => "dispatcher",
        Who::Limit => "limit",
    }
}

fn ratio_text(value: f64) -> String {
    format!("{value:.2}")
}

/// Three digits, whatever the magnitude.
fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn with_quartiles(summary: Summary, text: impl Fn(f64) -> String) -> String {
    let Summary {
        lower_quartile,
        median,
        upper_quartile,
        ..
    } = summary;
    format!(
        "{} ({}..{})",
        text(median),
        text(lower_quartile),
        text(upper_quartile)
    )
}

fn with_extremes(summary: Summary, text: impl Fn(f64) -> String) -> String {
    if summary.count == 1 {
        return text(summary.median);
    }
    format!(
        "{} ({}..{})",
        text(summary.median),
        text(summary.minimum),
        text(summary.maximum)
    )
}

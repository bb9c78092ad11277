//! The page: a table for each group, two plots, and the results as JSON beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use plotters::prelude::*;
use serde_json::json;

use super::Measured;
use super::experiments::{Experiment, GROUPS, Group, OURS, REFERENCE};
use crate::run::output;

type Results<'a> = [(&'a Experiment, Vec<Measured>)];

/// Writes the page into `folder`, and the results and plots into `benchmarks/` in it.
pub(crate) fn write(folder: &Path, results: &Results, idle: f64, facts: &str) -> Result<()> {
    let date = output(Command::new("date").args(["-u", "+%F"]))?;
    let assets = folder.join("benchmarks");
    let _ = fs::remove_dir_all(&assets); // what an earlier run has left
    fs::create_dir_all(&assets)?;
    let raw: Vec<_> = results
        .iter()
        .map(|(experiment, entries)| json!({"title": experiment.title, "entries": entries}))
        .collect();
    fs::write(
        assets.join(format!("{date}.json")),
        serde_json::to_string(&raw)? + "\n",
    )?;
    let mut page = heading(&date);
    for (group, title, note) in GROUPS {
        let of_group: Vec<_> = results
            .iter()
            .filter(|(one, _)| one.group == group)
            .collect();
        if of_group.is_empty() {
            continue;
        }
        write!(page, "\n## {title}\n\n{note}\n\n")?;
        if group == Group::Growth {
            growth_table(&mut page, &of_group)?;
            continue;
        }
        table(&mut page, &of_group)?;
        if let Some((file, unit)) = plot_of(group) {
            plot(
                &assets.join(file),
                &format!("{title}: {unit}"),
                of_group[of_group.len() / 2],
            )?;
            write!(page, "\n![{title}](benchmarks/{file})\n")?;
        }
    }
    losses(&mut page, results)?;
    let idle = idle * 100.0;
    write!(page, "\n## Machine and programs\n\n{facts}")?;
    writeln!(page, "* idle before the start: {idle:.0} %")?;
    let path = folder.join("BENCHMARKS.md");
    fs::write(&path, page)?;
    println!("{}", path.display());
    Ok(())
}

fn heading(date: &str) -> String {
    format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench` on {date}. All contenders do the same work in turn on a private RabbitMQ. \
         Figures are medians; a ratio\nis taken round by round and has its quartiles in parentheses: absolute figures hold for one \
         machine, ratios travel better.\n*amqp-tools* are ours, as they ship (one static binary), the *reference* is Debian's \
         package of that name, *pika* a script\nof the kind people write instead (`xtask/src/bench/with_pika.py`), and the *limit* \
         (`xtask/src/bin/bare.rs`) is what the machine\ncan do at all. [All runs](benchmarks/{date}.json), and \
         [all commands](../xtask/src/bench/experiments.rs).\n"
    )
}

fn table(page: &mut String, group: &[&(&Experiment, Vec<Measured>)]) -> Result<()> {
    writeln!(
        page,
        "| | ms | time ÷ reference | time ÷ limit |\n|---|---:|---|---|"
    )?;
    for (experiment, entries) in group {
        writeln!(page, "| **{}** | | | |", experiment.title)?;
        for entry in entries {
            writeln!(
                page,
                "| {} | {:.1} | {} | {} |",
                entry.name,
                quartiles(entry.seconds.clone())[1] * 1000.0,
                ratio(entry, entries, REFERENCE),
                ratio(entry, entries, entry.limit),
            )?;
        }
    }
    Ok(())
}

fn growth_table(page: &mut String, group: &[&(&Experiment, Vec<Measured>)]) -> Result<()> {
    writeln!(
        page,
        "| | ms | peak MiB | reference: ms | peak MiB | time ÷ reference |"
    )?;
    writeln!(page, "|---|---:|---:|---:|---:|---|")?;
    for (experiment, entries) in group {
        write!(page, "| {}", experiment.title)?;
        for entry in entries {
            let peak = entry
                .peak_kib
                .map_or(f64::NAN, |kib| f64::from(kib) / 1024.0);
            write!(
                page,
                " | {:.0} | {peak:.1}",
                quartiles(entry.seconds.clone())[1] * 1000.0
            )?;
        }
        writeln!(page, " | {} |", ratio(&entries[0], entries, REFERENCE))?;
    }
    Ok(())
}

/// Everything in which ours takes clearly longer than the reference, in three quarters of the rounds.
fn losses(page: &mut String, results: &Results) -> Result<()> {
    write!(page, "\n## Where we lose\n\n")?;
    for (experiment, entries) in results {
        for entry in entries.iter().filter(|entry| entry.name.starts_with(OURS)) {
            let ratios = ratios(entry, entries, REFERENCE);
            if ratios.is_some_and(|ratios| ratios[0] > 1.02) {
                let ratio = ratio(entry, entries, REFERENCE);
                writeln!(
                    page,
                    "* {}: {} takes {ratio} of the reference's time.",
                    experiment.title, entry.name
                )?;
            }
        }
    }
    page.push_str(LOSSES_EXPLAINED);
    Ok(())
}

const LOSSES_EXPLAINED: &str = "
What confirms cost stands in the two lines of bulk publishing: the broker writes a confirm for each message, and a persistent \
message is confirmed\nonce it is on disk. In return exit status 0 means that the broker has every message; without confirms, no \
publisher can know.\nA body is read as a whole before it is published, since AMQP wants its length first.\n";

/// The time of an entry divided by that of another, in the same round.
fn ratios(entry: &Measured, entries: &[Measured], other: &str) -> Option<[f64; 3]> {
    let other = entries
        .iter()
        .find(|one| one.name == other && one.name != entry.name)?;
    let pairs = entry.seconds.iter().zip(&other.seconds);
    Some(quartiles(pairs.map(|(one, two)| one / two).collect()))
}

fn ratio(entry: &Measured, entries: &[Measured], other: &str) -> String {
    ratios(entry, entries, other).map_or(String::new(), |[low, median, high]| {
        format!("{median:.2} ({low:.2} to {high:.2})")
    })
}

/// The quartiles of some numbers, the median in the middle.
fn quartiles(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().saturating_sub(1);
    [last / 4, last / 2, last - last / 4].map(|at| numbers.get(at).copied().unwrap_or(f64::NAN))
}

/// The groups that have a plot: of the experiment in their middle.
fn plot_of(group: Group) -> Option<(&'static str, &'static str)> {
    match group {
        Group::OneShot => Some(("one-shot.svg", "ms")),
        Group::Publishing => Some(("publishing.svg", "ms")),
        Group::Worker | Group::Growth => None,
    }
}

/// The range of the quartiles of each entry, as bars.
fn plot(
    path: &Path,
    title: &str,
    (experiment, entries): &(&Experiment, Vec<Measured>),
) -> Result<()> {
    let drawing =
        SVGBackend::new(path, (800, 60 + 40 * u32::try_from(entries.len())?)).into_drawing_area();
    drawing.fill(&WHITE)?;
    let all: Vec<[f64; 3]> = (entries.iter())
        .map(|entry| {
            let milliseconds = entry.seconds.iter().map(|seconds| seconds * 1000.0);
            quartiles(milliseconds.collect())
        })
        .collect();
    let longest = all.iter().map(|[_, _, high]| *high).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&drawing)
        .caption(format!("{title}, {}", experiment.title), ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(200)
        .build_cartesian_2d(0.0..longest * 1.05, (0..entries.len()).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_label_formatter(&|place| match place {
            SegmentValue::CenterOf(number) => entries
                .get(*number)
                .map_or("", |entry| entry.name)
                .to_owned(),
            _ => String::new(),
        })
        .draw()?;
    chart.draw_series(all.iter().enumerate().map(|(number, [_, median, _])| {
        let ours = entries[number].name.starts_with(OURS);
        let color = if ours { BLUE } else { RGBColor(150, 150, 150) };
        let ends = [
            (0.0, SegmentValue::Exact(number)),
            (*median, SegmentValue::Exact(number + 1)),
        ];
        let mut bar = Rectangle::new(ends, color.filled());
        bar.set_margin(6, 6, 0, 0);
        bar
    }))?;
    drawing.present()?;
    Ok(())
}

/// The share of all processors' time that is idle, over three seconds.
pub(crate) fn idle_share() -> Result<f64> {
    let times = || -> Result<Vec<f64>> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        let numbers = line.split(' ').filter_map(|word| word.parse().ok());
        Ok(numbers.collect())
    };
    let before = times()?;
    sleep(Duration::from_secs(3));
    let after = times()?;
    let pairs = after.iter().zip(&before);
    let spent: Vec<f64> = pairs.map(|(late, early)| late - early).collect();
    // user, nice, system, idle, waiting for a disk, ...
    Ok(spent.iter().skip(3).take(2).sum::<f64>() / spent.iter().sum::<f64>())
}

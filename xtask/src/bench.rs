//! `cargo xtask bench`: measures the tools against what one would use instead, and writes down what it finds.
//!
//! An experiment is a [`track::Track`] on which entries race in the [`lab::Lab`]; its results are data
//! ([`results::Results`]), and the page, the plots and the verdicts are made from that alone.

mod certificates;
mod delay_proxy;
mod experiments;
mod invocation;
mod lab;
mod machine;
mod options;
mod plots;
mod report;
mod results;
mod samples;
mod spawn_loop;
mod targets;
mod tools;
mod track;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use experiments::{consuming, large_bodies, one_shot, round_trips, seeding, sizes, startup, tls};
use lab::{Lab, Scale};
use options::Options;
use results::Results;

/// Runs the task with the arguments behind its name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let results = match &options.render {
        Some(file) => serde_json::from_slice(&fs::read(file)?)?,
        None => measure(&options)?,
    };
    write(&results, &options.output)
}

fn measure(options: &Options) -> Result<Results> {
    let root = project_root()?;
    let lab = Lab::set_up(&root, options)?;
    let start = Instant::now();
    let mut results = Results {
        date: machine::today().context("there is no date")?,
        quick: options.scale == Scale::Quick,
        minutes: 0.0,
        machine: machine::facts(),
        versions: lab.tools.versions(),
        idle_before: machine::idle_share(),
        races: Vec::new(),
        tallies: Vec::new(),
        left_out: lab.tools.missing(),
    };
    for name in options::EXPERIMENTS {
        if !options.wants(name) {
            continue;
        }
        if let Err(error) = experiment(&lab, name, &mut results) {
            eprintln!("bench: {name} failed: {error:#}");
            results.left_out.push(format!("{name}: {error:#}"));
        }
    }
    results.minutes = start.elapsed().as_secs_f64() / 60.0;
    Ok(results)
}

fn experiment(lab: &Lab, name: &str, results: &mut Results) -> Result<()> {
    match name {
        "one-shot" => results.races.extend(one_shot::run(lab)?),
        "round-trips" => results.tallies.push(round_trips::run(lab)?),
        "seeding" => results.races.extend(seeding::run(lab)?),
        "bodies" => results.races.extend(seeding::bodies(lab)?),
        "consuming" => results.races.extend(consuming::run(lab)?),
        "large-bodies" => results.races.extend(large_bodies::run(lab)?),
        "tls" => results.races.extend(tls::run(lab)?),
        "instructions" => results.tallies.extend(startup::run(lab)?),
        _ => results.tallies.push(sizes::run(lab)?),
    }
    Ok(())
}

fn write(results: &Results, folder: &Path) -> Result<()> {
    let beside = folder.join("benchmarks");
    fs::create_dir_all(&beside)?;
    let json = serde_json::to_string_pretty(results)? + "\n";
    fs::write(beside.join(format!("{}.json", results.date)), json)?;
    let plots = plots::draw(results, &beside)?;
    let page = folder.join("BENCHMARKS.md");
    fs::write(&page, report::page(results, &plots)?)?;
    eprintln!("bench: wrote {}", page.display());
    Ok(())
}

/// The folder of the whole project.
fn project_root() -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(package
        .parent()
        .context("xtask has no parent folder")?
        .to_owned())
}

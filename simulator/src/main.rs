//! `simulate`: see `HELP`. Contributors run it as `cargo xtask simulate`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use simulator::choices::Choices;
use simulator::consume::Consume;
use simulator::explore::{Plan, explore, replay};
use simulator::publish::Publish;
use simulator::transfer::Move;
use simulator::world::World;

const HELP: &str = "\
cargo xtask simulate [WORLD] [OPTION]...

WORLD: one of those below; all of them if none is named
  --seeds N          run so many seeds [default: 100000]
  --seed S           run this one seed and print what happens
  --choices N,N...   run these decisions and print what happens
  --first S          begin with this seed [default: 1]
  --seconds N        begin no seed after so long; without --seeds, run as many as there is time for";

/// What a world can be asked for.
struct Entry {
    name: &'static str,
    explore: fn(Plan) -> bool,
    replay: fn(Choices) -> bool,
}

/// All worlds there are.
const WORLDS: &[Entry] = &[
    Entry::of::<Publish>(),
    Entry::of::<Consume>(),
    Entry::of::<Move>(),
];

impl Entry {
    const fn of<W: World>() -> Entry {
        Entry {
            name: W::NAME,
            explore: |plan| {
                let report = explore::<W>(plan);
                println!("{report}");
                report.found.is_none()
            },
            replay: |choices| {
                let (result, transcript) = replay::<W>(choices);
                print!("{transcript}");
                result.is_ok()
            },
        }
    }
}

#[derive(Default)]
struct Arguments {
    world: Option<String>,
    seeds: Option<u64>,
    first: Option<u64>,
    seconds: Option<u64>,
    replayed: Option<Choices>,
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let names: Vec<&str> = WORLDS.iter().map(|world| world.name).collect();
            eprintln!(
                "simulate: {error:#}\n\n{HELP}\n\nworlds: {}",
                names.join(", ")
            );
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing failed.
fn run(arguments: impl Iterator<Item = String>) -> Result<bool> {
    let arguments = Arguments::parse(arguments)?;
    let worlds: Vec<&Entry> = WORLDS
        .iter()
        .filter(|world| {
            arguments
                .world
                .as_deref()
                .is_none_or(|name| name == world.name)
        })
        .collect();
    match (worlds.as_slice(), arguments.replayed.clone()) {
        ([], _) => bail!("no such world"),
        ([world], Some(choices)) => Ok((world.replay)(choices)),
        (_, Some(_)) => bail!("--seed and --choices need the name of a world"),
        (worlds, None) => {
            let plan = arguments.plan();
            let mut all_held = true;
            for world in worlds {
                all_held &= (world.explore)(plan);
            }
            Ok(all_held)
        }
    }
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments> {
        let mut parsed = Arguments::default();
        while let Some(argument) = arguments.next() {
            if !argument.starts_with("--") {
                parsed.world = Some(argument);
                continue;
            }
            let value = arguments.next().context("an option without its value")?;
            let number = || {
                value
                    .parse::<u64>()
                    .with_context(|| format!("{argument} {value}"))
            };
            match argument.as_str() {
                "--seeds" => parsed.seeds = Some(number()?),
                "--first" => parsed.first = Some(number()?),
                "--seconds" => parsed.seconds = Some(number()?),
                "--seed" => parsed.replayed = Some(Choices::seeded(number()?)),
                "--choices" => {
                    let list: Result<Vec<u64>, _> = value.split(',').map(str::parse).collect();
                    parsed.replayed = Some(Choices::replayed(list.context("--choices")?));
                }
                _ => bail!("no such option: {argument}"),
            }
        }
        Ok(parsed)
    }

    fn plan(&self) -> Plan {
        let seeds_by_default = if self.seconds.is_some() {
            u64::MAX
        } else {
            100_000
        };
        Plan {
            first_seed: self.first.unwrap_or(1),
            seeds: self.seeds.unwrap_or(seeds_by_default),
            limit: self.seconds.map(Duration::from_secs),
        }
    }
}

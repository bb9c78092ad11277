//! `cargo xtask cluster`: the tools at work on three RabbitMQ nodes, which are killed, stopped and cut off meanwhile.
//!
//! `xtask/cluster/` does the work and makes the report. This starts the nodes, and starts those anew that it asks for.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use testbroker::{Broker, Cluster, Flavour, Installation, Options};

use crate::{Missing, install, root, run};

const USAGE: &str = "cargo xtask cluster [SECONDS] [--seed N] [--if-possible]";
const NODES: usize = 3;

/// Installs what is missing, builds the tools, and runs them for as long as the arguments say.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (missing, arguments) = parse(arguments)?;
    let installation = match prepare() {
        Ok(installation) => installation,
        Err(error) => return missing.judge("cluster", error),
    };
    run::build_tools()?;
    println!(
        "Starting {NODES} nodes of RabbitMQ {}.",
        installation.version()?
    );
    let mut cluster = Cluster::of(&installation, NODES, &Options::new())?;
    serve(&mut cluster, &arguments)
}

/// What `--if-possible` says, and the other arguments.
fn parse(arguments: &[String]) -> Result<(Missing, Vec<String>)> {
    let (flags, others): (Vec<_>, Vec<_>) = arguments
        .iter()
        .cloned()
        .partition(|argument| argument == "--if-possible");
    let (seconds, seed) = match others.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => ("60", None),
        [seconds] => (seconds, None),
        ["--seed", seed] => ("60", Some(seed)),
        [seconds, "--seed", seed] => (seconds, Some(seed)),
        _ => bail!(USAGE),
    };
    let numbers: Vec<String> = [Some(seconds), seed]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    ensure!(
        numbers.iter().all(|number| number.parse::<u32>().is_ok()),
        USAGE
    );
    Ok((Missing::from(&flags)?, numbers))
}

fn prepare() -> Result<Installation> {
    install::program("python3", "python3")?;
    install::flavour(Flavour::named("rabbitmq-4.3")?)
}

/// Runs the script. A line `start N` of its output asks for that node, which is killed if it still runs; it is answered by the
/// node's process id. Other lines are shown.
fn serve(cluster: &mut Cluster, arguments: &[String]) -> Result<()> {
    let this = env::current_exe()?;
    let tools = this.parent().context("no folder of xtask's")?; // cargo puts all that it builds beside it
    let places: Vec<String> = cluster.nodes.iter().map(place).collect();
    let mut script = Command::new("python3")
        .arg(root().join("xtask/cluster"))
        .arg(tools)
        .arg(places.join(","))
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting python3")?;
    let mut answers = script.stdin.take().context("no standard input")?;
    let lines = BufReader::new(script.stdout.take().context("no standard output")?).lines();
    for line in lines {
        let line = line?;
        let Some(number) = line.strip_prefix("start ") else {
            println!("{line}");
            continue;
        };
        let node = cluster.nodes.get_mut(number.parse::<usize>()?);
        let node = node.context("there is no such node")?;
        node.kill();
        node.launch()?;
        writeln!(answers, "{}", node.process_id().unwrap_or_default())?;
    }
    let status = script.wait()?;
    for (number, node) in cluster.nodes.iter().enumerate() {
        let log = root().join(format!("target/cluster/node-{number}.log"));
        fs::write(log, node.log())?;
    }
    ensure!(status.success(), "{status}");
    Ok(())
}

/// A node's port and process id.
fn place(node: &Broker) -> String {
    let process = node.process_id().unwrap_or_default();
    format!("{}:{process}", node.address().port())
}

//! `cargo xtask bench`: the tools that ship beside what one would use instead, doing the same work in turn on a private
//! broker. The table of what is measured is `experiments.rs`; `page.rs` writes `docs/BENCHMARKS.md`.

mod experiments;
mod page;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use tempfile::TempDir;
use testbroker::{Broker, Options};

use crate::run::{self, output};
use crate::{install, root};
use experiments::{EXPERIMENTS, Experiment, Work};

pub(crate) const USAGE: &str = "usage: cargo xtask bench [--quick] [--only WORD]

  --quick      few messages and rounds; writes to target/bench/ instead of docs/
  --only WORD  the experiments alone that have WORD in their titles; writes to target/bench/";

const PIKA: &str = "pika==1.3.2";
const ARRIVAL_LIMIT: Duration = Duration::from_secs(120);

/// How an entry of an experiment did.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    name: &'static str,
    limit: &'static str,
    command: &'static str,
    seconds: Vec<f64>,
    peak_kib: Option<u32>,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut quick, mut only) = (false, "");
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--quick" => quick = true,
            "--only" => only = words.next().context(USAGE)?,
            _ => bail!("{USAGE}"),
        }
    }
    let lab = Lab::set_up(quick)?;
    let idle = page::idle_share()?;
    let mut results = Vec::new();
    for experiment in EXPERIMENTS.iter().filter(|one| one.title.contains(only)) {
        eprintln!("bench: {}", experiment.title);
        let measured = lab.measure(experiment);
        results.push((experiment, measured.context(experiment.title)?));
    }
    let docs = if quick || !only.is_empty() {
        "target/bench"
    } else {
        "docs"
    };
    page::write(&root().join(docs), &results, idle, &lab.facts()?)
}

/// The broker, the programs, and files to feed them with.
struct Lab {
    broker: Broker,
    folder: TempDir,
    quick: bool,
}

impl Lab {
    fn set_up(quick: bool) -> Result<Self> {
        install::rabbitmq()?;
        install::reference_tools()?;
        install::program("/usr/bin/time", "time")?;
        let bench = root().join("target/bench");
        fs::create_dir_all(&bench)?;
        run::script("dist.sh", ["tools".as_ref(), bench.join("bin").as_os_str()])?;
        let options = "--edition=2024 -Copt-level=3 -Cpanic=abort -Ctarget-feature=+crt-static -o";
        let mut rustc = Command::new("rustc");
        rustc.args(options.split(' ')).arg(bench.join("bare"));
        run::succeed(rustc.arg(root().join("xtask/src/bin/bare.rs")))?;
        install::python("bench/python", "pika", PIKA)?;
        Ok(Self {
            broker: Broker::start(&Options::new())?,
            folder: TempDir::with_prefix("bench-")?,
            quick,
        })
    }

    /// What is compared, and on what, with versions and sizes; a line each.
    fn facts(&self) -> Result<String> {
        let tools = root().join("target/bench/bin/amqp-tools");
        let mut facts = Command::new("bash");
        facts.arg(root().join("xtask/scripts/facts.sh")).arg(tools);
        let [facts, broker] = [output(facts.current_dir(root()))?, self.broker.version()?];
        let pika = PIKA.trim_start_matches("pika==");
        Ok(format!("{facts}\n* RabbitMQ: {broker}\n* pika: {pika}\n"))
    }

    /// Lets all entries run in turn, each round beginning with another one.
    fn measure(&self, experiment: &Experiment) -> Result<Vec<Measured>> {
        let empty = |&(name, command, limit)| Measured {
            name,
            limit,
            command,
            seconds: Vec::new(),
            peak_kib: None,
        };
        let mut all: Vec<Measured> = experiment.entries.iter().map(empty).collect();
        let rounds = if self.quick { 3 } else { experiment.rounds };
        let count = all.len();
        for turn in 0..rounds * count {
            let entry = &mut all[(turn + turn / count) % count];
            let seconds = self.once(experiment, entry.command, None)?;
            entry.seconds.push(seconds);
        }
        if experiment.group == experiments::Group::Growth {
            let file = self.folder.path().join("peak");
            for entry in &mut all {
                self.once(experiment, entry.command, Some(&file))?;
                entry.peak_kib = Some(fs::read_to_string(&file)?.trim().parse()?);
            }
        }
        Ok(all)
    }

    /// Runs a command and checks what is in the queue in the end. GNU time, which tells a command's peak memory, is in the way
    /// of the clock.
    fn once(&self, experiment: &Experiment, line: &str, peak: Option<&Path>) -> Result<f64> {
        let messages = self.messages(experiment);
        self.prepare(experiment)?;
        let (mut command, input) = self.command(experiment, line, peak)?;
        command.stdin(input).stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status().with_context(|| format!("{command:?}"))?;
        let ended = start.elapsed();
        ensure!(status.success(), "{command:?}: {status}");
        match experiment.work {
            Work::Fill => {
                self.wait_for_depth(messages)?;
                return Ok(start.elapsed().as_secs_f64());
            }
            Work::Publish => self.wait_for_depth(messages)?,
            Work::Nothing => self.wait_for_depth(0)?,
            Work::Drain if line.contains("$URL") => self.wait_for_depth(0)?,
            Work::Drain => {} // no broker has a part in it
        }
        Ok(ended.as_secs_f64())
    }

    /// Splits a command of the table and puts values into it.
    fn command(
        &self,
        experiment: &Experiment,
        line: &str,
        peak: Option<&Path>,
    ) -> Result<(Command, Stdio)> {
        let bench = root().join("target/bench").display().to_string();
        let script = root().join("xtask/src/bench/with_pika.py");
        let values = [
            ("$OURS", format!("{bench}/bin")),
            (
                "$PIKA",
                format!("{bench}/python/bin/python {}", script.display()),
            ),
            ("$BARE", format!("{bench}/bare")),
            ("$URL", self.broker.url()),
            ("$ADDRESS", self.broker.address().to_string()),
            ("$LINES", self.lines(experiment)?.display().to_string()),
            ("$N", self.messages(experiment).to_string()),
            ("$BYTES", experiment.bytes.to_string()),
        ];
        let line = (values.iter()).fold(line.to_owned(), |line, (name, value)| {
            line.replace(name, value)
        });
        let (line, input) = match line.split_once(" < ") {
            Some((line, file)) => (line, File::open(file)?.into()),
            None => (&*line, Stdio::null()),
        };
        let meter = peak.map(|file| {
            let file = file.display();
            format!("/usr/bin/time --quiet --format=%M --output={file}")
        });
        let mut words = meter
            .iter()
            .flat_map(|meter| meter.split(' '))
            .chain(line.split(' '));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        Ok((command, input))
    }

    fn messages(&self, experiment: &Experiment) -> u64 {
        let share = if self.quick { 20 } else { 1 };
        experiment.messages.div_ceil(share)
    }

    /// A file of so many lines, each as long as a body, the newline among it.
    fn lines(&self, experiment: &Experiment) -> Result<PathBuf> {
        let (messages, bytes) = (self.messages(experiment), experiment.bytes);
        let name = format!("{messages}-lines-of-{bytes}");
        let path = self.folder.path().join(name);
        if !path.exists() {
            let mut file = BufWriter::new(File::create(&path)?);
            let padding = "x".repeat(bytes - 8);
            for number in 0..messages {
                writeln!(file, "{padding}{number:07}")?;
            }
            file.flush()?;
        }
        Ok(path)
    }

    /// Makes the durable queue as the experiment wants to find it.
    fn prepare(&self, experiment: &Experiment) -> Result<()> {
        self.ours("amqp-delete-queue", &["-q", "bench"])?;
        self.ours("amqp-declare-queue", &["-d", "-q", "bench"])?;
        if experiment.work == Work::Drain {
            let (lines, messages) = (self.lines(experiment)?, self.messages(experiment));
            let lines = lines.display().to_string();
            let by_line: &[&str] = if messages > 1 { &["-l"] } else { &[] };
            let publish = [&["-r", "bench", &lines], by_line].concat();
            self.ours("amqp-publish", &publish)?;
        }
        Ok(())
    }

    fn wait_for_depth(&self, messages: u64) -> Result<()> {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        let wanted = format!("\"messages\":{messages},");
        let look = ["-q", "bench", "--passive", "--json"];
        while !self.ours("amqp-declare-queue", &look)?.contains(&wanted) {
            ensure!(
                Instant::now() < deadline,
                "the queue does not come to hold {messages} messages"
            );
        }
        Ok(())
    }

    /// Runs one of our tools outside the measurement.
    fn ours(&self, tool: &str, arguments: &[&str]) -> Result<String> {
        let mut tool = Command::new(root().join("target/bench/bin").join(tool));
        output(tool.args(["-u", &self.broker.url()]).args(arguments))
    }
}

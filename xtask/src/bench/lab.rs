//! The place where everything is measured: a private broker, the contenders, and files to feed them with.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use testbroker::{Broker, Options};

use super::certificates::Tls;
use super::invocation::Invocation;
use super::tools::Tools;

/// The queue that a benchmark works on. Only one is used at a time.
pub(crate) const QUEUE: &str = "bench";

/// How long the broker may take to put what it was sent into the queue.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(120);

/// How much is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scale {
    /// Sizes and rounds that give figures.
    Full,
    /// Sizes and rounds that show whether the benchmarks work.
    Quick,
}

/// A broker of our own and what is needed around it.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) tools: Tools,
    pub(crate) scale: Scale,
    broker: Broker,
    tls: Tls,
    folder: TempDir,
    root: PathBuf,
}

impl Lab {
    pub(crate) fn set_up(root: &Path, options: &super::options::Options) -> Result<Self> {
        let tools = Tools::prepare(root, options.tools.as_deref())?;
        let folder = TempDir::with_prefix("bench-")?;
        let tls = Tls::in_folder(folder.path())?;
        eprintln!("bench: starting a private broker");
        Ok(Self {
            tools,
            scale: options.scale,
            broker: Broker::start(&tls.configure(Options::new()))?,
            tls,
            folder,
            root: root.to_owned(),
        })
    }

    /// A full run's count, or a part of it in a quick run.
    pub(crate) fn sized(&self, full: u64) -> u64 {
        match self.scale {
            Scale::Full => full,
            Scale::Quick => (full / 50).max(20.min(full)),
        }
    }

    /// A full run's rounds, or 3 in a quick run.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        match self.scale {
            Scale::Full => full,
            Scale::Quick => full.min(3),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.broker.url()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// One of our tools with the broker's URL.
    pub(crate) fn ours(&self, tool: &str) -> Invocation {
        self.ours_at(tool, &self.url())
    }

    /// The reference's tool with the broker's URL.
    pub(crate) fn reference(&self, tool: &str) -> Invocation {
        Self::reference_at(tool, &self.url())
    }

    /// One of our tools with a URL.
    pub(crate) fn ours_at(&self, tool: &str, url: &str) -> Invocation {
        Invocation::of(self.tools.ours(tool)).with(["-u", url])
    }

    /// The reference's tool with a URL.
    pub(crate) fn reference_at(tool: &str, url: &str) -> Invocation {
        Invocation::of(Tools::reference(tool)).with(["-u", url])
    }

    /// A Python script with a URL, if there is a Python with pika.
    pub(crate) fn script_at(&self, script: &str, url: &str) -> Option<Invocation> {
        let python = self.tools.python()?;
        Some(Invocation::of(python).with([self.tools.script(script), url.to_owned()]))
    }

    /// The command as a reader can type it, with names in place of this run's paths and ports.
    pub(crate) fn shown(&self, invocation: &Invocation) -> String {
        self.without_paths(&invocation.shown())
    }

    /// The text without this run's paths and ports.
    pub(crate) fn without_paths(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        if let Some(python) = self.tools.python() {
            shown = shown.replace(&python.display().to_string(), "python3");
        }
        for (long, short) in [
            (self.url(), "$URL"),
            (self.tls.url(), "$TLS_URL"),
            (self.prefix_of_files(), ""),
        ] {
            shown = shown.replace(&long, short);
        }
        shown.replace(&format!("{}/", self.root.display()), "")
    }

    fn prefix_of_files(&self) -> String {
        format!("{}/", self.folder.path().display())
    }

    /// A file of `lines` lines of `length` bytes each, the newline among them.
    pub(crate) fn lines(&self, lines: u64, length: usize) -> Result<PathBuf> {
        let path = self.file(&format!("{lines}-lines-of-{length}"));
        if !path.exists() {
            let mut file = BufWriter::new(File::create(&path)?);
            for number in 0..lines {
                writeln!(file, "{number:0width$}", width = length - 1)?;
            }
            file.flush()?;
        }
        Ok(path)
    }

    /// A file of that many bytes.
    pub(crate) fn blob(&self, bytes: usize) -> Result<PathBuf> {
        let path = self.file(&format!("{bytes}-bytes"));
        if !path.exists() {
            let text: Vec<u8> = (b'a'..=b'z').cycle().take(bytes).collect();
            fs::write(&path, text)?;
        }
        Ok(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Deletes the queue, if there is one, and declares it anew: transient, classic, empty.
    pub(crate) fn fresh_queue(&self) -> Result<()> {
        self.fresh_queue_with(&[])
    }

    /// The same with flags for amqp-declare-queue.
    pub(crate) fn fresh_queue_with(&self, flags: &[&str]) -> Result<()> {
        self.ask("amqp-delete-queue", &["-q", QUEUE])?;
        self.ask("amqp-declare-queue", &[&["-q", QUEUE], flags].concat())?;
        Ok(())
    }

    /// A fresh queue with the lines of `file` in it.
    pub(crate) fn seeded_queue(&self, file: &Path, messages: u64) -> Result<()> {
        self.fresh_queue()?;
        self.ask(
            "amqp-publish",
            &["-r", QUEUE, "-l", &file.display().to_string()],
        )?;
        self.await_depth(messages)
    }

    /// A fresh queue with messages that have no body.
    pub(crate) fn queue_of_empty(&self, messages: u64) -> Result<()> {
        let path = self.file(&format!("{messages}-blank-lines"));
        fs::write(&path, "\n".repeat(usize::try_from(messages)?))?;
        self.fresh_queue()?;
        let path = path.display().to_string();
        self.ask("amqp-publish", &["-r", QUEUE, "-l", "--chomp", &path])?;
        self.await_depth(messages)
    }

    /// A folder of `count` files of `length` bytes each, and a list of their names for `--files-from`.
    pub(crate) fn folder_of_files(&self, count: u64, length: usize) -> Result<PathBuf> {
        let folder = self.file(&format!("{count}-files-of-{length}"));
        let list = self.file(&format!("{count}-files-of-{length}.list"));
        if !list.exists() {
            fs::create_dir_all(&folder)?;
            let mut names = BufWriter::new(File::create(&list)?);
            for number in 0..count {
                let file = folder.join(format!("{number:08}.json"));
                fs::write(&file, format!("{number:0length$}"))?;
                writeln!(names, "{}", file.display())?;
            }
            names.flush()?;
        }
        Ok(list)
    }

    /// A fresh queue with one message, the content of `file`.
    pub(crate) fn queue_with(&self, file: &Path) -> Result<()> {
        self.fresh_queue()?;
        self.ask("amqp-publish", &["-r", QUEUE, &file.display().to_string()])?;
        self.await_depth(1)
    }

    /// Waits until all messages are in the queue. Unconfirmed ones may still be on their way when their publisher has
    /// ended; they would burden whoever is measured next.
    pub(crate) fn await_depth(&self, messages: u64) -> Result<()> {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        loop {
            let depth = self.depth()?;
            if depth == messages {
                return Ok(());
            }
            if depth > messages || Instant::now() > deadline {
                bail!("{messages} messages were published, and {depth} are in the queue");
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn depth(&self) -> Result<u64> {
        let answer = self.ask("amqp-declare-queue", &["-q", QUEUE, "--passive", "--json"])?;
        let state: serde_json::Value = serde_json::from_str(&answer)?;
        state["messages"].as_u64().context("no message count")
    }

    /// Runs one of our tools outside the measurement and gives what it printed.
    fn ask(&self, tool: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new(self.tools.ours(tool))
            .args(["-u", &self.url()])
            .args(arguments)
            .output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{tool}: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

//! Command lines for the demo: shown as typed, run by the shell, their output shown and checked.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

const DEADLINE: Duration = Duration::from_secs(60);

/// Where command lines run, and the broker they use.
pub(crate) struct Shell {
    folder: PathBuf,
    tools: PathBuf,
    url: String,
}

/// A command line that has ended: what it printed on both streams, and its status.
pub(crate) struct Ended {
    pub(crate) output: String,
    pub(crate) status: i32,
}

impl Shell {
    /// Command lines that run in `folder`, find the tools in `tools` and the broker's URL in `$BROKER_URL`.
    pub(crate) fn new(folder: &Path, tools: &Path, url: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            tools: tools.to_owned(),
            url: url.to_owned(),
        }
    }

    /// Shows a command line, runs it, shows its output, and insists that it succeeds and prints this.
    pub(crate) fn step(&self, line: &str, output: &str) -> Result<()> {
        show(line);
        let ended = wait(self.start(line)?, line)?;
        print!("{}", ended.output);
        if !ended.output.ends_with('\n') && !ended.output.is_empty() {
            println!();
        }
        ensure!(
            ended.status == 0,
            "`{line}` ended with status {}",
            ended.status
        );
        ensure!(
            ended.output == output,
            "`{line}` printed {:?} instead of {output:?}",
            ended.output
        );
        Ok(())
    }

    /// Starts a command line without showing it.
    pub(crate) fn start(&self, line: &str) -> Result<Child> {
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("/bin/sh")
            .args(["-c", &format!("{{ {line}\n}} 2>&1")])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", self.tools.display()))
            .env("BROKER_URL", &self.url)
            .env_remove("AMQP_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting /bin/sh")
    }
}

/// Shows a command line as it would be typed.
pub(crate) fn show(line: &str) {
    if std::io::stdout().is_terminal() {
        println!("\x1b[1m$ {line}\x1b[0m");
    } else {
        println!("$ {line}");
    }
}

/// Waits for a command line and reads what it printed.
fn wait(mut child: Child, line: &str) -> Result<Ended> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(ended) = poll(&mut child)? {
            return Ok(ended);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            bail!("`{line}` has not ended after {DEADLINE:?}");
        }
        sleep(Duration::from_millis(10));
    }
}

/// How a command line ended, if it has. What the demo's commands print fits into a pipe.
pub(crate) fn poll(child: &mut Child) -> Result<Option<Ended>> {
    let Some(status) = child.try_wait()? else {
        return Ok(None);
    };
    let mut output = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut output)?;
    }
    Ok(Some(Ended {
        output,
        status: status.code().unwrap_or(-1),
    }))
}

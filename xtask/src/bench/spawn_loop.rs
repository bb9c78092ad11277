//! The physical limit of consuming: start the command, write the body to its standard input, wait for it, and nothing
//! else; no broker.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::invocation::Usage;

/// Runs `command` for `bodies` bodies, as many at once as there are `jobs`. The standard library starts it with
/// `posix_spawn`.
pub(crate) fn run(command: &[&str], body: &[u8], bodies: u64, jobs: u64) -> Result<Usage> {
    let start = Instant::now();
    thread::scope(|scope| {
        let share = |job: u64| bodies / jobs + u64::from(job < bodies % jobs);
        let workers: Vec<_> = (0..jobs)
            .map(|job| scope.spawn(move || (0..share(job)).try_for_each(|_| feed(command, body))))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))?
        })
    })?;
    Ok(Usage {
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: None,
        peak_kib: None,
    })
}

fn feed(command: &[&str], body: &[u8]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(body); // it need not read
    }
    let status = child.wait()?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}

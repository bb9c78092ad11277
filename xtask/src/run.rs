//! Running programs, with errors that say which and why.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::root;

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(root());
    command
}

/// Builds the tools for development.
pub(crate) fn build_tools() -> Result<()> {
    let build = "build --quiet --locked --package amqp-tools --bins";
    succeed(cargo().args(build.split(' ')))
}

/// A script of `xtask/scripts/`, with its output shown. The last line of its complaint is the error.
pub(crate) fn script<S: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Result<()> {
    let mut bash = Command::new("bash");
    bash.arg(root().join("xtask/scripts").join(name))
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = bash.spawn().context("starting bash")?;
    let complaint = child.stderr.take().context("no standard error")?;
    let mut last = String::new();
    for line in BufReader::new(complaint).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        eprintln!("{line}");
        if !line.trim().is_empty() {
            last = line;
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "{name}: {last} ({status})");
    Ok(())
}

/// Runs a command with its output shown.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| named(command))?;
    ensure!(status.success(), "{}: {status}", named(command));
    Ok(())
}

/// What a command prints, without the end of its last line. Where it fails, the error ends with its complaint.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| named(command))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint = [printed.trim(), complaint.trim()].join("\n");
        bail!(
            "{}: {}\n{}",
            named(command),
            output.status,
            complaint.trim()
        );
    }
    Ok(printed.trim_end().to_owned())
}

/// Whether there is such a program, and it ends well.
pub(crate) fn works(command: &mut Command) -> bool {
    output(command).is_ok()
}

fn named(command: &Command) -> String {
    let arguments = command.get_args().take(3);
    std::iter::once(command.get_program())
        .chain(arguments)
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

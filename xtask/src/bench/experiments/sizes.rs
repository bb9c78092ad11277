//! Sizes of the programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::bench::lab::Lab;
use crate::bench::results::{Row, Tally, Who};
use crate::bench::tools::Tools;

const TOOLS: [&str; 7] = [
    "amqp-call",
    "amqp-publish",
    "amqp-consume",
    "amqp-get",
    "amqp-move",
    "amqp-declare-queue",
    "amqp-delete-queue",
];

pub(crate) fn run(lab: &Lab) -> Result<Tally> {
    let mut rows = Vec::new();
    for tool in TOOLS {
        rows.push(row(tool, Who::Ours, &lab.tools.ours(tool))?);
        rows.push(row(tool, Who::Reference, &Tools::reference(tool))?);
    }
    for library in ["librabbitmq", "libpopt"] {
        let path = library_of(&Tools::reference("amqp-publish"), library)?;
        rows.push(row(library, Who::Reference, Path::new(&path))?);
    }
    Ok(Tally {
        id: "sizes".to_owned(),
        title: "Sizes of the programs".to_owned(),
        note: "Ours are linked with the C library alone; the reference needs the two libraries, and OpenSSL, too."
            .to_owned(),
        unit: "KiB".to_owned(),
        is_exact: true,
        rows,
    })
}

fn row(name: &str, who: Who, path: &Path) -> Result<Row> {
    let bytes = fs::metadata(path)
        .with_context(|| format!("looking at {}", path.display()))?
        .len();
    #[allow(clippy::cast_precision_loss)] // no program has 2^52 bytes
    let kib = bytes as f64 / 1024.0;
    Ok(Row {
        name: name.to_owned(),
        who,
        command: String::new(),
        values: vec![kib],
    })
}

/// Where the dynamic linker finds a library of a program.
fn library_of(program: &Path, library: &str) -> Result<String> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find(|line| line.contains(library))
        .and_then(|line| line.split_whitespace().nth(2))
        .map(str::to_owned)
        .with_context(|| format!("{} has no {library}", program.display()))
}

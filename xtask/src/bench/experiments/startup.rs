//! Instructions from start to end, counted by callgrind: a measure of start-up that no noise disturbs.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::bench::lab::{Lab, QUEUE};
use crate::bench::results::{Row, Tally, Who};
use crate::bench::tools::Tools;

const TIMES: usize = 3;

/// `None` where there is no valgrind.
pub(crate) fn run(lab: &Lab) -> Result<Option<Tally>> {
    let Some(valgrind) = lab.tools.valgrind() else {
        return Ok(None);
    };
    lab.fresh_queue()?;
    let url = lab.url();
    let mut rows = Vec::new();
    for (name, arguments) in [
        ("--help", vec!["--help"]),
        ("declare", vec!["-u", &url, "-q", QUEUE]),
    ] {
        for (who, tool) in [
            (Who::Ours, lab.tools.ours("amqp-declare-queue")),
            (Who::Reference, Tools::reference("amqp-declare-queue")),
        ] {
            let mut command = Command::new(valgrind);
            command
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .arg(&tool)
                .args(&arguments);
            let values: Result<Vec<f64>> = (0..TIMES).map(|_| count(&mut command)).collect();
            let shown = format!(
                "valgrind --tool=callgrind {} {}",
                tool.display(),
                arguments.join(" ").replace(&url, "$URL")
            );
            rows.push(Row {
                name: name.to_owned(),
                who,
                command: lab.without_paths(&shown),
                values: values?,
            });
        }
    }
    Ok(Some(Tally {
        id: "instructions".to_owned(),
        title: "Instructions from start to end".to_owned(),
        note: "In user space, of all threads, the dynamic linker's among them.".to_owned(),
        unit: "million instructions".to_owned(),
        is_exact: false,
        rows,
    }))
}

fn count(command: &mut Command) -> Result<f64> {
    let output = command.output().context("starting valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {text}");
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .context("callgrind printed no count")?
        .1;
    Ok(collected.trim().parse::<f64>()? / 1e6)
}

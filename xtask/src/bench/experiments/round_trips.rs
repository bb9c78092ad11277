//! Round trips on the wire: how much longer a tool takes when everything arrives later, divided by how much later.

use std::time::Duration;

use anyhow::Result;

use super::one_shot::contenders;
use crate::bench::delay_proxy::DelayProxy;
use crate::bench::invocation::{Invocation, Meter};
use crate::bench::lab::{Lab, QUEUE};
use crate::bench::results::{Row, Tally, Who};

/// In each direction. Long against the noise of starting a process.
const DELAY: Duration = Duration::from_millis(25);
const ROUNDS: usize = 5;
const MESSAGES: u64 = 200;

pub(crate) fn run(lab: &Lab) -> Result<Tally> {
    let proxy = DelayProxy::before(lab.address())?;
    lab.seeded_queue(&lab.lines(MESSAGES, 10)?, MESSAGES)?;
    let mut rows = Vec::new();
    for task in ["declare", "publish", "get", "consume"] {
        for (_, who, invocation) in contenders(lab, task, &proxy.url()) {
            rows.push(row(lab, &proxy, task, who, &invocation)?);
        }
        if task == "publish" {
            let unconfirmed = lab.ours_at("amqp-publish", &proxy.url()).with([
                "-r",
                QUEUE,
                "-b",
                "a message",
                "--no-confirm",
            ]);
            rows.push(row(
                lab,
                &proxy,
                "publish --no-confirm",
                Who::Ours,
                &unconfirmed,
            )?);
        }
    }
    Ok(Tally {
        id: "round-trips".to_owned(),
        title: "Round trips on the wire".to_owned(),
        note: format!(
            "Counted through a proxy that delivers everything {} ms later in each direction: the extra time divided \
             by {} ms, from the process's start to its end. The TCP handshake is not among them (the proxy is near).",
            DELAY.as_millis(),
            2 * DELAY.as_millis()
        ),
        unit: "round trips".to_owned(),
        is_exact: false,
        rows,
    })
}

fn row(
    lab: &Lab,
    proxy: &DelayProxy,
    task: &str,
    who: Who,
    invocation: &Invocation,
) -> Result<Row> {
    let mut values = Vec::new();
    for _ in 0..lab.rounds(ROUNDS) {
        proxy.set_delay(Duration::ZERO);
        let near = invocation.run(Meter::Time)?.seconds;
        proxy.set_delay(DELAY);
        let far = invocation.run(Meter::Time)?.seconds;
        values.push((far - near) / (2.0 * DELAY.as_secs_f64()));
    }
    let median = crate::bench::samples::Summary::of(values.iter().copied());
    eprintln!(
        "bench: round trips of {task} ({who:?}): {:.2}",
        median.map_or(f64::NAN, |summary| summary.median)
    );
    Ok(Row {
        name: task.to_owned(),
        who,
        command: lab.shown(invocation).replace(&proxy.url(), "$URL"),
        values,
    })
}

//! One large body: time and memory at 1, 10 and 100 MiB.

use anyhow::Result;

use crate::bench::lab::{Lab, QUEUE};
use crate::bench::results::{Race, Who};
use crate::bench::track::{Entry, Track};

const SIZES: [u64; 3] = [1, 10, 100];

pub(crate) fn run(lab: &Lab) -> Result<Vec<Race>> {
    Ok(vec![publish(lab)?, get(lab)?])
}

fn mebibytes(lab: &Lab, size: u64) -> Result<std::path::PathBuf> {
    lab.blob(usize::try_from(lab.sized(size << 20))?)
}

fn publish(lab: &Lab) -> Result<Race> {
    let mut track = Track::new(
        "large-publish",
        "Growth: publish one body of 1, 10 and 100 MiB from standard input",
        "run",
    )
    .note("Ours waits for the broker's confirm.")
    .with_memory();
    for size in SIZES {
        let body = mebibytes(lab, size)?;
        for (who, name, tool) in [
            (Who::Ours, "ours", lab.ours("amqp-publish")),
            (Who::Reference, "reference", lab.reference("amqp-publish")),
        ] {
            let entry = Entry::command(
                lab,
                format!("{name}, {size} MiB"),
                who,
                tool.with(["-r", QUEUE]).fed(&body),
            );
            track = track.enter(
                entry
                    .against(format!("reference, {size} MiB"))
                    .before(|| lab.fresh_queue())
                    .after(|| lab.await_depth(1)),
            );
        }
    }
    Ok(track.run(lab.rounds(5)).finish())
}

fn get(lab: &Lab) -> Result<Race> {
    let mut track = Track::new(
        "large-get",
        "Growth: get one body of 1, 10 and 100 MiB",
        "run",
    )
    .with_memory();
    for size in SIZES {
        let body = mebibytes(lab, size)?;
        for (who, name, tool) in [
            (Who::Ours, "ours", lab.ours("amqp-get")),
            (Who::Reference, "reference", lab.reference("amqp-get")),
        ] {
            let body = body.clone();
            let get = tool.with(["-q", QUEUE]);
            let entry = Entry::command(lab, format!("{name}, {size} MiB"), who, get);
            let entry = entry.against(format!("reference, {size} MiB"));
            track = track.enter(entry.before(move || lab.queue_with(&body)));
        }
    }
    Ok(track.run(lab.rounds(5)).finish())
}

//! TLS against plain TCP: one declaration, and many messages.

use anyhow::Result;

use crate::bench::invocation::Invocation;
use crate::bench::lab::{Lab, QUEUE};
use crate::bench::results::{Race, Who};
use crate::bench::track::{Entry, Track};

pub(crate) fn run(lab: &Lab) -> Result<Vec<Race>> {
    Ok(vec![declare(lab)?, seed(lab)?])
}

/// Ours and the reference's tool, by TLS and plain.
fn contenders(lab: &Lab, tool: &str) -> [(&'static str, Who, Invocation); 4] {
    let secure = |invocation: Invocation| invocation.with(["--cacert", &lab.tls().authority()]);
    let url = lab.tls().url();
    [
        ("ours, TLS", Who::Ours, secure(lab.ours_at(tool, &url))),
        ("ours, plain", Who::Ours, lab.ours(tool)),
        (
            "reference, TLS",
            Who::Reference,
            secure(Lab::reference_at(tool, &url)),
        ),
        ("reference, plain", Who::Reference, lab.reference(tool)),
    ]
}

/// Each is compared with the reference by the same transport, and that with itself without TLS.
fn opponent(name: &str) -> &'static str {
    match name {
        "ours, TLS" => "reference, TLS",
        _ => "reference, plain",
    }
}

fn declare(lab: &Lab) -> Result<Race> {
    lab.fresh_queue()?;
    let entries = contenders(lab, "amqp-declare-queue")
        .into_iter()
        .map(|(name, who, tool)| {
            let entry = Entry::command(lab, name, who, tool.with(["-q", QUEUE]));
            entry.against(opponent(name))
        });
    let track = Track::new(
        "tls-declare",
        "Declare a queue by TLS and by plain TCP",
        "run",
    );
    Ok(track
        .enter_all(entries)
        .warm_up()
        .run(lab.rounds(20))
        .weigh(3)
        .finish())
}

fn seed(lab: &Lab) -> Result<Race> {
    let messages = lab.sized(50_000);
    let lines = lab.lines(messages, 1024)?;
    let entries = contenders(lab, "amqp-publish")
        .into_iter()
        .map(|(name, who, tool)| {
            let seeder = tool.with(["-r", QUEUE, "-l"]).fed(&lines);
            Entry::command(lab, name, who, seeder)
                .against(opponent(name))
                .work(messages)
                .before(|| lab.fresh_queue())
                .after(move || lab.await_depth(messages))
        });
    let track = Track::new(
        "tls-seeding",
        "Seed a queue with lines of 1 KiB by TLS and by plain TCP",
        "message",
    )
    .note("Ours with confirms, the reference without.")
    .with_memory();
    Ok(track.enter_all(entries).run(lab.rounds(5)).finish())
}

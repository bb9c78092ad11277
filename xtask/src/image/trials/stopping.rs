//! `docker stop`, which is what Kubernetes does to a pod: SIGTERM, then patience, then SIGKILL.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::ground::Ground;
use crate::image::build::WORKER;
use crate::image::docker::eventually;

/// Long enough that a worker which waited for it would be seen to have been killed (137).
const PATIENCE: Duration = Duration::from_secs(60);

/// With nothing to do there is nothing to wait for.
pub(super) fn idle(ground: &Ground) -> Result<()> {
    ground.fresh_queue("idle")?;
    let worker = ground.container(
        &[],
        WORKER,
        &["amqp-consume", "-q", "idle", "-c", "1", "cat"],
    )?;
    worker.start()?;
    consumers(ground, "idle", 1)?;
    worker.stop(PATIENCE)?;
    let status = worker.wait()?;
    ensure!(status == 143, "ended with {status}: {}", worker.logs()?);
    Ok(())
}

/// A task under way is finished and acknowledged, however long the task takes; the next one is left to others.
pub(super) fn busy(ground: &Ground) -> Result<()> {
    ground.fresh_queue("busy")?;
    ground.sh("amqp-publish -r busy -b first; amqp-publish -r busy -b second")?;
    let task = "cat; echo ' began'; while test ! -e /tmp/go; do sleep 0.1; done; echo done";
    let worker = ground.container(
        &[],
        WORKER,
        &["amqp-consume", "-q", "busy", "sh", "-c", task],
    )?;
    worker.start()?;
    worker.prints("first began")?;
    thread::scope(|scope| {
        let (stopped, when_stopped) = mpsc::channel();
        let worker = &worker;
        scope.spawn(move || stopped.send(worker.stop(PATIENCE)));
        // No consumer: SIGTERM has arrived, and the worker takes no more.
        consumers(ground, "busy", 0)?;
        worker.exec(&["touch", "/tmp/go"])?;
        when_stopped.recv()?
    })?;
    let status = worker.wait()?;
    let printed = worker.logs()?;
    ensure!(
        status == 143 && printed.contains("done") && !printed.contains("second"),
        "ended with {status}: {printed}"
    );
    let (messages, _) = ground.depth("busy")?;
    ensure!(messages == 1, "{messages} messages in the queue");
    Ok(())
}

fn consumers(ground: &Ground, queue: &str, wanted: u64) -> Result<()> {
    eventually("the queue's consumers", || {
        Ok((ground.depth(queue)?.1 == wanted).then_some(()))
    })
}

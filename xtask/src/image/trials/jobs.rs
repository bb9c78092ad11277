//! The Jobs of `k8s/`, as they are written, by a stand-in for the Job controller.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use super::ground::Ground;
use super::tutorial;
use crate::image::job::{Job, Outcome};

const FRUIT: [&str; 8] = [
    "apple", "banana", "cherry", "date", "fig", "grape", "lemon", "melon",
];

/// A worker that can be made to fail, and that says what it has done.
const WORKER: &str = r#"#!/bin/sh
task=$(cat)
echo "Processing $task"
case $task in
bad*) exit 65 ;;
cherry) mkdir /marks/cherry 2>/dev/null && exit 75 ;;
apple) if mkdir /marks/apple 2>/dev/null; then sleep 600; fi ;;
esac
echo "Done $task"
"#;

/// The worker script and a folder for its marks, mounted into each pod.
struct Script {
    folder: TempDir,
    options: Vec<String>,
}

impl Script {
    fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let marks = folder.path().join("marks");
        fs::create_dir(&marks)?;
        fs::set_permissions(&marks, Permissions::from_mode(0o777))?;
        let script = folder.path().join("worker.sh");
        fs::write(&script, WORKER)?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        let mount = |from: &Path, to: &str| format!("--volume={}:{to}", from.display());
        let options = vec![mount(&script, "/worker.sh"), mount(&marks, "/marks")];
        Ok(Self { folder, options })
    }

    /// As if apple and cherry had been through their trouble before.
    fn untroubled(self) -> Result<Self> {
        for task in ["apple", "cherry"] {
            fs::create_dir(self.folder.path().join("marks").join(task))?;
        }
        Ok(self)
    }
}

/// The tutorial's Job: the pod that works on apple is killed in the middle, cherry fails the first time.
pub(super) fn eight_tasks(ground: &Ground) -> Result<()> {
    fill(ground, &FRUIT)?;
    let (cluster, script) = (ground.cluster(), Script::new()?);
    let job = Job::start(
        &cluster,
        ground.manifests.get("Job", "job-wq-1")?,
        &script.options,
    )?;
    job.pod_that_prints("Processing apple")?.container.kill()?;
    let outcome = job.complete()?;
    ensure!(outcome.completions == 8, "{outcome:?}");
    ensure!(sorted(&outcome.failures) == [75, 137], "{outcome:?}");
    all_done(&outcome, &FRUIT)?;
    ground.is_empty("job1")
}

/// The lines of the `ConfigMap` become messages, in order.
pub(super) fn seeding(ground: &Ground) -> Result<()> {
    tutorial::forget(ground)?;
    let cluster = ground.cluster();
    let outcome =
        Job::start(&cluster, ground.manifests.get("Job", "seed-job1")?, &[])?.complete()?;
    ensure!(
        outcome.completions == 1 && outcome.failures.is_empty(),
        "{outcome:?}"
    );
    let tasks = ground.sh("amqp-get -q job1 -c 100 --json | jq -r '.body, .delivery_mode'")?;
    let expected = FRUIT.map(|task| format!("{task}\n2")).join("\n");
    ensure!(tasks == expected, "tasks: {tasks}");
    Ok(())
}

/// Any number of tasks; two pods share them and exit 0 when there is nothing more.
pub(super) fn until_empty(ground: &Ground) -> Result<()> {
    fill(ground, &FRUIT)?;
    let (cluster, script) = (ground.cluster(), Script::new()?.untroubled()?);
    let outcome = Job::start(
        &cluster,
        ground.manifests.get("Job", "job-wq-until-empty")?,
        &script.options,
    )?
    .complete()?;
    ensure!(
        outcome.completions == 2 && outcome.failures.is_empty(),
        "{outcome:?}"
    );
    all_done(&outcome, &FRUIT)?;
    ground.is_empty("job1")
}

/// A task that fails three times is parked with the reason; the others are done, and the Job completes.
pub(super) fn parking(ground: &Ground) -> Result<()> {
    fill(ground, &["apple", "bad", "banana"])?;
    ground.sh("amqp-delete-queue -q job1-failed")?;
    let (cluster, script) = (ground.cluster(), Script::new()?.untroubled()?);
    let outcome = Job::start(
        &cluster,
        ground.manifests.get("Job", "job-wq-parking")?,
        &script.options,
    )?
    .complete()?;
    ensure!(
        outcome.completions == 2 && outcome.failures.is_empty(),
        "{outcome:?}"
    );
    all_done(&outcome, &["apple", "banana"])?;
    ensure!(
        outcome.logs.matches("Processing bad").count() == 3,
        "{outcome:?}"
    );
    ground.is_empty("job1")?;
    let parked = ground.sh("amqp-get -q job1-failed -c 100 --json | jq -c '[.body, .headers[\"x-exit-status\", \"x-attempts\"]]'")?;
    ensure!(parked == r#"["bad",65,3]"#, "parked: {parked}");
    Ok(())
}

/// What KEDA would start for each task.
pub(super) fn scaled(ground: &Ground) -> Result<()> {
    fill(ground, &["apple", "banana"])?;
    let (cluster, script) = (ground.cluster(), Script::new()?.untroubled()?);
    let scaled = ground.manifests.get("ScaledJob", "job-wq-scaled")?;
    let job = json!({ "spec": scaled["spec"]["jobTargetRef"] });
    let outcome = Job::start(&cluster, &job, &script.options)?.complete()?;
    ensure!(
        outcome.completions == 1 && outcome.failures.is_empty(),
        "{outcome:?}"
    );
    all_done(&outcome, &["apple"])?;
    let (left, _) = ground.depth("job1")?;
    ensure!(left == 1, "{left} messages left");
    Ok(())
}

/// `job1` with these tasks in it, and nothing else.
fn fill(ground: &Ground, tasks: &[&str]) -> Result<()> {
    ground.fresh_queue("job1")?;
    let lines = tasks.join("\\n");
    ground
        .sh(&format!(
            "printf '{lines}\\n' | amqp-publish -r job1 -p -l --chomp"
        ))
        .map(drop)
}

fn all_done(outcome: &Outcome, tasks: &[&str]) -> Result<()> {
    for task in tasks {
        let times = outcome.logs.matches(&format!("Done {task}\n")).count();
        ensure!(
            times == 1,
            "{task} was done {times} times:\n{}",
            outcome.logs
        );
    }
    Ok(())
}

fn sorted(failures: &[i32]) -> Vec<i32> {
    let mut failures = failures.to_vec();
    failures.sort_unstable();
    failures
}

//! `cargo xtask demo`: the tutorial, as its readers paste it, and then its Job, against a real RabbitMQ.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use testbroker::Service;

use crate::install;
use crate::job::Job;
use crate::shell::{Shell, show};
use crate::test::cargo;

const FRUIT: [&str; 8] = [
    "apple", "banana", "cherry", "date", "fig", "grape", "lemon", "melon",
];

const WORKER: &str = r#"#!/bin/sh
task=$(cat)
if [ "$task" = cherry ] && mkdir first-try 2>/dev/null; then
    echo "cannot process $task yet"
    exit 1
fi
echo "processed $task" | tee -a done.txt
"#;

/// Runs the demo; anything that is not as it must be is an error.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tools = build(root)?;
    let service = start_broker()?;
    let folder = tempfile::tempdir()?;
    let shell = Shell::new(folder.path(), &tools, &service.url());
    let names = Names::on(&service);
    let result =
        tutorial(&shell, &names.test).and_then(|()| job(&shell, &names.job, folder.path()));
    if result.is_err() {
        names.delete_from(&shell);
    }
    result?;
    if !matches!(service, Service::Given(_)) {
        drop(service);
        println!("The private broker is stopped, its data deleted.");
    }
    Ok(())
}

/// The queues' names: the tutorial's on a broker of our own, and such that nobody else has on one that is not.
struct Names {
    test: String,
    job: String,
}

impl Names {
    fn on(service: &Service) -> Self {
        let prefix = match service {
            Service::Given(_) => format!("amqp-tools-demo-{}-", std::process::id()),
            Service::Private(_) | Service::Qpid(_) => String::new(),
        };
        Self {
            test: format!("{prefix}test"),
            job: format!("{prefix}job1"),
        }
    }

    /// Leaves nothing behind after a failure.
    fn delete_from(&self, shell: &Shell) {
        for name in [&self.test, &self.job] {
            let deleting = shell.start(&format!("amqp-delete-queue --url=$BROKER_URL -q {name}"));
            let _ = deleting.and_then(|mut child| Ok(child.wait()?));
        }
    }
}

/// Builds the tools and tells where they are.
fn build(root: &Path) -> Result<PathBuf> {
    println!("Building the tools.");
    let status = cargo(root)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "amqp-tools",
            "--bins",
        ])
        .status()?;
    ensure!(status.success(), "the build failed ({status})");
    let this = env::current_exe()?;
    Ok(this.parent().context("no folder of xtask's")?.to_owned()) // cargo puts all that it builds beside it
}

fn start_broker() -> Result<Service> {
    if env::var_os("AMQP_URL").is_none_or(|url| url.is_empty()) {
        install::rabbitmq()?;
        println!("Starting a private RabbitMQ.");
    }
    Service::from_environment()
}

fn tutorial(shell: &Shell, queue: &str) -> Result<()> {
    println!("\nThe tutorial: a queue, a message, a command that gets it.\n");
    let url = "--url=$BROKER_URL";
    shell.step(
        &format!("amqp-declare-queue {url} -q {queue} -d {queue}"),
        &format!("{queue}\n"),
    )?;
    shell.step(&format!("amqp-publish {url} -r {queue} -p -b Hello"), "")?;
    shell.step(
        &format!("amqp-consume {url} -q {queue} -c 1 cat && echo Hello"),
        "HelloHello\n",
    )?;
    shell.step(&format!("amqp-delete-queue {url} -q {queue}"), "0\n")
}

fn job(shell: &Shell, queue: &str, folder: &Path) -> Result<()> {
    println!(
        "\nThe job: {} tasks, two workers at a time. One task fails on its first try.\n",
        FRUIT.len()
    );
    let url = "--url=$BROKER_URL";
    let empty = format!("{{\"queue\":\"{queue}\",\"messages\":0,\"consumers\":0}}\n");
    shell.step(
        &format!("amqp-declare-queue {url} -q {queue} -d"),
        &format!("{queue}\n"),
    )?;
    let fill = format!(
        "for f in {}; do amqp-publish {url} -r {queue} -p -b $f; done",
        FRUIT.join(" ")
    );
    shell.step(&fill, "")?;
    let worker = folder.join("worker.sh");
    fs::write(&worker, WORKER)?;
    fs::set_permissions(&worker, Permissions::from_mode(0o755))?;
    shell.step("cat worker.sh", WORKER)?;
    let command = format!("amqp-consume {url} -q {queue} -c 1 ./worker.sh");
    show(&format!("{command}    # in each pod"));
    let job = Job {
        command: &command,
        completions: FRUIT.len(),
        parallelism: 2,
        backoff_limit: 6,
    };
    let tally = job.run(shell)?;
    let processed = FRUIT.map(|fruit| format!("processed {fruit}\n")).concat();
    shell.step("sort done.txt", &processed)?;
    shell.step(
        &format!("amqp-declare-queue {url} -q {queue} -d --json"),
        &empty,
    )?;
    shell.step(&format!("amqp-delete-queue {url} -q {queue}"), "0\n")?;
    ensure!(
        tally.failed == 1,
        "one pod should have failed, not {}",
        tally.failed
    );
    println!(
        "\nAll {} tasks are done, each once. {} pods succeeded, {} failed and was replaced. Nothing is left in the queue.",
        FRUIT.len(),
        tally.succeeded,
        tally.failed,
    );
    Ok(())
}

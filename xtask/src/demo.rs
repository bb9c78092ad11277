//! `cargo xtask demo`: the tutorial and its Job against a real RabbitMQ.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result};
use testbroker::Service;

use crate::{install, root, run};

/// Builds the tools, starts a broker unless there is one, and runs `scripts/demo.sh`.
pub(crate) fn run() -> Result<()> {
    println!("Building the tools.");
    run::succeed(run::cargo().args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "amqp-tools",
        "--bins",
    ]))?;
    if env::var_os("AMQP_URL").is_none_or(|url| url.is_empty()) {
        install::rabbitmq()?;
        println!("Starting a private RabbitMQ.");
    }
    let service = Service::from_environment()?;
    let is_given = matches!(service, Service::Given(_));
    // On a broker that others use, such names as nobody else has.
    let prefix = if is_given {
        format!("amqp-tools-demo-{}-", std::process::id())
    } else {
        String::new()
    };
    let this = env::current_exe()?;
    let tools = this.parent().context("no folder of xtask's")?; // cargo puts all that it builds beside it
    let path = env::var("PATH").unwrap_or_default();
    run::succeed(
        Command::new("bash")
            .arg(root().join("xtask/scripts/demo.sh"))
            .args([service.url(), prefix])
            .env("PATH", format!("{}:{path}", tools.display())),
    )?;
    if !is_given {
        drop(service);
        println!("The private broker is stopped, its data deleted.");
    }
    Ok(())
}

//! `cargo xtask demo`: the tutorial and its Job against a real RabbitMQ. `cargo xtask arm64`: the same with the tools for arm64,
//! under emulation.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use testbroker::Service;

use crate::{install, root, run};

/// Builds the tools and shows them.
pub(crate) fn run() -> Result<()> {
    println!("Building the tools.");
    run::build_tools()?;
    let this = env::current_exe()?;
    show(this.parent().context("no folder of xtask's")?) // cargo puts all that it builds beside it
}

/// Builds the tools for arm64 and shows them.
pub(crate) fn emulated() -> Result<()> {
    run::script::<&str>("arm64.sh", [])?;
    show(&root().join("target/arm64/bin"))
}

/// Starts a broker unless there is one, and runs `scripts/demo.sh` with the tools in this folder.
fn show(tools: &Path) -> Result<()> {
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

//! `cargo xtask image base|build|test`: the container images, and the trials that use them as a cluster would.
//!
//! Docker's own daemon is used if one runs; else one is started, and stopped again.

mod base;
mod build;
mod docker;
mod engine;
mod job;
mod pod;
mod trials;

use anyhow::{Result, bail};

use engine::Engine;

const USAGE: &str = "\
usage: cargo xtask image base    make the base images that are missing here and can't be pulled
       cargo xtask image build   build tools, worker, debug and the tutorial's worker
       cargo xtask image test    build them, and run the tutorial, its Jobs and the suite with them";

pub(crate) fn run(action: &str) -> Result<()> {
    let task = match action {
        "base" => || base::provide(&base::FOR_BUILDING),
        "build" => build::all,
        "test" => trials::run,
        _ => bail!("{USAGE}"),
    };
    let _engine = Engine::running()?;
    task()
}

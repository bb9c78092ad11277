//! `cargo xtask image ACTION`: the container images, and the trials that use them as a cluster would.
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

use crate::Missing;
use crate::manifests::Manifests;
use engine::Engine;

const USAGE: &str = "\
usage: cargo xtask image base    make the base images that are missing here and can't be pulled
       cargo xtask image build   build tools, worker, debug and the tutorial's worker
       cargo xtask image test    build them, and try them, the manifests and the package as users would";

pub(crate) fn run(action: &str, missing: Missing) -> Result<()> {
    let (bases, task): (&[&str], fn() -> Result<()>) = match action {
        "base" => (&base::FOR_BUILDING, || Ok(())),
        "build" => (&base::FOR_BUILDING, build::all),
        "test" => (&base::ALL, trials::run),
        _ => bail!("{USAGE}"),
    };
    let _engine = match provide(bases) {
        Ok(engine) => engine,
        Err(error) => return missing.judge("container images", error),
    };
    task()
}

/// What has to come from outside before anything of ours is built: Docker, the base images, a network for containers, a
/// parser for manifests.
fn provide(bases: &[&str]) -> Result<Engine> {
    let engine = Engine::running()?;
    base::provide(bases)?;
    base::try_network()?;
    Manifests::load()?;
    Ok(engine)
}

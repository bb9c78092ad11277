//! The Docker daemon: the one that runs, or one of our own for as long as it is needed.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::install;

const START_DEADLINE: Duration = Duration::from_secs(60);

/// While it exists, `docker` works.
pub(crate) struct Engine {
    started: Option<Child>,
}

impl Engine {
    /// Takes the daemon that runs, or starts one (and installs it first, from Debian's packages).
    pub(crate) fn running() -> Result<Self> {
        install::program("docker", "docker.io")?;
        install::program("dockerd", "docker.io")?;
        install::program("debootstrap", "debootstrap")?;
        if answers() {
            return Ok(Self { started: None });
        }
        let log = std::env::temp_dir().join("amqp-tools-dockerd.log");
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let daemon = Command::new("dockerd")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("starting dockerd")?;
        let mut engine = Self {
            started: Some(daemon),
        };
        engine
            .wait_until_ready()
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(engine)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        while !answers() {
            if let Some(status) = self
                .started
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten()
            {
                bail!("dockerd ended while starting ({status})");
            }
            ensure!(
                Instant::now() < deadline,
                "dockerd does not answer after {START_DEADLINE:?}"
            );
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.started {
            // SIGTERM lets it stop its containers and its containerd; Child::kill would orphan them.
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let _ = daemon.wait();
        }
    }
}

fn answers() -> bool {
    let version = Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .output();
    version.is_ok_and(|output| output.status.success())
}

//! Where RabbitMQ's own scripts are on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// The folder with `rabbitmq-server` and `rabbitmqctl` as RabbitMQ ships them, which anyone may run. (Debian's
/// wrappers of the same names in `/usr/sbin` are for the system-wide service: they insist on its user and its files.)
#[derive(Debug, Clone)]
pub struct Installation {
    scripts: PathBuf,
}

impl Installation {
    /// Finds the installed RabbitMQ.
    pub fn find() -> Result<Self> {
        let debian = newest_under(Path::new("/usr/lib/rabbitmq/lib"));
        let others = [
            "/opt/rabbitmq/sbin",
            "/opt/homebrew/sbin",
            "/usr/local/sbin",
        ]
        .map(PathBuf::from);
        let path = env::var_os("PATH").unwrap_or_default();
        let mut places = debian
            .into_iter()
            .chain(others)
            .chain(env::split_paths(&path));
        match places.find(|place| place.join("rabbitmq-defaults").exists()) {
            Some(scripts) => Ok(Self { scripts }),
            None => bail!("RabbitMQ is not installed: apt-get install rabbitmq-server"),
        }
    }

    /// One of RabbitMQ's scripts, with nothing in its environment but where to find Erlang.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = Command::new(self.scripts.join(name));
        command
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("PATH", erlang_path());
        command
    }
}

/// The caller's PATH, and the places where Erlang usually is behind it.
pub(crate) fn erlang_path() -> String {
    let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    env::var("PATH").map_or(usual.to_owned(), |path| format!("{path}:{usual}"))
}

fn newest_under(folder: &Path) -> Option<PathBuf> {
    let servers = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("sbin")));
    servers.max()
}

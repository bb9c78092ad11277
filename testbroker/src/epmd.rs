//! A private Erlang port mapper. Every node needs one; with our own on a port of its own, none is left behind.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::installation::Installation;
use crate::ports::free_port;
use crate::supervised::Supervised;

#[derive(Debug)]
pub(crate) struct Epmd {
    port: u16,
    _process: Supervised,
    _folder: TempDir,
}

impl Epmd {
    pub(crate) fn start(installation: &Installation) -> Result<Self> {
        let port = free_port()?;
        let folder = TempDir::with_prefix("epmd-")?;
        let log = folder.path().join("log");
        let mut command = installation.program(Path::new("epmd"));
        command.args(["-address", "127.0.0.1", "-port", &port.to_string()]);
        let mut process = Supervised::spawn(&command, Some(folder.path()), &log)?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if process.ended()?.is_some() || Instant::now() > deadline {
                bail!(
                    "epmd did not start on port {port}: {}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            sleep(Duration::from_millis(5));
        }
        Ok(Self {
            port,
            _process: process,
            _folder: folder,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

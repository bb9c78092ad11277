//! One private Apache Qpid Broker-J: start, wait until it answers, stop, kill, start again on the same port and data.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;

use crate::cache::cache_folder;
use crate::login::opens_virtual_host;
use crate::ports::free_port;
use crate::supervised::Supervised;

/// The release that is tried.
pub const QPID_RELEASE: &str = "9.2.1";

/// What the broker makes its own configuration from at its first start; the port is passed at each.
const CONFIGURATION: &str = include_str!("qpid.json");

/// It is ready after 3 to 5 s; a small machine that also compiles may need many times as long.
const START_DEADLINE: Duration = Duration::from_secs(180);
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// A private Qpid. It ends, and its data with it, when this value is dropped or the process that owns it ends.
#[derive(Debug)]
pub struct Qpid {
    // Dropped before the folder that it works in.
    process: Option<Supervised>,
    installation: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Qpid {
    /// Starts a broker and waits until it answers AMQP. The error holds the end of the broker's log.
    pub fn start() -> Result<Self> {
        let mut broker = Self {
            process: None,
            installation: installation()?,
            port: free_port()?,
            folder: TempDir::with_prefix("qpid-")?,
        };
        fs::write(broker.file("initial.json"), CONFIGURATION)?;
        broker.resume()?;
        Ok(broker)
    }

    /// Starts the broker again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port and data.
    pub fn resume(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "Qpid runs already");
        let mut process =
            Supervised::spawn(&self.command(), Some(self.folder.path()), &self.file("log"))?;
        let deadline = Instant::now() + START_DEADLINE;
        // The port is there before the virtual host is.
        while !opens_virtual_host(self.address()) {
            if let Some(status) = process.ended()? {
                let log = self.log_tail();
                bail!("Qpid ended while starting ({status}); its log ends:\n{log}");
            }
            if Instant::now() > deadline {
                let log = self.log_tail();
                bail!("Qpid does not answer after {START_DEADLINE:?}; its log ends:\n{log}");
            }
            sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Stops the broker in good order; its data stays for [`resume`](Self::resume).
    pub fn stop(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |process| process.terminate(STOP_DEADLINE))
    }

    /// Kills the broker with SIGKILL, as a power cut would; its data stays for [`resume`](Self::resume).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// The broker's AMQP URL, with the user and password that its configuration has.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}", self.address())
    }

    /// Where the broker listens for AMQP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The broker's own script wants bash and a home folder, and says what anyone knows: the Java command is enough.
    fn command(&self) -> Command {
        let home = self.installation.display();
        let mut command = Command::new("java");
        command
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .args(["-Xmx512m", "-XX:MaxDirectMemorySize=1536m"])
            .arg(format!("-DQPID_HOME={home}"))
            .arg(format!("-DQPID_WORK={}", self.folder.path().display()))
            .arg(format!(
                "-Dderby.stream.error.file={}",
                self.file("derby.log").display()
            ))
            .arg("-cp")
            .arg(format!(
                "{home}/lib/*:{home}/lib/plugins/*:{home}/lib/opt/*"
            ))
            .arg("org.apache.qpid.server.Main")
            .arg("-icp")
            .arg(self.file("initial.json"))
            .args(["-prop", &format!("amqp_port={}", self.port)]);
        command
    }

    fn log_tail(&self) -> String {
        let log = fs::read(self.file("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The folder in the cache that holds the release; `cargo xtask test --broker qpid` puts it there.
fn installation() -> Result<PathBuf> {
    let folder = cache_folder(&format!("qpid-{QPID_RELEASE}"))?;
    ensure!(
        folder.join("lib").is_dir(),
        "Apache Qpid {QPID_RELEASE} is not in {}",
        folder.display()
    );
    Ok(folder)
}

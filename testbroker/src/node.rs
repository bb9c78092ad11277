//! One private RabbitMQ node: start, wait until it answers, stop, kill, start again on the same port and data.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::epmd::Epmd;
use crate::flavour::Flavour;
use crate::installation::Installation;
use crate::options::Options;
use crate::ports::free_port;
use crate::supervised::Supervised;

/// A node takes 5 s of processor time to start; a small machine that also compiles may need many times as long.
const START_DEADLINE: Duration = Duration::from_secs(180);
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// Where a quorum queue's or a stream's processes have their files is in tables of Ra. Khepri, which holds the definitions since
/// RabbitMQ 4.3 (and does not exist in 3.10), has them on the disk at once.
const SYNC: &str = "[ok = dets:sync(Table) || Table <- dets:all()], case erlang:function_exported(rabbit_khepri, is_enabled, 0) andalso rabbit_khepri:is_enabled() of \
                    true -> ok; false -> mnesia:sync_log() end.";

/// The node's Erlang uses the port mapper that is there, and takes connections of other nodes on the loopback interface.
const ERLANG_ARGUMENTS: &str = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}";

/// A private node. It ends, and its data with it, when this value is dropped or the process that owns it ends.
#[derive(Debug)]
pub struct Broker {
    // Fields are dropped in this order: the node, then what it stood on.
    process: Option<Supervised>,
    installation: Installation,
    epmd: Arc<Epmd>,
    name: String,
    port: u16,
    distribution_port: u16,
    /// How much was logged before the node's present start.
    logged_before: usize,
    folder: TempDir,
}

impl Broker {
    /// Starts a node and waits until it answers AMQP. The error holds the end of the node's log.
    pub fn start(options: &Options) -> Result<Self> {
        let installation = Installation::from_environment()?;
        let epmd = Arc::new(Epmd::start(&installation)?);
        let mut broker = Self::prepare(installation, epmd, options)?;
        broker.resume()?;
        Ok(broker)
    }

    /// Lays out a node's folder and chooses its name and ports, but does not start it.
    pub(crate) fn prepare(
        installation: Installation,
        epmd: Arc<Epmd>,
        options: &Options,
    ) -> Result<Self> {
        let folder = TempDir::with_prefix("rabbitmq-")?;
        let port = free_port()?;
        let broker = Self {
            process: None,
            installation,
            epmd,
            name: format!("node{port}@localhost"),
            port,
            distribution_port: free_port()?,
            logged_before: 0,
            folder,
        };
        fs::write(
            broker.file("enabled_plugins"),
            format!("[{}].\n", options.plugins.join(",")),
        )?;
        if let Some(flavour) = Flavour::from_environment()? {
            let lines: Vec<String> = flavour
                .configuration
                .iter()
                .copied()
                .map(str::to_owned)
                .collect();
            broker.configure(&lines)?;
        }
        broker.configure(&options.configuration)?;
        Ok(broker)
    }

    /// Appends lines to `rabbitmq.conf`. They count from the next start on.
    pub(crate) fn configure(&self, lines: &[String]) -> Result<()> {
        if lines.is_empty() {
            return Ok(()); // a node without the file starts faster
        }
        let file = self.file("rabbitmq.conf");
        let before = fs::read_to_string(&file).unwrap_or_default();
        Ok(fs::write(file, before + &lines.join("\n") + "\n")?)
    }

    /// Sets the secret that nodes and rabbitmqctl show each other. By default Erlang makes one up for each node.
    pub(crate) fn set_cookie(&self, secret: &str) -> Result<()> {
        let file = self.file(".erlang.cookie");
        fs::write(&file, secret)?;
        Ok(fs::set_permissions(file, Permissions::from_mode(0o600))?)
    }

    /// Starts the node again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port and data.
    pub fn resume(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_until_ready()
    }

    /// As [`resume`](Self::resume), but returns at once: a node may need others of its cluster to get ready.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.name);
        self.logged_before = self.log().len();
        let server = self.script("rabbitmq-server");
        self.process = Some(Supervised::spawn(
            &server,
            Some(self.folder.path()),
            &self.file("log"),
        )?);
        Ok(())
    }

    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        while !(self.has_started() && answers_amqp(self.address())) {
            let process = self.process.as_mut().context("the node was not started")?;
            if let Some(status) = process.ended()? {
                bail!(
                    "{} ended while starting ({status}); its log ends:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "{} does not answer after {START_DEADLINE:?}; its log ends:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Whether the node says so. It answers AMQP a moment before; a queue that is deleted then is not told to its consumers
    /// (RabbitMQ 4.3.6).
    fn has_started(&self) -> bool {
        let log = self.log();
        let log = log.get(self.logged_before..).unwrap_or(&log);
        log.contains("Server startup complete")
    }

    /// Stops the node in good order; its data stays for [`resume`](Self::resume).
    pub fn stop(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |process| process.terminate(STOP_DEADLINE))
    }

    /// Kills the node with SIGKILL, as a power cut would; its data stays for [`resume`](Self::resume).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Has the node write down now which queues and exchanges there are. By itself it does so seconds after it has
    /// declared them, and a node that is [killed](Self::kill) before forgets them.
    pub fn write_definitions_down(&self) -> Result<()> {
        let printed = self.rabbitmqctl(&["eval", SYNC])?;
        ensure!(
            printed.trim() == "ok",
            "writing definitions down: {printed}"
        );
        Ok(())
    }

    /// Runs `rabbitmqctl` on this node and returns what it printed. It takes a second or more to start.
    pub fn rabbitmqctl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let output = self
            .script("rabbitmqctl")
            .args(arguments)
            .output()
            .context("running rabbitmqctl")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "rabbitmqctl failed: {}\n{printed}{complaint}",
            output.status
        );
        Ok(printed)
    }

    /// The node's AMQP URL, with the user and password that RabbitMQ has from the start.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}", self.address())
    }

    /// Where the node listens for AMQP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The node's Erlang name, as rabbitmqctl and the log have it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of RabbitMQ that it runs, for example `4.3.6`.
    pub fn version(&self) -> Result<String> {
        self.installation.version()
    }

    /// The node's process id while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Supervised::id)
    }

    /// All that the node has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.file("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(80)..].join("\n")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One of RabbitMQ's scripts with the environment that makes it this node's.
    fn script(&self, name: &str) -> Command {
        let mut command = self.installation.script(name);
        command
            .env("HOME", self.folder.path()) // the Erlang cookie is there
            .env("ERL_EPMD_PORT", self.epmd.port().to_string())
            .env("ERL_CRASH_DUMP", self.file("erl_crash.dump"))
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", self.file("data"))
            .env("RABBITMQ_LOG_BASE", self.file("logs"))
            .env("RABBITMQ_LOGS", "-")
            .env(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                self.file("enabled_plugins"),
            )
            .env("RABBITMQ_CONFIG_FILE", self.file("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG_ARGUMENTS)
            .env("RABBITMQ_CTL_ERL_ARGS", "-start_epmd false")
            // The script then becomes the node, instead of staying as its parent.
            .env("detached", "yes");
        command
    }
}

/// Whether a server there answers AMQP's greeting with a method frame.
fn answers_amqp(address: SocketAddr) -> bool {
    let greet = || -> std::io::Result<u8> {
        let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut first = [0];
        socket.read_exact(&mut first)?;
        Ok(first[0])
    };
    greet().is_ok_and(|first| first == 1)
}

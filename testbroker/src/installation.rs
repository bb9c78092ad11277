//! Where RabbitMQ's own scripts are: on this machine, or in a Debian in a folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::flavour::Flavour;

/// Where Debian's package has the folders with the scripts as RabbitMQ ships them.
const DEBIAN_SERVERS: &str = "/usr/lib/rabbitmq/lib";

/// The places where programs usually are.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a command with another Debian's files: `$1` is its root folder, `$2` the folder for temporary files, the rest the
/// command. What is mounted belongs to a mount namespace of the command's own and is gone with its last process.
const ENTER: &str = r#"
set -e
root=$1 temporary=$2; shift 2
mkdir -p "$root$temporary"
mount --rbind "$temporary" "$root$temporary"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"
"#;

/// The folder with `rabbitmq-server` and `rabbitmqctl` as RabbitMQ ships them, which anyone may run. (Debian's
/// wrappers of the same names in `/usr/sbin` are for the system-wide service: they insist on its user and its files.)
#[derive(Debug, Clone)]
pub struct Installation {
    /// The root of the Debian that has it; nothing where it is this machine's.
    root: Option<PathBuf>,
    /// As its own programs see the path.
    scripts: PathBuf,
}

impl Installation {
    /// The one that a test run asks for by `AMQP_TOOLS_BROKER`, or else this machine's.
    pub fn from_environment() -> Result<Self> {
        match Flavour::from_environment()? {
            Some(flavour) => Self::of(flavour),
            None => Self::find(),
        }
    }

    /// Finds the RabbitMQ that is installed on this machine.
    pub fn find() -> Result<Self> {
        let debian = newest_under(Path::new(DEBIAN_SERVERS));
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
            Some(scripts) => Ok(Self {
                root: None,
                scripts,
            }),
            None => bail!("RabbitMQ is not installed: apt-get install rabbitmq-server"),
        }
    }

    /// This machine's own where that is of the right release, else the one in the flavour's root folder.
    pub fn of(flavour: &Flavour) -> Result<Self> {
        let has_release = |found: &Self| found.version().is_ok_and(|version| flavour.has(&version));
        if let Some(own) = Self::find().ok().filter(has_release) {
            return Ok(own);
        }
        let root = flavour.root_folder()?;
        let found = Self::in_root(&root)?;
        let version = found.version()?;
        ensure!(
            flavour.has(&version),
            "{} has RabbitMQ {version}, not {}",
            root.display(),
            flavour.release
        );
        Ok(found)
    }

    /// Finds the RabbitMQ of a Debian whose root is that folder.
    fn in_root(root: &Path) -> Result<Self> {
        let inside = Path::new(DEBIAN_SERVERS).strip_prefix("/")?;
        let scripts = newest_under(&root.join(inside))
            .with_context(|| format!("there is no RabbitMQ in {}", root.display()))?;
        ensure!(
            rustix::process::geteuid().is_root(),
            "only root can run the RabbitMQ in {}",
            root.display()
        );
        Ok(Self {
            root: Some(root.to_owned()),
            scripts: Path::new("/").join(scripts.strip_prefix(root)?),
        })
    }

    /// The version of the server, for example `4.3.6`.
    pub fn version(&self) -> Result<String> {
        let sbin = match &self.root {
            Some(root) => root.join(self.scripts.strip_prefix("/")?),
            None => fs::canonicalize(&self.scripts)?,
        };
        let plugins = sbin.with_file_name("plugins");
        let entries = fs::read_dir(&plugins).with_context(|| plugins.display().to_string())?;
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .find_map(|name| {
                let version = name.strip_prefix("rabbit-")?;
                Some(version.strip_suffix(".ez").unwrap_or(version).to_owned())
            })
            .with_context(|| format!("{} does not tell RabbitMQ's version", plugins.display()))
    }

    /// One of RabbitMQ's scripts, with nothing in its environment but where to find Erlang.
    pub(crate) fn script(&self, name: &str) -> Command {
        self.program(&self.scripts.join(name))
    }

    /// One of the programs that are installed beside it, with nothing in its environment but where to find others.
    pub(crate) fn program(&self, program: &Path) -> Command {
        let mut command = match &self.root {
            None => Command::new(program),
            Some(root) => {
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "--propagation", "private"])
                    .args(["/bin/sh", "-c", ENTER, "enter"])
                    .arg(root)
                    .arg(env::temp_dir())
                    .arg(program);
                command
            }
        };
        command
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("PATH", self.path());
        command
    }

    /// The caller's PATH, and behind it the places where Erlang usually is; another Debian has the latter only.
    fn path(&self) -> String {
        match env::var("PATH") {
            Ok(path) if self.root.is_none() => format!("{path}:{USUAL_PATH}"),
            _ => USUAL_PATH.to_owned(),
        }
    }
}

fn newest_under(folder: &Path) -> Option<PathBuf> {
    let servers = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("sbin")));
    servers.max()
}

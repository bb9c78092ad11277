//! The `docker` command, and the things made by it that must go away again.

use std::ffi::OsStr;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::NamedTempFile;

/// On everything the trials make, so that what an interrupted run left behind is found by the next one.
const LABEL: &str = "amqp-tools-trials";

/// Runs `docker` and returns its standard output, without the newline at its end.
pub(crate) fn docker<S: AsRef<OsStr>>(args: &[S]) -> Result<String> {
    let output = Command::new("docker")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .context("running docker")?;
    let printed = String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned();
    ensure!(
        output.status.success(),
        "{}: {}\n{printed}\n{}",
        line(args),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end(),
    );
    Ok(printed)
}

/// Runs `docker` with its output shown.
pub(crate) fn docker_shown<S: AsRef<OsStr>>(args: &[S]) -> Result<()> {
    let status = Command::new("docker")
        .args(args)
        .stdin(Stdio::null())
        .status()
        .context("running docker")?;
    ensure!(status.success(), "{}: {status}", line(args));
    Ok(())
}

/// Runs `docker` with a text on its standard input, and returns its standard output, the end untouched.
pub(crate) fn docker_fed(args: &[&str], input: &str) -> Result<String> {
    let mut file = tempfile::tempfile()?;
    file.write_all(input.as_bytes())?;
    file.rewind()?;
    let output = Command::new("docker")
        .args(args)
        .stdin(file)
        .output()
        .context("running docker")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: {}\n{printed}\n{complaint}",
        line(args),
        output.status
    );
    Ok(printed)
}

fn line<S: AsRef<OsStr>>(args: &[S]) -> String {
    let words = args.iter().map(|word| word.as_ref().to_string_lossy());
    words.fold("docker".to_owned(), |line, word| line + " " + &word)
}

pub(crate) fn has_image(name: &str) -> bool {
    docker(&["image", "inspect", "--format", "{{.Id}}", name]).is_ok()
}

/// An image's size on disk in bytes, its base included.
pub(crate) fn image_size(name: &str) -> Result<u64> {
    Ok(docker(&["image", "inspect", "--format", "{{.Size}}", name])?.parse()?)
}

/// Removes what an interrupted run left behind.
pub(crate) fn sweep() -> Result<()> {
    let filter = format!("label={LABEL}");
    let lists: [(&[&str], &[&str]); 3] = [
        (
            &["ps", "-aq", "--filter", &filter],
            &["rm", "--force", "--volumes"],
        ),
        (
            &["network", "ls", "-q", "--filter", &filter],
            &["network", "rm"],
        ),
        (
            &["volume", "ls", "-q", "--filter", &filter],
            &["volume", "rm", "--force"],
        ),
    ];
    for (list, remove) in lists {
        let names = docker(list)?;
        let names: Vec<&str> = names.lines().collect();
        if !names.is_empty() {
            docker(&[remove, &names].concat())?;
        }
    }
    Ok(())
}

/// A private network. Containers on it find each other by alias, as pods find a Service.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
}

impl Network {
    pub(crate) fn create() -> Result<Self> {
        let name = format!("{LABEL}-{}", std::process::id());
        docker(&["network", "create", "--label", LABEL, &name])?;
        Ok(Self { name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        report(docker(&["network", "rm", &self.name]));
    }
}

/// A volume, for what must outlive a container.
#[derive(Debug)]
pub(crate) struct Volume {
    name: String,
}

impl Volume {
    pub(crate) fn create() -> Result<Self> {
        let name = docker(&["volume", "create", "--label", LABEL])?;
        Ok(Self { name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        report(docker(&["volume", "rm", "--force", &self.name]));
    }
}

/// A container, from its creation to its removal.
#[derive(Debug)]
pub(crate) struct Container {
    id: String,
}

impl Container {
    /// Creates a container from the arguments of `docker create`: options, image, command. It does not run yet.
    pub(crate) fn create<S: AsRef<OsStr>>(args: &[S]) -> Result<Self> {
        let mut all: Vec<&OsStr> = ["create", "--label", LABEL].map(OsStr::new).to_vec();
        all.extend(args.iter().map(AsRef::as_ref));
        Ok(Self { id: docker(&all)? })
    }

    /// Starts it, for the first time or again.
    pub(crate) fn start(&self) -> Result<()> {
        docker(&["start", &self.id]).map(drop)
    }

    /// Starts it and waits until it ends.
    pub(crate) fn run(&self) -> Result<i32> {
        self.start()?;
        self.wait()
    }

    /// Waits until it ends, and returns its exit status.
    pub(crate) fn wait(&self) -> Result<i32> {
        self.eventually("the container's end", || self.exit_status())
    }

    /// The exit status, once it has ended.
    pub(crate) fn exit_status(&self) -> Result<Option<i32>> {
        let state = docker(&[
            "inspect",
            "--format",
            "{{.State.Status}} {{.State.ExitCode}}",
            &self.id,
        ])?;
        match state.split_once(' ') {
            Some(("exited" | "dead", status)) => Ok(Some(status.parse()?)),
            _ => Ok(None),
        }
    }

    /// Everything it has printed so far, on both streams.
    pub(crate) fn logs(&self) -> Result<String> {
        let output = Command::new("docker").args(["logs", &self.id]).output()?;
        let both = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&both).into_owned())
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Copies a file or folder out of it, whether it runs or not.
    pub(crate) fn copy_out(&self, path: &str, folder: &Path) -> Result<()> {
        let source = format!("{}:{path}", self.id);
        docker(&["cp".as_ref(), source.as_ref(), folder.as_os_str()]).map(drop)
    }

    /// Copies a file or folder into it.
    pub(crate) fn copy_in(&self, source: &Path, path: &str) -> Result<()> {
        let place = format!("{}:{path}", self.id);
        docker(&["cp".as_ref(), source.as_os_str(), place.as_ref()]).map(drop)
    }

    /// Its address on the network that it is on.
    pub(crate) fn address(&self) -> Result<String> {
        let every = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "--format", every, &self.id])
    }

    /// Its files and links, as paths from the root.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let archive = NamedTempFile::new()?;
        docker(&[
            "export".as_ref(),
            "--output".as_ref(),
            archive.path().as_os_str(),
            self.id.as_ref(),
        ])?;
        let listing = Command::new("tar")
            .arg("-tf")
            .arg(archive.path())
            .output()?;
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        Ok(listing
            .lines()
            .filter(|path| !path.ends_with('/'))
            .map(str::to_owned)
            .collect())
    }

    /// Runs a command in it and returns what it printed.
    pub(crate) fn exec(&self, command: &[&str]) -> Result<String> {
        docker(&[&["exec", self.id.as_str()], command].concat())
    }

    pub(crate) fn kill(&self) -> Result<()> {
        docker(&["kill", &self.id]).map(drop)
    }

    /// `docker stop`: SIGTERM, and SIGKILL after `patience`.
    pub(crate) fn stop(&self, patience: Duration) -> Result<()> {
        docker(&["stop", "--time", &patience.as_secs().to_string(), &self.id]).map(drop)
    }

    /// Waits until it has printed a text.
    pub(crate) fn prints(&self, text: &str) -> Result<()> {
        self.eventually(text, || Ok(self.logs()?.contains(text).then_some(())))
    }

    /// Asks until there is an answer; without one the error shows what the container printed.
    fn eventually<T>(&self, what: &str, ask: impl Fn() -> Result<Option<T>>) -> Result<T> {
        eventually(what, ask).with_context(|| self.logs().unwrap_or_default())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        report(docker(&["rm", "--force", "--volumes", &self.id]));
    }
}

/// Asks again and again until there is an answer, for two minutes at most.
pub(crate) fn eventually<T>(what: &str, ask: impl Fn() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited two minutes in vain for {what}");
        }
        sleep(Duration::from_millis(100));
    }
}

fn report<T>(removal: Result<T>) {
    if let Err(error) = removal {
        eprintln!("cleaning up: {error:#}");
    }
}

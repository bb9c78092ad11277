//! A child process that cannot outlive its owner, not even one that is killed with SIGKILL.
//!
//! The child holds one end of a pipe, the lifeline. When the owner ends, however it ends, the system closes
//! the other end; a watcher beside the child sees that, kills the child and removes its folder.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// `$1` is the folder to remove when the owner is gone (or empty), the rest the command, which takes the shell's place.
const SCRIPT: &str = r#"
folder=$1; shift
exec 3<&0
(
    cat <&3 >/dev/null
    kill -KILL $$
    for seconds in 0.3 3; do sleep $seconds; [ -z "$folder" ] || rm -rf -- "$folder"; done
) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
"#;

/// A running command in a process group of its own, ended with its owner.
#[derive(Debug)]
pub(crate) struct Supervised {
    child: Child,
    lifeline: Option<ChildStdin>,
}

impl Supervised {
    /// Starts `command` (its program, arguments and environment); both its streams are appended to `log`.
    pub(crate) fn spawn(
        command: &Command,
        folder_to_remove: Option<&Path>,
        log: &Path,
    ) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .context("opening the log")?;
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", SCRIPT, "supervised"])
            .arg(folder_to_remove.unwrap_or(Path::new("")));
        shell
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear();
        shell.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        shell
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(log.try_clone()?)
            .stdout(log);
        let mut child = shell.spawn().context("starting /bin/sh")?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline })
    }

    /// The process id of the command itself.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the command ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks the command to end by SIGTERM and waits for it; what is left of it after `patience` is killed.
    pub(crate) fn terminate(mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        if self.ended()?.is_none() {
            kill_process(self.pid()?, Signal::TERM)?;
        }
        while self.ended()?.is_none() && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("not a process id")
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // The watcher is in the group too, so the group's id cannot have been given to anyone else.
        if let Ok(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        drop(self.lifeline.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// Waits for something that the test cannot be told of.
    fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition() {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            sleep(Duration::from_millis(10));
        }
    }

    /// The system closes the lifeline of an owner that is killed, just as it is closed here.
    #[test]
    fn without_its_owner_the_command_ends_and_its_folder_goes() {
        let (folder, logs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut command = Command::new("sleep");
        command.arg("1000").env("PATH", "/usr/bin:/bin");
        let log = logs.path().join("log");
        let mut supervised = Supervised::spawn(&command, Some(folder.path()), &log).unwrap();
        assert!(supervised.ended().unwrap().is_none());
        drop(supervised.lifeline.take());
        eventually("its end", || supervised.ended().unwrap().is_some());
        eventually("its folder's removal", || !folder.path().exists());
    }

    #[test]
    fn what_does_not_mind_sigterm_is_killed() {
        let folder = TempDir::new().unwrap();
        let ready = folder.path().join("ready");
        let stubborn = format!(
            "trap '' TERM; : >{}; while :; do sleep 1; done",
            ready.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &stubborn]).env("PATH", "/usr/bin:/bin");
        let supervised = Supervised::spawn(&command, None, &folder.path().join("log")).unwrap();
        let pid = supervised.pid().unwrap();
        eventually("its start", || ready.exists());
        supervised.terminate(Duration::from_millis(200)).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}

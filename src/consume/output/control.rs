//! What the driver says about a command whose output is collected, and what may be waited for because of that.

use std::io::PipeReader;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::own_stream::{OwnStream, Target};

/// How long the end of a command may wait for whoever reads the tool's standard error.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the driver says about the command.
pub(super) struct Control {
    pub(super) pipe: PipeReader,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// Since then.
    Ended(Instant),
    /// Nobody is waited for.
    GivenUp,
    /// The end was reported; a process that the command has left behind may still write.
    Reported,
}

impl Control {
    /// Waits until one of the files is readable, or the driver says something.
    pub(super) fn wait_for<File: AsFd>(&self, files: &[&File]) -> (PollFlags, Vec<bool>) {
        self.wait_until(files, None)
    }

    fn wait_until<File: AsFd>(
        &self,
        files: &[&File],
        limit: Option<Duration>,
    ) -> (PollFlags, Vec<bool>) {
        let awaited = match self.state {
            State::Running => PollFlags::IN,
            _ => PollFlags::empty(),
        };
        let own = PollFd::new(&self.pipe, awaited);
        let others = files.iter().map(|file| PollFd::new(*file, PollFlags::IN));
        // What was reported is no concern of the driver's any more.
        let skipped = usize::from(self.state == State::Reported);
        let mut all: Vec<PollFd> = std::iter::once(own).chain(others).collect();
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        if poll(&mut all[skipped..], limit.as_ref()).is_err() {
            return (PollFlags::empty(), vec![false; files.len()]);
        }
        let told = match self.state {
            State::Reported => PollFlags::empty(),
            _ => all[0].revents(),
        };
        (
            told,
            all[1..]
                .iter()
                .map(|file| !file.revents().is_empty())
                .collect(),
        )
    }

    pub(super) fn hear(&mut self, told: PollFlags) {
        if told.contains(PollFlags::HUP) {
            self.state = State::GivenUp;
        } else if told.contains(PollFlags::IN) {
            self.state = State::Ended(Instant::now());
        }
    }

    /// Waits until there may be room. False: it is not to be waited for any more.
    pub(super) fn wait_for_room(&mut self, stream: &OwnStream, target: Target) -> bool {
        let limit = match (self.state, target) {
            (State::GivenUp, _) => return false,
            // What the command wrote to standard output is what it was run for.
            (State::Running | State::Reported, _) | (State::Ended(_), Target::Stdout) => None,
            (State::Ended(_), Target::Stderr) if stream.is_stuck() => return false,
            (State::Ended(since), Target::Stderr) => {
                let left = PATIENCE.saturating_sub(since.elapsed());
                if left.is_zero() {
                    return false;
                }
                Some(left)
            }
        };
        let (told, _) = self.wait_until(&[&stream.room()], limit);
        self.hear(told);
        true
    }
}

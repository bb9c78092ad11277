//! From connecting to closing, and again if the connection breaks and may be reopened.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, bounded, select};

use super::interrupts::{Caught, Interrupts};
use super::options::Confirms;
use super::outcome::Ending;
use super::preparation::{Extent, Preparation};
use super::progress::Progress;
use super::pump::{Pump, Stop, interrupted};
use super::reader;
use super::window::{Bodies, Tally};
use crate::broker::{ConnectOptions, Error, Session};

/// How long to wait before a connection that broke without having been of use is opened again.
const PAUSE: Duration = Duration::from_millis(250);

/// A session that has lasted this long is one that works.
const SETTLED: Duration = Duration::from_secs(5);

/// How far it came.
#[derive(Debug, Default)]
pub(super) struct Pumped {
    pub(super) tally: Tally,
    pub(super) first_unconfirmed: Option<String>,
}

/// Publishes what is prepared.
pub(super) fn publish(connect: &ConnectOptions, preparation: Preparation) -> (Ending, Pumped) {
    match try_publish(connect, preparation) {
        Ok(done) => done,
        Err(Stop::Failed(error)) => (Ending::Failed(error), Pumped::default()),
        Err(Stop::Lost(error)) => (Ending::Failed(error.into()), Pumped::default()),
        Err(Stop::Interrupted(signal)) => (Ending::Interrupted(signal), Pumped::default()),
    }
}

/// An error means that nothing was sent.
fn try_publish(
    connect: &ConnectOptions,
    preparation: Preparation,
) -> Result<(Ending, Pumped), Stop> {
    let caught = Caught::signals().context("listening for signals")?;
    // The broker is at work while the thread for signals starts.
    let opening = Opening::start(connect)?;
    let interrupts = Interrupts::listen(caught).context("listening for signals")?;
    let session = opening.wait(&interrupts)?;
    let chunks =
        reader::start(preparation.source, preparation.start).context("starting to read")?;
    let Extent {
        bytes,
        bytes_before,
    } = preparation.extent;
    let progress = Progress::begin(preparation.progress, bytes, bytes_before);
    let bodies = if connect.retry.is_zero() {
        Bodies::Forgotten
    } else {
        Bodies::Kept
    };
    let pump = Pump::new(
        preparation.maker,
        chunks,
        preparation.confirms,
        bodies,
        preparation.checkpoint,
        &progress,
        &interrupts,
    );
    let mut sessions = Sessions {
        connect,
        confirms: preparation.confirms,
        progress: &progress,
        interrupts: &interrupts,
        pump,
        in_vain_since: None,
    };
    let ending = sessions.run(session);
    let ending = sessions.conclude(ending);
    let pumped = Pumped {
        tally: sessions.pump.tally(),
        first_unconfirmed: sessions
            .pump
            .first_unconfirmed()
            .map(|place| place.to_string()),
    };
    Ok((ending, pumped))
}

/// One session after the other, until all is done or nothing more can be.
struct Sessions<'run> {
    connect: &'run ConnectOptions,
    confirms: Confirms,
    progress: &'run Progress,
    interrupts: &'run Interrupts,
    pump: Pump<'run>,
    /// Since when sessions have broken without having been of use.
    in_vain_since: Option<Instant>,
}

impl Sessions<'_> {
    fn run(&mut self, mut session: Session) -> Result<(), Stop> {
        loop {
            let (began, confirmed) = (Instant::now(), self.pump.tally().confirmed);
            let error = match self.use_session(session) {
                Err(Stop::Lost(error)) => error,
                ended => return ended,
            };
            let was_of_use = self.pump.tally().confirmed > confirmed || began.elapsed() > SETTLED;
            if !self.may_reopen_after(&error, was_of_use) {
                return Err(Stop::Failed(error.into()));
            }
            session = self.progress.aside(|| {
                (self.connect.announce)(&format!("{error}; connecting again"));
                Opening::start(self.connect)?.wait(self.interrupts)
            })?;
        }
    }

    /// Publishes on this session as long as it works; `Stop::Lost` says why it does not any more.
    fn use_session(&mut self, mut session: Session) -> Result<(), Stop> {
        self.interrupts.watch_over(&session);
        if self.progress.is_shown() {
            let notices = session.blocked_notices()?;
            self.progress.watch(notices).context("starting a thread")?;
        }
        match (self.pump.run(&session), self.confirms) {
            // All that was asked for is confirmed; how closing goes cannot change that.
            (Ok(()), Confirms::Awaited { .. }) => {
                let _ = session.close();
                Ok(())
            }
            (Ok(()), Confirms::Off) => session.close().map_err(|error| Stop::Failed(error.into())),
            (Err(Stop::Lost(Error::Lost { context, .. })), _) => {
                Err(Stop::Lost(session.autopsy(context)))
            }
            (ended, _) => ended,
        }
    }

    /// Whether to go on with a new session. Ones that break at once, again and again, are tried for as long as one that
    /// cannot be opened.
    fn may_reopen_after(&mut self, error: &Error, was_of_use: bool) -> bool {
        if self.confirms == Confirms::Off || !error.is_transient() {
            return false;
        }
        if was_of_use {
            self.in_vain_since = None;
            return !self.connect.retry.is_zero();
        }
        let since = *self.in_vain_since.get_or_insert_with(Instant::now);
        thread::sleep(PAUSE);
        since.elapsed() < self.connect.retry
    }

    fn conclude(&mut self, ended: Result<(), Stop>) -> Ending {
        let saved = self.pump.save_place();
        match (ended, saved) {
            (Ok(()), Ok(())) => Ending::Complete,
            (Ok(()), Err(error)) => Ending::Failed(error.into()),
            (Err(Stop::Failed(error)), _) => Ending::Failed(error),
            (Err(Stop::Lost(error)), _) => Ending::Failed(error.into()),
            (Err(Stop::Interrupted(signal)), _) => Ending::Interrupted(signal),
        }
    }
}

/// A session that is being opened in a thread of its own, so that a signal ends the waiting for it.
struct Opening(Receiver<Result<Session, Error>>);

impl Opening {
    fn start(connect: &ConnectOptions) -> Result<Opening, Stop> {
        let (opened, opening) = bounded(1);
        let options = connect.clone();
        thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                let _ = opened.send(Session::open(&options));
            })
            .context("starting a thread")?;
        Ok(Opening(opening))
    }

    fn wait(self, interrupts: &Interrupts) -> Result<Session, Stop> {
        select! {
            recv(self.0) -> session => match session {
                Ok(Ok(session)) => Ok(session),
                Ok(Err(error)) => Err(Stop::Failed(error.into())),
                Err(_) => Err(Stop::Failed(anyhow::anyhow!("connecting ended without a result"))),
            },
            recv(interrupts.signals()) -> signal => Err(interrupted(signal)),
        }
    }
}

//! Connecting, in a thread of its own, so that a signal ends the waiting for it; and a look at both ends of the way.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::broker::{ConnectOptions, Error, Session};
use crate::streams;
use crate::transfer::options::MoveOptions;

/// A session that is being opened.
pub(super) struct Opening {
    pub(super) result: Receiver<Result<Opened, Unopened>>,
}

/// A session, and how many messages were ready in the source.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) ready: u32,
}

/// Why there is none.
pub(super) enum Unopened {
    /// There was no connection, and all tries are used up.
    NotConnected(Error),
    /// There was one, and it did not work.
    Unusable(Error),
    /// The source is a stream.
    SourceIsStream,
}

impl Opening {
    /// Begins to connect after `pause`.
    pub(super) fn start(
        connect: &ConnectOptions,
        options: &MoveOptions,
        pause: Duration,
    ) -> io::Result<Opening> {
        let (opened, result) = bounded(1);
        let connect = connect.clone();
        let options = options.clone();
        thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                thread::sleep(pause);
                // Nobody waits for it any more where a signal came.
                let _ = opened.send(open(&connect, &options));
            })?;
        Ok(Opening { result })
    }
}

fn open(connect: &ConnectOptions, options: &MoveOptions) -> Result<Opened, Unopened> {
    let session = Session::open(connect).map_err(Unopened::NotConnected)?;
    match look(&session, options) {
        Ok(0) => match streams::is_stream(connect, &options.source) {
            Ok(true) => Err(Unopened::SourceIsStream),
            Ok(false) => Ok(Opened { session, ready: 0 }),
            Err(error) => Err(Unopened::Unusable(error)),
        },
        Ok(ready) => Ok(Opened { session, ready }),
        Err(Error::Lost { context, .. }) => Err(Unopened::Unusable(session.explain_end(context))),
        Err(error) => Err(Unopened::Unusable(error)),
    }
}

/// Better now than when the first copy is to go there.
fn look(session: &Session, options: &MoveOptions) -> crate::broker::Result<u32> {
    if let Some(queue) = options.destination.queue() {
        session.look_at_queue(queue)?;
    }
    Ok(session.look_at_queue(&options.source)?.messages)
}

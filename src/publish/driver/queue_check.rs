//! Checks whether a queue exists. It uses a connection of its own, since the broker may not answer on the publishing one.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::broker::{ConnectOptions, Error, Session};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

const NOT_FOUND: u16 = 404;

/// Asks for the queue. The channel brings the reason if it does not exist; `None`: it exists, or the broker gave no answer. The
/// channel may also end without an answer.
pub(crate) fn ask(connect: &ConnectOptions, queue: &str) -> Receiver<Option<String>> {
    let (answer, answers) = bounded(1);
    let mut options = connect.clone();
    options.retry = Duration::ZERO;
    options.announce = |_| {};
    let queue = queue.to_owned();
    // Without a thread there is no answer.
    let _ = thread::Builder::new()
        .name("question".to_owned())
        .spawn(move || {
            let _ = answer.send(look(&options, &queue));
        });
    answers
}

fn look(options: &ConnectOptions, queue: &str) -> Option<String> {
    let asked = Session::open(options).and_then(|session| {
        session.cutter().cut_at(Instant::now() + PATIENCE);
        session.look_at_queue(queue)
    });
    match asked {
        Err(Error::Refused {
            code: NOT_FOUND, ..
        }) => Some(format!("basic.publish: no queue '{queue}'")),
        _ => None,
    }
}

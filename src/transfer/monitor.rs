//! What `--status-address` shows of a run.

use std::io;

use prometheus::IntCounter;

use super::run::Tally;
use crate::broker::Session;
use crate::monitoring::{self, Link, Numbers, StatusServer, raise};

/// Counts, where there is a status address.
pub(super) struct Monitor(Option<Meters>);

struct Meters {
    link: Link,
    moved: IntCounter,
    refused: IntCounter,
}

impl Monitor {
    /// Has the server, if there is one, answer from now on.
    pub(super) fn start(server: Option<StatusServer>) -> io::Result<Monitor> {
        monitoring::start(server, Meters::new, |meters| &meters.link).map(Monitor)
    }

    /// A session is open.
    pub(super) fn opened(&mut self, session: &Session) {
        if let Some(meters) = &mut self.0 {
            meters.link.opened(session.pulse());
            meters.link.health().set_at_work(true);
        }
    }

    /// The session has ended.
    pub(super) fn closed(&self) {
        if let Some(meters) = &self.0 {
            meters.link.health().set_at_work(false);
        }
    }

    /// A signal asked the tool to end.
    pub(super) fn is_ending(&self) {
        if let Some(meters) = &self.0 {
            meters.link.health().set_ending(true);
        }
    }

    /// How far the run is.
    pub(super) fn show(&self, tally: impl FnOnce() -> Tally) {
        if let Some(meters) = &self.0 {
            let tally = tally();
            raise(&meters.moved, tally.copied);
            raise(&meters.refused, tally.refused);
        }
    }
}

impl Meters {
    fn new() -> prometheus::Result<(Meters, Numbers)> {
        let numbers = Numbers::new("amqp_move")?;
        let [moved, refused] = numbers.outcomes(
            "messages_total",
            "Messages by what became of their copies.",
            ["moved", "refused"],
        )?;
        let meters = Meters {
            link: Link::new(&numbers)?,
            moved,
            refused,
        };
        Ok((meters, numbers))
    }
}

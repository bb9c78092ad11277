//! What `--status-address` shows of a run.

use std::io;

use prometheus::{IntCounter, IntGauge};

use super::run::Tally;
use crate::broker::Session;
use crate::monitoring::{self, Link, Numbers, StatusServer, raise};

/// Counts, where there is a status address.
pub(super) struct Monitor(Option<Meters>);

struct Meters {
    link: Link,
    confirmed: IntCounter,
    returned: IntCounter,
    nacked: IntCounter,
    unconfirmed: IntGauge,
    blocked: IntGauge,
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
            meters.blocked.set(0);
        }
    }

    /// A signal asked the tool to end.
    pub(super) fn is_ending(&self) {
        if let Some(meters) = &self.0 {
            meters.link.health().set_ending(true);
        }
    }

    /// Whether the broker takes no messages.
    pub(super) fn blocked(&self, is_blocked: bool) {
        if let Some(meters) = &self.0 {
            meters.blocked.set(is_blocked.into());
        }
    }

    /// How far the run is.
    pub(super) fn show(&self, tally: impl FnOnce() -> Tally) {
        let Some(meters) = &self.0 else {
            return;
        };
        let tally = tally();
        raise(&meters.confirmed, tally.confirmed);
        raise(&meters.returned, tally.returned);
        raise(&meters.nacked, tally.rejected);
        let answered = tally.confirmed + tally.returned + tally.rejected;
        let unconfirmed = tally.published.saturating_sub(answered);
        meters
            .unconfirmed
            .set(i64::try_from(unconfirmed).unwrap_or(i64::MAX));
    }
}

impl Meters {
    fn new() -> prometheus::Result<(Meters, Numbers)> {
        let numbers = Numbers::new("amqp_publish")?;
        let [confirmed, returned, nacked] = numbers.outcomes(
            "messages_total",
            "Messages by what the broker answered.",
            ["confirmed", "returned", "nacked"],
        )?;
        let meters = Meters {
            link: Link::new(&numbers)?,
            confirmed,
            returned,
            nacked,
            unconfirmed: numbers.gauge(
                "messages_unconfirmed",
                "Messages that were published and are not confirmed.",
            )?,
            blocked: numbers.gauge("blocked", "1 while the broker takes no messages, else 0.")?,
        };
        Ok((meters, numbers))
    }
}

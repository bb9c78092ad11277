//! What `--status-address` shows of a run. The loop only counts; `monitoring` answers.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Histogram, IntCounter, IntGauge};

use super::run::{FromBroker, Outcome};
use crate::broker::Pulse;
use crate::message::Message;
use crate::monitoring::{self, Link, Numbers, StatusServer};

/// How long commands run, in seconds: from those that are started by the hundred to those of hours.
const DURATIONS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0,
];

/// How old messages are when they are started, in seconds. Their timestamps have whole seconds.
const AGES: [f64; 11] = [
    1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 604_800.0,
];

/// Counts, where there is a status address.
#[derive(Default)]
pub(super) struct Monitor(Option<Meters>);

struct Meters {
    link: Link,
    outcomes: [IntCounter; OUTCOMES.len()],
    durations: Histogram,
    ages: Histogram,
    running: IntGauge,
    unacknowledged: IntGauge,
}

impl Monitor {
    /// Has the server, if there is one, answer from now on.
    pub(super) fn start(server: Option<StatusServer>) -> io::Result<Monitor> {
        monitoring::start(server, Meters::new, |meters| &meters.link).map(Monitor)
    }

    /// Whether there is a status address.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes note of what came over the connection. The pulse is the present connection's.
    pub(super) fn heard(&mut self, event: &FromBroker, pulse: Option<&Pulse>) {
        let Some(meters) = &mut self.0 else {
            return;
        };
        match event {
            FromBroker::Connected { .. } => {
                if let Some(pulse) = pulse {
                    meters.link.opened(pulse.clone());
                }
            }
            FromBroker::Subscribed(_) => meters.link.health().set_at_work(true),
            FromBroker::Delivered(..) => meters.unacknowledged.inc(),
            FromBroker::Lost(_) | FromBroker::Closed | FromBroker::CancelledByBroker(_) => {
                meters.link.health().set_at_work(false);
            }
            // A renewal of the subscription is no interruption.
            FromBroker::Unsubscribed(_)
            | FromBroker::Ready(_)
            | FromBroker::StreamEndsAt(_)
            | FromBroker::UnreadStream => {}
        }
    }

    /// Whether the run takes more messages. One whose work is done may go on when its connection is lost.
    pub(super) fn show(&self, takes_messages: impl FnOnce() -> bool) {
        if let Some(meters) = &self.0 {
            meters.link.health().set_ending(!takes_messages());
        }
    }

    /// The connection was cut.
    pub(super) fn was_cut(&self) {
        if let Some(meters) = &self.0 {
            meters.link.health().set_at_work(false);
        }
    }

    /// The broker waits no longer for so many settlements.
    pub(super) fn settled(&self, count: usize) {
        if let Some(meters) = &self.0 {
            meters
                .unacknowledged
                .sub(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A message is worked on for the first time.
    pub(super) fn begun(&self, message: &Message) {
        if let Some(meters) = &self.0
            && let Some(timestamp) = message.properties.timestamp
        {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let age = now
                .unwrap_or_default()
                .saturating_sub(Duration::from_secs(timestamp));
            meters.ages.observe(age.as_secs_f64());
        }
    }

    /// A command runs, or a child works on a message.
    pub(super) fn started(&self) {
        if let Some(meters) = &self.0 {
            meters.running.inc();
        }
    }

    /// A command has ended that ran for so long, or a child has worked on a message for so long.
    pub(super) fn ended(&self, ran: Duration) {
        if let Some(meters) = &self.0 {
            meters.running.dec();
            meters.durations.observe(ran.as_secs_f64());
        }
    }

    /// What became of a message.
    pub(super) fn concluded(&self, outcome: Outcome) {
        if let (Some(meters), Some(place)) = (&self.0, index(outcome)) {
            meters.outcomes[place].inc();
        }
    }
}

impl Meters {
    fn new() -> prometheus::Result<(Meters, Numbers)> {
        let numbers = Numbers::new("amqp_consume")?;
        let meters = Meters {
            link: Link::new(&numbers)?,
            outcomes: numbers.outcomes(
                "messages_total",
                "Messages by what became of them, when the broker is told.",
                OUTCOMES.map(name),
            )?,
            durations: numbers.histogram(
                "command_duration_seconds",
                "How long commands ran, or children worked on a message.",
                &DURATIONS,
            )?,
            ages: numbers.histogram(
                "message_age_seconds",
                "Age of messages with a timestamp when their first command started.",
                &AGES,
            )?,
            running: numbers.gauge(
                "commands_running",
                "Commands that run, or children that work on a message.",
            )?,
            unacknowledged: numbers.gauge(
                "messages_unacknowledged",
                "Messages that the broker has delivered and waits for.",
            )?,
        };
        Ok((meters, numbers))
    }
}

const OUTCOMES: [Outcome; 6] = [
    Outcome::Succeeded,
    Outcome::Requeued,
    Outcome::Rejected,
    Outcome::Parked,
    Outcome::Delayed,
    Outcome::Ignored,
];

/// Its place among [`OUTCOMES`]. The job log alone has those that no settlement goes with.
fn index(outcome: Outcome) -> Option<usize> {
    match outcome {
        Outcome::Succeeded => Some(0),
        Outcome::Requeued => Some(1),
        Outcome::Rejected => Some(2),
        Outcome::Parked => Some(3),
        Outcome::Delayed => Some(4),
        Outcome::Ignored => Some(5),
        Outcome::Repeated | Outcome::Dropped => None,
    }
}

/// An outcome's name in metrics and in the job log.
pub(super) fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Requeued => "requeued",
        Outcome::Rejected => "rejected",
        Outcome::Parked => "parked",
        Outcome::Delayed => "delayed",
        Outcome::Ignored => "ignored",
        Outcome::Repeated => "repeated",
        Outcome::Dropped => "dropped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_place() {
        for (place, outcome) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(index(outcome), Some(place));
        }
    }
}

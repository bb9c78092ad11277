//! What the person at the terminal is told of failed commands: a line for each, but not more than so many a second. Those above that
//! are counted.

use std::time::{Duration, Instant};

use super::Driver;
use super::open_delivery::OpenDelivery;
use crate::consume::run::{CommandEnd, FailedCommand, Fate};
use crate::reason::printable;
use crate::system::stderr::{Entry, Level, enter, warn};

/// How many lines are said within a [`WINDOW`].
const MOST_LINES: u32 = 20;

/// The time in which lines are counted, from the first of them.
const WINDOW: Duration = Duration::from_secs(1);

/// Says lines about failed commands.
pub(super) struct Teller {
    is_quiet: bool,
    /// When the window of the latest lines is over.
    until: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Teller {
    pub(super) fn new(is_quiet: bool) -> Teller {
        Teller {
            is_quiet,
            until: None,
            lines: 0,
            left_out: 0,
        }
    }

    /// Whether a line about a failed command may be said. One that may not is counted.
    pub(super) fn may_tell(&mut self) -> bool {
        if self.is_quiet {
            return false;
        }
        let now = Instant::now();
        self.sum_up(now);
        self.may_say(now)
    }

    fn may_say(&mut self, now: Instant) -> bool {
        self.until.get_or_insert(now + WINDOW);
        let may_say = self.lines < MOST_LINES;
        if may_say {
            self.lines += 1;
        } else {
            self.left_out += 1;
        }
        may_say
    }

    /// Says how many lines were left out, if the time for that has come. Returns the time until then otherwise.
    pub(super) fn sum_up(&mut self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        if !left.is_zero() {
            return (self.left_out > 0).then_some(left);
        }
        self.finish();
        None
    }

    /// Says how many lines were left out.
    pub(super) fn finish(&mut self) {
        if self.left_out > 0 {
            warn(&left_out(self.left_out));
        }
        *self = Teller::new(self.is_quiet);
    }
}

impl Driver {
    /// Says that a command failed.
    pub(super) fn tell_failed(&mut self, failed: &FailedCommand) {
        if !self.teller.may_tell() {
            return;
        }
        let first = failed.ids.first().and_then(|id| self.deliveries.get(id));
        let park = self.options.failure.park.as_deref().unwrap_or_default();
        let message_id = first.and_then(|one| one.message.properties.message_id.as_deref());
        enter(&Entry {
            queue: Some(&self.queue),
            message_id,
            ..Entry::about_nothing(Level::Warning, &words(failed, first, &self.queue, park))
        });
    }
}

fn words(failed: &FailedCommand, first: Option<&OpenDelivery>, queue: &str, park: &str) -> String {
    let several = failed.ids.len() > 1;
    let others = if several {
        format!(" and {} more", failed.ids.len() - 1)
    } else {
        String::new()
    };
    printable(&format!(
        "{}{others} of queue '{queue}': the command {}; {}",
        first.map_or_else(|| "a message".to_owned(), |one| name(one, queue)),
        ended(failed.end),
        becomes(failed.fate, park, several)
    ))
}

/// What a message is called by.
fn name(delivery: &OpenDelivery, queue: &str) -> String {
    let message = &delivery.message;
    let id = message.properties.message_id.as_deref();
    match id.filter(|id| !id.is_empty()) {
        Some(id) => format!("message '{id}'"),
        None => without_id(delivery.tag, &message.routing_key, queue),
    }
}

/// A message that has no id. Often the routing key says no more than the queue's name.
fn without_id(tag: u64, routing_key: &str, queue: &str) -> String {
    if routing_key == queue {
        format!("the message with delivery tag {tag}")
    } else {
        format!("the message with delivery tag {tag} and routing key '{routing_key}'")
    }
}

fn left_out(count: u64) -> String {
    let commands = if count == 1 {
        "1 more command".to_owned()
    } else {
        format!("{count} more commands")
    };
    format!("{commands} failed within a second (--joblog has each of them)")
}

/// How the command ended.
fn ended(end: CommandEnd) -> String {
    match end {
        CommandEnd::Exited(status) => format!("failed with exit status {}", status.code()),
        CommandEnd::Killed(signal) => format!("was killed by signal {signal}"),
        CommandEnd::TimedOut(time) => format!("timed out after {}", duration(time)),
        CommandEnd::WithoutAnswer => "ended and had not answered".to_owned(),
    }
}

/// What becomes of one message, or of several.
fn becomes(fate: Fate, park: &str, is_several: bool) -> String {
    let (it, is, was, goes, waits) = if is_several {
        ("they", "are", "were", "go", "wait")
    } else {
        ("it", "is", "was", "goes", "waits")
    };
    match fate {
        Fate::RunsAgain(pause) if pause.is_zero() => "it runs again at once".to_owned(),
        Fate::RunsAgain(pause) => format!("it runs again in {}", duration(pause)),
        Fate::RunsInHalves => "it runs again for each half of them".to_owned(),
        Fate::Requeued(Some(pause)) => {
            format!("{it} {goes} back to the queue in {}", duration(pause))
        }
        Fate::Requeued(None) => format!("{it} {goes} back to the queue when the run ends"),
        Fate::StaysInStream => "the run ends".to_owned(),
        Fate::Delayed(time) => {
            format!(
                "{it} {waits} {} in the broker before the next attempt",
                duration(time)
            )
        }
        Fate::Parked => format!("{it} {goes} to the parking queue '{park}'"),
        Fate::Rejected => format!("{it} {is} rejected"),
        Fate::Ignored => format!("{it} {is} acknowledged all the same"),
        Fate::AcknowledgedBefore => {
            format!("{it} {was} acknowledged before (--no-ack) and {is} lost")
        }
        Fate::DeliveredAgain => format!(
            "the connection is lost, and the broker delivers {} again",
            if is_several { "them" } else { "it" }
        ),
    }
}

/// As on the command line: `10m`, `90s`, `1500ms`.
fn duration(time: Duration) -> String {
    let milliseconds = time.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let fits =
        |(_, unit): &(&str, u128)| milliseconds >= *unit && milliseconds.is_multiple_of(*unit);
    match units.into_iter().find(fits) {
        Some((name, unit)) => format!("{}{name}", milliseconds / unit),
        None => format!("{milliseconds}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn a_second_has_so_many_lines_and_the_others_are_counted() {
        let mut teller = Teller::new(false);
        let now = Instant::now();
        let said = (0..MOST_LINES + 5).filter(|_| teller.may_say(now)).count();
        assert_eq!(said, MOST_LINES as usize);
        assert_eq!(teller.left_out, 5);
        assert_eq!(teller.sum_up(now), Some(WINDOW));
        assert_eq!(teller.sum_up(now + WINDOW), None);
        assert_eq!(teller.left_out, 0);
        assert!(teller.may_say(now + WINDOW));
    }

    #[test]
    fn ends_and_fates_in_words() {
        let of_one = |fate| becomes(fate, "bad", false);
        assert_eq!(
            ended(CommandEnd::Exited(Status::exited(7))),
            "failed with exit status 7"
        );
        let times = [
            (600_000, "10m"),
            (5_400_000, "90m"),
            (1500, "1500ms"),
            (0, "0ms"),
            (7_200_000, "2h"),
        ];
        for (milliseconds, expected) in times {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        }
        assert_eq!(
            without_id(3, "error", "q"),
            "the message with delivery tag 3 and routing key 'error'"
        );
        assert_eq!(of_one(Fate::Parked), "it goes to the parking queue 'bad'");
        assert_eq!(
            becomes(Fate::Requeued(None), "", true),
            "they go back to the queue when the run ends"
        );
        assert_eq!(
            left_out(1),
            "1 more command failed within a second (--joblog has each of them)"
        );
    }
}

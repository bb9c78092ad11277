//! What must hold, seen from outside the core.

use std::time::Duration;

use amqp_tools::publish::run::{Action, Ended, RecordId, Run};

use super::broker::{Broker, Wire, planned};
use super::scenario::{InputEnd, Scenario};
use crate::world::Failure;

/// All bodies on the way together, unless it is one.
const BYTES_IN_FLIGHT: usize = 16 << 20;

/// How the core calls a rejection.
const REJECTED: &str = "the broker rejected a message";

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    /// The records that an acknowledgement was told for while their queue had them.
    told_held: std::collections::BTreeSet<RecordId>,
    published: std::collections::BTreeSet<RecordId>,
    /// A message was told to have been returned or rejected.
    pub(super) is_refused: bool,
    /// The first message that was rejected is one that comes back.
    rejected_comes_back: bool,
    pub(super) signals: u32,
    pub(super) checkpoint: RecordId,
    pub(super) is_checkpoint_broken: bool,
    /// How many records the core was given.
    pub(super) read: u64,
    pub(super) input_was_at_end: bool,
    pub(super) input_has_failed: bool,
    /// The connection was lost, or could not be made.
    pub(super) was_lost: bool,
    pub(super) queue_was_called_gone: bool,
    /// When the next message is due, if all were sent evenly.
    next_is_due: Duration,
}

type Verdict = Result<(), Failure>;

impl Oracle {
    /// Each action, before it is carried out.
    pub(super) fn judge_action(
        &mut self,
        action: &Action,
        run: &Run,
        broker: &Broker,
        wire: Option<&Wire>,
    ) -> Verdict {
        match action {
            Action::Publish(id) => {
                self.published.insert(*id);
                if self.is_refused {
                    return fail("nothing is published after a refusal", format!("{id}"));
                }
                if *id > self.read {
                    return fail("only what was read is published", format!("{id}"));
                }
                let before = wire.and_then(|wire| wire.published.last());
                if before.is_some_and(|before| before >= id) {
                    return fail("messages are published in order, once", format!("{id}"));
                }
            }
            Action::Connect(..) if self.is_refused => {
                return fail("nothing is sent again after a refusal", String::new());
            }
            Action::SaveCheckpoint(id) => Self::judge_place(*id, broker)?,
            Action::SyncCheckpoint => Self::judge_place(run.first_unconfirmed() - 1, broker)?,
            _ => {}
        }
        Ok(())
    }

    fn judge_place(id: RecordId, broker: &Broker) -> Verdict {
        match (1..=id).find(|id| !broker.held.contains(id)) {
            Some(missing) => fail(
                "the checkpoint is never beyond what the queue has",
                format!("{id} is kept, {missing} is not in the queue"),
            ),
            None => Ok(()),
        }
    }

    /// A message is published now.
    pub(super) fn judge_pace(&mut self, now: Duration, pace: Option<Duration>) -> Verdict {
        const LATENESS: Duration = Duration::from_millis(1);
        if now + LATENESS < self.next_is_due {
            return fail(
                "messages are published no faster than they are to be",
                format!("{now:?}, due at {:?}", self.next_is_due),
            );
        }
        self.next_is_due = self.next_is_due.max(now) + pace.unwrap_or_default();
        Ok(())
    }

    /// Whether more messages than so many were published.
    pub(super) fn published_more_than(&self, count: usize) -> bool {
        self.published.len() > count
    }

    /// The state after each event.
    pub(super) fn judge_state(
        &mut self,
        run: &Run,
        scenario: &Scenario,
        broker: &Broker,
        wire: Option<&Wire>,
    ) -> Verdict {
        if let Some(wire) = wire {
            self.told_held.extend(&wire.told_held);
            self.rejected_comes_back |= wire.first_rejected_comes_back == Some(true);
            Self::judge_window(run, scenario, wire)?;
        }
        let tally = run.tally();
        if tally.published != self.published.len() as u64 {
            return fail(
                "each message counts once as published",
                format!("{tally:?}, published {:?}", self.published),
            );
        }
        if scenario.options.max_in_flight.is_none() {
            return Ok(());
        }
        // Which of several that are alike came back cannot be told until the fates of all are known.
        let uncertain = if scenario.has_alike() {
            tally.returned
        } else {
            0
        };
        if tally.confirmed > self.told_held.len() as u64 + uncertain {
            return fail(
                "what is confirmed is in its queue",
                format!("{tally:?}, told of {:?}", self.told_held),
            );
        }
        match (1..run.first_unconfirmed()).find(|id| !broker.held.contains(id)) {
            Some(id) => fail(
                "all before the first unconfirmed is in its queue",
                format!("{id} is not"),
            ),
            None => Ok(()),
        }
    }

    /// How many messages and bytes are on the way.
    fn judge_window(run: &Run, scenario: &Scenario, wire: &Wire) -> Verdict {
        let Some(most) = scenario.options.max_in_flight else {
            return Ok(());
        };
        let on_the_way: Vec<usize> = wire
            .published
            .iter()
            .filter(|id| **id >= run.first_unconfirmed() && !wire.told_held.contains(*id))
            .map(|id| planned(scenario, *id).told.length)
            .collect();
        let bytes: usize = on_the_way.iter().sum();
        if on_the_way.len() > most.get() || (bytes > BYTES_IN_FLIGHT && on_the_way.len() > 1) {
            return fail(
                "the window is kept",
                format!("{} messages, {bytes} bytes", on_the_way.len()),
            );
        }
        Ok(())
    }

    /// The end.
    pub(super) fn judge_end(
        &self,
        ended: &Ended,
        run: &Run,
        scenario: &Scenario,
        broker: &Broker,
    ) -> Verdict {
        let tally = run.tally();
        match ended {
            Ended::Complete => self.judge_success(run, scenario, broker),
            Ended::Interrupted(_) if self.signals == 0 => {
                fail("only a signal interrupts", format!("{tally:?}"))
            }
            Ended::Interrupted(_) => Ok(()),
            Ended::Failed(reason)
                if reason.contains(REJECTED) && self.rejected_comes_back && !self.was_lost =>
            {
                fail("of what comes back it is said that it does", reason.clone())
            }
            Ended::Failed(reason) => {
                let has_reason = self.is_refused
                    || self.was_lost
                    || self.input_has_failed
                    || self.is_checkpoint_broken
                    || self.queue_was_called_gone;
                if has_reason {
                    Ok(())
                } else {
                    fail("a failure has a reason", reason.clone())
                }
            }
        }
    }

    fn judge_success(&self, run: &Run, scenario: &Scenario, broker: &Broker) -> Verdict {
        let count = scenario.records.len() as u64;
        let missing = (1..=count).find(|id| !broker.held.contains(id));
        if missing.is_some() || self.read != count || !self.input_was_at_end {
            return fail(
                "success means that every record is in its queue",
                format!("{missing:?} is missing, {} of {count} were read", self.read),
            );
        }
        if self.is_refused || scenario.input_end == InputEnd::Fails {
            return fail("success means that nothing was refused", String::new());
        }
        if scenario.options.max_in_flight.is_some() && run.tally().confirmed != count {
            return fail(
                "success means that every record is counted as confirmed",
                format!("{:?}", run.tally()),
            );
        }
        if scenario.options.has_checkpoint && self.checkpoint != count {
            return fail(
                "after success the checkpoint is at the end",
                format!("{} of {count}", self.checkpoint),
            );
        }
        Ok(())
    }
}

fn fail(property: &'static str, details: String) -> Verdict {
    Err(Failure::of(property, details))
}

//! The broker, as far as publishing meets it: it handles what was sent in order, says late and out of order what became of
//! it, and returns what no queue gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amqp_tools::broker::{Confirmation, Numbers};
use amqp_tools::publish::run::{FromBroker, RecordId};

use super::scenario::Scenario;
use crate::choices::Choices;
use crate::reached::Reached;

/// The broker. It outlives connections.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    /// The records that reached their queue, or that nobody wanted to have reached one.
    pub(super) held: BTreeSet<RecordId>,
    pub(super) queue_is_there: bool,
    pub(super) is_full: bool,
    rejects_before_returning: bool,
    confirms: bool,
}

/// One connection, seen from the broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire {
    /// What was published on it, in order: the first has the number 1.
    pub(super) published: Vec<RecordId>,
    /// How many of them the broker has handled.
    pub(super) handled: usize,
    /// What the broker has not yet said of what it handled.
    pending: BTreeMap<u64, Verdict>,
    confirms: VecDeque<(u32, Confirmation)>,
    returns: VecDeque<(u32, RecordId)>,
    /// What was rejected and is returned when the broker is asked something.
    late_returns: Vec<RecordId>,
    /// Counts confirms and returns in the order in which they were said.
    said: u32,
    /// The messages that an acknowledgement was told for while their queue had them.
    pub(super) told_held: BTreeSet<RecordId>,
    /// The numbers of messages that are rejected first and returned then.
    comes_back: BTreeSet<u64>,
    /// Whether the first message that was told to be rejected comes back.
    pub(super) first_rejected_comes_back: Option<bool>,
    /// The numbers of messages that were handled well.
    reached_queue: BTreeSet<u64>,
    pub(super) is_deaf: bool,
    pub(super) is_paused: bool,
}

/// What the broker thinks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ack,
    Nack,
    /// The message is returned afterwards.
    NackAndReturn,
}

impl Broker {
    pub(super) fn new(scenario: &Scenario) -> Broker {
        Broker {
            held: BTreeSet::new(),
            queue_is_there: true,
            is_full: false,
            rejects_before_returning: scenario.rejects_before_returning,
            confirms: scenario.options.max_in_flight.is_some(),
        }
    }

    /// Handles the next message. False: there is none.
    pub(super) fn handle_next(&mut self, wire: &mut Wire, scenario: &Scenario) -> bool {
        let Some(id) = wire.published.get(wire.handled).copied() else {
            return false;
        };
        wire.handled += 1;
        let number = wire.handled as u64;
        let record = planned(scenario, id);
        let is_routed = record.has_queue && self.queue_is_there;
        let verdict = match (is_routed, record.told.fingerprint) {
            (false, Some(_)) if self.rejects_before_returning && self.confirms => {
                Verdict::NackAndReturn
            }
            (false, Some(_)) => {
                wire.say_returned(id);
                Verdict::Ack
            }
            (true, _) if self.is_full && self.confirms => Verdict::Nack,
            // It is in its queue, or it may be dropped, or nobody wants to know.
            (true, _) | (false, None) => {
                self.held.insert(id);
                wire.reached_queue.insert(number);
                Verdict::Ack
            }
        };
        if self.confirms {
            wire.pending.insert(number, verdict);
        }
        true
    }
}

impl Wire {
    fn say_returned(&mut self, id: RecordId) {
        self.said += 1;
        self.returns.push_back((self.said, id));
    }

    pub(super) fn has_more_to_handle(&self) -> bool {
        self.handled < self.published.len()
    }

    pub(super) fn has_more_to_say(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn has_said_something(&self) -> bool {
        !self.confirms.is_empty() || !self.returns.is_empty()
    }

    /// Says of one message, or of several, what became of them.
    pub(super) fn say_next(&mut self, choices: &mut Choices, reached: &mut Reached) {
        let index = choices.index(self.pending.len());
        let Some((number, verdict)) = self.pending.iter().nth(index).map(|(n, v)| (*n, *v)) else {
            return;
        };
        let alike = self
            .pending
            .range(..=number)
            .all(|(_, other)| *other == verdict);
        let is_multiple = alike && verdict != Verdict::NackAndReturn && choices.chance(30);
        if is_multiple && index > 0 {
            reached.mark("confirmed many at once");
        }
        if !is_multiple && index > 0 {
            reached.mark("confirmed out of order");
        }
        let numbers = if is_multiple {
            self.pending = self.pending.split_off(&(number + 1));
            Numbers::UpTo(number)
        } else {
            self.pending.remove(&number);
            Numbers::One(number)
        };
        self.said += 1;
        self.confirms.push_back((
            self.said,
            match verdict {
                Verdict::Ack => Confirmation::Acked(numbers),
                Verdict::Nack | Verdict::NackAndReturn => Confirmation::Nacked(numbers),
            },
        ));
        if verdict == Verdict::NackAndReturn {
            self.comes_back.insert(number);
            if choices.chance(50) {
                self.say_returned(self.id_of(number));
            } else {
                self.late_returns.push(self.id_of(number));
            }
        }
    }

    /// Returns what it still owes.
    pub(super) fn return_the_rest(&mut self, reached: &mut Reached) {
        for id in std::mem::take(&mut self.late_returns) {
            reached.mark("a rejected message comes back when asked for");
            self.say_returned(id);
        }
    }

    pub(super) fn owes_returns(&self) -> bool {
        !self.late_returns.is_empty()
    }

    fn id_of(&self, number: u64) -> RecordId {
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        self.published.get(index).copied().unwrap_or_default()
    }

    /// What is told next. A return comes at the latest before the first confirmation that was said after it; it may come
    /// earlier than confirmations that were said before it.
    pub(super) fn tell_next(
        &mut self,
        scenario: &Scenario,
        choices: &mut Choices,
        reached: &mut Reached,
    ) -> Option<FromBroker> {
        let return_is_due = match (self.returns.front(), self.confirms.front()) {
            (Some((returned, _)), Some((confirmed, _))) => {
                let was_said_before = returned < confirmed;
                if !was_said_before {
                    reached.mark("a return may overtake a confirmation");
                }
                was_said_before || choices.chance(50)
            }
            (Some(_), None) => true,
            (None, _) => false,
        };
        if return_is_due && let Some((_, id)) = self.returns.pop_front() {
            return Some(FromBroker::Returned {
                fingerprint: planned(scenario, id).told.fingerprint.unwrap_or_default(),
                reason: format!("{id} came back"),
            });
        }
        let (_, confirmation) = self.confirms.pop_front()?;
        if let Confirmation::Nacked(numbers) = confirmation {
            let comes_back = match numbers {
                Numbers::One(number) => self.comes_back.contains(&number),
                Numbers::UpTo(_) => false,
            };
            self.first_rejected_comes_back.get_or_insert(comes_back);
        }
        if let Confirmation::Acked(numbers) = confirmation {
            let (first, last) = match numbers {
                Numbers::One(number) => (number, number),
                Numbers::UpTo(number) => (1, number),
            };
            for number in first..=last {
                if self.reached_queue.contains(&number) {
                    self.told_held.insert(self.id_of(number));
                }
            }
        }
        Some(FromBroker::Confirmed(confirmation))
    }
}

/// The record with this number.
pub(super) fn planned(scenario: &Scenario, id: RecordId) -> &super::scenario::Planned {
    let index = usize::try_from(id - 1).unwrap_or(usize::MAX);
    &scenario.records[index]
}

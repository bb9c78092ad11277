//! The messages that are on the way: sent, and not yet confirmed. The broker confirms by number, one or many, in any
//! order; a message that comes back carries no number and is told by what it is.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::options::Confirms;
use super::records::{Place, Record};
use crate::broker::{Confirmation, Numbers, Returned, Template};
use crate::message::Message;

/// How many bytes of bodies may be on the way. A single body may be larger.
const BYTES_IN_FLIGHT: usize = 16 << 20;

/// What has become of the messages sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent, each counted once.
    pub published: u64,
    /// The broker has taken responsibility.
    pub confirmed: u64,
    /// Came back, because no queue would have got them.
    pub returned: u64,
    /// The broker could not take them.
    pub rejected: u64,
    /// The size of the bodies sent.
    pub bytes: u64,
}

/// The messages on the way, in the order in which they were sent.
pub(super) struct Window {
    /// Nothing is kept if the broker does not confirm.
    capacity: Option<NonZeroUsize>,
    in_flight: VecDeque<InFlight>,
    /// The number of the first of them.
    first: u64,
    bytes: usize,
    tally: Tally,
}

struct InFlight {
    place: Place,
    template: Arc<Template>,
    length: usize,
    fingerprint: u64,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Confirmed,
    Returned,
    Rejected,
}

/// A message that the broker did not take.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The default exchange has no such queue.
    #[error("basic.publish: no queue '{0}'")]
    NoQueue(String),
    /// Another exchange had nowhere to put it.
    #[error("basic.publish: exchange '{exchange}' routes '{routing_key}' to no queue")]
    Unrouted {
        exchange: String,
        routing_key: String,
    },
    /// A negative confirmation.
    #[error(
        "basic.publish: the broker rejected a message: a queue is full and rejects (x-overflow), or the broker is in trouble"
    )]
    Rejected,
}

impl From<Returned> for Refusal {
    fn from(returned: Returned) -> Self {
        let Message {
            exchange,
            routing_key,
            ..
        } = returned.message;
        if exchange.is_empty() {
            Refusal::NoQueue(routing_key)
        } else {
            Refusal::Unrouted {
                exchange,
                routing_key,
            }
        }
    }
}

impl Window {
    pub(super) fn new(confirms: Confirms) -> Window {
        Window {
            capacity: match confirms {
                Confirms::Awaited { max_in_flight } => Some(max_in_flight),
                Confirms::Off => None,
            },
            in_flight: VecDeque::new(),
            first: 1,
            bytes: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether a message with a body of `length` may be sent now.
    pub(super) fn has_room_for(&self, length: usize) -> bool {
        // Those that are confirmed behind one that is not count too: they take memory.
        self.capacity
            .is_none_or(|capacity| self.in_flight.len() < capacity.get())
            && (self.bytes == 0 || self.bytes + length <= BYTES_IN_FLIGHT)
    }

    /// Whether the fate of all messages is known.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight
            .iter()
            .all(|message| message.fate != Fate::Open)
    }

    /// The first message that is not confirmed.
    pub(super) fn first_unconfirmed(&self) -> Option<&Place> {
        self.in_flight.front().map(|message| &message.place)
    }

    /// Takes in a message that has just been sent.
    pub(super) fn add(&mut self, record: &Record) {
        let length = record.body.len();
        self.tally.published += 1;
        self.tally.bytes += length as u64;
        if self.capacity.is_none() {
            return;
        }
        self.bytes += length;
        self.in_flight.push_back(InFlight {
            place: record.place.clone(),
            template: Arc::clone(&record.template),
            length,
            fingerprint: if record.template.may_be_returned() {
                fingerprint(&record.body)
            } else {
                0
            },
            fate: Fate::Open,
        });
    }

    /// Notes that a message has come back, before what the broker says about it by number.
    pub(super) fn returned(&mut self, returned: Returned) -> Refusal {
        let print = fingerprint(&returned.message.body);
        let is_it = |message: &InFlight| {
            message.fate == Fate::Open
                && message.fingerprint == print
                && message.template.may_have_made(&returned)
        };
        let may_be_it =
            |message: &InFlight| message.fate == Fate::Open && message.template.may_be_returned();
        let find = |is_it: &dyn Fn(&InFlight) -> bool| self.in_flight.iter().position(is_it);
        // Should the broker have changed something on the way, one of those that can come back must be it.
        let found = find(&is_it).or_else(|| find(&may_be_it));
        match found {
            Some(index) => self.settle(index, Fate::Returned),
            None => self.tally.returned += 1,
        }
        returned.into()
    }

    /// Notes what the broker says about messages by number.
    pub(super) fn apply(&mut self, confirmation: Confirmation) -> Option<Refusal> {
        let (numbers, fate) = match confirmation {
            Confirmation::Acked(numbers) => (numbers, Fate::Confirmed),
            Confirmation::Nacked(numbers) => (numbers, Fate::Rejected),
        };
        let rejected_before = self.tally.rejected;
        match numbers {
            Numbers::One(number) => {
                if let Some(index) = self.index_of(number) {
                    self.settle(index, fate);
                }
            }
            Numbers::UpTo(number) => {
                let last = self.in_flight.len().saturating_sub(1);
                if let Some(index) = self.index_of(number) {
                    (0..=index.min(last)).for_each(|index| self.settle(index, fate));
                }
            }
        }
        self.forget_confirmed();
        (self.tally.rejected > rejected_before).then_some(Refusal::Rejected)
    }

    /// Where the message with this number is, or would be if it had been sent.
    fn index_of(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Notes the fate of a message, if it is not known already: one that has come back is confirmed as well.
    fn settle(&mut self, index: usize, fate: Fate) {
        let Some(message) = self.in_flight.get_mut(index) else {
            return;
        };
        if message.fate != Fate::Open {
            return;
        }
        message.fate = fate;
        self.bytes -= message.length;
        match fate {
            Fate::Open => {}
            Fate::Confirmed => self.tally.confirmed += 1,
            Fate::Returned => self.tally.returned += 1,
            Fate::Rejected => self.tally.rejected += 1,
        }
    }

    fn forget_confirmed(&mut self) {
        while self
            .in_flight
            .front()
            .is_some_and(|m| m.fate == Fate::Confirmed)
        {
            self.in_flight.pop_front();
            self.first += 1;
        }
    }
}

/// Tells bodies apart without keeping them.
fn fingerprint(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

//! The messages that are on the way: sent, and not yet confirmed. The broker confirms by number, one or many, in any
//! order; a message that comes back carries no number and is told by what it is.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::digest::Digest;
use super::records::{Body, Place, Record};
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
    /// How many there may be; nothing is kept if the broker does not confirm.
    capacity: Option<NonZeroUsize>,
    bodies: Bodies,
    in_flight: VecDeque<InFlight>,
    /// The number of the first of them.
    first: u64,
    /// How many of them have a fate that is not known yet, and the size of their bodies.
    open: usize,
    bytes: usize,
    tally: Tally,
    /// How many bytes of the input are confirmed.
    input_bytes: u64,
    /// The last record of those before which all are confirmed.
    confirmed_up_to: Option<Place>,
    confirmed_in_order: u64,
}

/// What happens to a body once it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    /// It is kept until it is confirmed, in case it has to be sent again.
    Kept,
    Forgotten,
}

struct InFlight {
    place: Place,
    template: Arc<Template>,
    body: Option<Body>,
    length: usize,
    input_length: usize,
    fingerprint: Digest,
    fate: Fate,
    /// Up to which record all is confirmed once this one is, if not just up to this one.
    through: Option<Place>,
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
    pub(super) fn new(capacity: Option<NonZeroUsize>, bodies: Bodies) -> Window {
        Window {
            capacity,
            bodies,
            in_flight: VecDeque::new(),
            first: 1,
            open: 0,
            bytes: 0,
            tally: Tally::default(),
            input_bytes: 0,
            confirmed_up_to: None,
            confirmed_in_order: 0,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// How many bytes of the input are done: confirmed or, where nothing is, sent.
    pub(super) fn input_bytes(&self) -> u64 {
        self.input_bytes
    }

    /// The last record of those before which all are confirmed.
    pub(super) fn confirmed_up_to(&self) -> Option<&Place> {
        self.confirmed_up_to.as_ref()
    }

    /// How many messages have been confirmed after all before them were.
    pub(super) fn confirmed_in_order(&self) -> u64 {
        self.confirmed_in_order
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
        self.open == 0
    }

    /// The first message that is not confirmed.
    pub(super) fn first_unconfirmed(&self) -> Option<&Place> {
        self.in_flight.front().map(|message| &message.place)
    }

    /// Takes in a message that is about to be sent.
    pub(super) fn add(&mut self, record: &Record) {
        let length = record.body.len();
        self.tally.published += 1;
        self.tally.bytes += length as u64;
        if self.capacity.is_none() {
            self.input_bytes += record.input_length as u64;
            return;
        }
        self.open += 1;
        self.bytes += length;
        self.in_flight.push_back(InFlight {
            place: record.place.clone(),
            template: Arc::clone(&record.template),
            body: (self.bodies == Bodies::Kept).then(|| record.body.clone()),
            length,
            input_length: record.input_length,
            fingerprint: if record.template.may_be_returned() {
                Digest::of(&record.body)
            } else {
                Digest::EMPTY
            },
            fate: Fate::Open,
            through: None,
        });
    }

    /// Forgets the numbers, which count for one channel, and what is confirmed. What is left is to be sent again.
    pub(super) fn renumber(&mut self) {
        let mut open: VecDeque<InFlight> = VecDeque::new();
        for message in self.in_flight.drain(..) {
            match open.back_mut() {
                Some(before) if message.fate == Fate::Confirmed => {
                    before.through = message.through.or(Some(message.place));
                }
                _ => open.push_back(message),
            }
        }
        self.in_flight = open;
        self.first = 1;
    }

    /// The messages on the way whose bodies are kept, in order.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&Template, &Body)> {
        self.in_flight
            .iter()
            .filter_map(|message| Some((&*message.template, message.body.as_ref()?)))
    }

    /// Notes that a message has come back, before what the broker says about it by number.
    pub(super) fn returned(&mut self, returned: Returned) -> Refusal {
        let print = Digest::of(&returned.message.body);
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
        message.body = None;
        self.open -= 1;
        self.bytes -= message.length;
        match fate {
            Fate::Open => {}
            Fate::Confirmed => {
                self.tally.confirmed += 1;
                self.input_bytes += message.input_length as u64;
            }
            Fate::Returned => self.tally.returned += 1,
            Fate::Rejected => self.tally.rejected += 1,
        }
    }

    fn forget_confirmed(&mut self) {
        while let Some(message) = self.in_flight.front()
            && message.fate == Fate::Confirmed
            && let Some(message) = self.in_flight.pop_front()
        {
            self.confirmed_up_to = message.through.or(Some(message.place));
            self.confirmed_in_order += 1;
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests;

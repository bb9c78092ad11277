//! The place in a stream. The broker keeps none for a consumer: an acknowledgement gives credit and nothing else, and basic.nack and
//! basic.reject are refused (540). So the run itself knows from which offset it has to go on.

use std::collections::BTreeMap;

use super::Run;
use super::event::{DeliveryId, DeliveryInfo, Notice, Settlement};
use crate::consume::failure::FailureAction;
use crate::consume::options::Acknowledgement;
use crate::status::Status;

/// What messages come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// No message has come that would show it.
    Unknown,
    /// A queue.
    Queue,
    /// A stream, and the place in it.
    Stream(Place),
}

/// The place in a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The offset behind the last message that has come.
    next: Option<u64>,
    /// The offsets of the messages that have come and are neither done nor given up.
    open: BTreeMap<DeliveryId, u64>,
    /// The lowest offset that was given up.
    given_up: Option<u64>,
}

impl Place {
    fn delivered(&mut self, id: DeliveryId, offset: u64) {
        self.open.insert(id, offset);
        let next = offset.saturating_add(1);
        self.next = self.next.max(Some(next));
    }

    fn settled(&mut self, id: DeliveryId, settlement: Settlement) {
        let Some(offset) = self.open.remove(&id) else {
            return;
        };
        if !matches!(settlement, Settlement::Ack | Settlement::AckUpTo) {
            self.given_up = Some(self.given_up.unwrap_or(offset).min(offset));
        }
    }

    /// What is open on a connection that is lost will come again on the next one.
    fn lost(&mut self) {
        self.next = self.first_open();
        self.given_up = None;
        self.open.clear();
    }

    /// Where a new subscription begins: what was given up comes again.
    fn subscribe(&mut self) -> Option<u64> {
        let given_up = self.given_up.take();
        self.next = given_up.into_iter().chain(self.next).min();
        self.next
    }

    /// The lowest offset that is not done.
    fn first_open(&self) -> Option<u64> {
        let open = self.open.values().copied();
        open.chain(self.given_up).chain(self.next).min()
    }
}

impl Run {
    /// The source as far as the options tell it.
    pub(super) fn expect_source(&mut self) {
        if self.options.is_stream {
            self.source = Source::Stream(Place::default());
            self.default_to_stop();
        }
    }

    /// Nothing goes back to a stream, so a failed message ends the run unless the options say otherwise.
    fn default_to_stop(&mut self) {
        let action = &mut self.options.failure.action;
        action.get_or_insert(FailureAction::Stop);
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.source, Source::Stream(_))
    }

    /// Notes the place of a delivery. The first one shows what it comes from.
    pub(super) fn note_place(&mut self, id: DeliveryId, delivery: &DeliveryInfo) {
        match (&mut self.source, delivery.offset) {
            (Source::Unknown, None) => self.source = Source::Queue,
            (Source::Unknown, Some(offset)) => {
                let mut place = Place::default();
                place.delivered(id, offset);
                self.source = Source::Stream(place);
                self.on_unexpected_stream();
            }
            (Source::Stream(place), Some(offset)) => place.delivered(id, offset),
            (Source::Stream(_), None) => {
                self.source = Source::Queue;
                self.fail("the queue is no stream, and --offset is for streams only".to_owned());
            }
            (Source::Queue, _) => {}
        }
    }

    fn on_unexpected_stream(&mut self) {
        let is_early = self.options.acknowledgement == Acknowledgement::OnArrival;
        let early = is_early.then(|| "--no-ack".to_owned());
        if let Some(misfit) = early.or(self.options.failure.unfit_for_streams()) {
            self.fail(format!(
                "the queue is a stream, to which nothing can be given back: {misfit} is not for streams; by default the run ends \
                 at the first failure, --on-failure ack goes on, and --on-failure park keeps a copy"
            ));
        }
        self.default_to_stop();
    }

    /// Notes that a delivery was settled.
    pub(super) fn note_settled(&mut self, id: DeliveryId, settlement: Settlement) {
        if let Source::Stream(place) = &mut self.source {
            place.settled(id, settlement);
        }
    }

    /// Notes that all deliveries are lost with their connection.
    pub(super) fn note_lost(&mut self) {
        if let Source::Stream(place) = &mut self.source {
            place.lost();
        }
    }

    /// The offset that a new subscription begins at, where it is another than at first.
    pub(super) fn next_offset(&mut self) -> Option<u64> {
        match &mut self.source {
            Source::Stream(place) => place.subscribe(),
            Source::Unknown | Source::Queue => None,
        }
    }

    /// At the end of a run that was not successful: says where another one goes on.
    pub(super) fn tell_place(&mut self) {
        let Source::Stream(place) = &self.source else {
            return;
        };
        let is_over = self.ended().is_some_and(|end| end != Ok(Status::SUCCESS));
        if let Some(offset) = place.first_open().filter(|_| is_over) {
            self.source = Source::Queue; // it is said once
            self.say(Notice::GoOnFrom(offset));
        }
    }
}

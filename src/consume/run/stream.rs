//! The place in a stream. The broker keeps none for a consumer: an acknowledgement gives credit and nothing else, and basic.nack and
//! basic.reject are refused (540). So the run itself knows from which offset it has to go on.

use std::collections::{BTreeMap, BTreeSet};

use super::Run;
use super::event::{DeliveryId, DeliveryInfo, Notice, Settlement};
use super::phase::Cause;
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
    /// The offset that a new subscription begins at, once there was a message.
    next: Option<u64>,
    /// The offset behind the last message that has come.
    end: Option<u64>,
    /// The offsets of the messages that have come and are not done.
    undone: BTreeSet<u64>,
    /// Those of them that are in hand or waiting.
    open: BTreeMap<DeliveryId, u64>,
    /// The offset behind the last message that is to be read, if the run ends there.
    limit: Option<u64>,
    /// A message has come that is behind it.
    is_behind: bool,
    /// The first delivery of the connection that is left without an answer.
    unanswered: Option<DeliveryId>,
    /// Messages of the run that have come again though they were done. None of them counts twice.
    again: BTreeSet<DeliveryId>,
    /// Those that are not done and were lost with a connection, until they come again.
    missing: BTreeSet<u64>,
    /// It was said where another run goes on.
    is_told: bool,
}

impl Place {
    fn delivered(&mut self, id: DeliveryId, offset: u64) {
        let behind = Some(offset.saturating_add(1));
        if self.end < behind {
            self.undone.insert(offset);
        } else if !self.undone.contains(&offset) {
            self.again.insert(id);
        }
        self.missing.remove(&offset);
        self.open.insert(id, offset);
        self.end = self.end.max(behind);
        self.next = self.next.max(behind);
    }

    fn settled(&mut self, id: DeliveryId, settlement: Settlement) {
        let Some(offset) = self.open.remove(&id) else {
            return;
        };
        if matches!(settlement, Settlement::Ack | Settlement::AckUpTo) {
            self.undone.remove(&offset);
        } else {
            self.leave(id);
        }
    }

    fn leave(&mut self, id: DeliveryId) {
        let first = self.unanswered.unwrap_or(id);
        self.unanswered = Some(first.min(id));
    }

    /// What is open on a connection that is lost will come again on the next one.
    fn lost(&mut self) {
        self.open.clear();
        self.unanswered = None;
        self.next = self.first_undone();
    }

    /// Where a new subscription begins. What was given up comes again.
    fn subscribe(&mut self) -> Option<u64> {
        self.next = self.given_up().into_iter().chain(self.next).min();
        self.next
    }

    /// The lowest offset that is neither done nor in hand or waiting.
    fn given_up(&self) -> Option<u64> {
        let open: BTreeSet<u64> = self.open.values().copied().collect();
        let mut undone = self.undone.iter().copied();
        undone.find(|offset| !open.contains(offset))
    }

    /// The lowest offset that is not done.
    fn first_undone(&self) -> Option<u64> {
        self.undone.first().copied().or(self.end)
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

    /// A run that ends when nothing is left reads what was there at first.
    pub(super) fn note_end_of_stream(&mut self, offset: u64) {
        if let Source::Stream(place) = &mut self.source {
            place.limit.get_or_insert(offset);
        }
    }

    /// Whether the message came into the stream after the run began. Then all that was there before has come.
    pub(super) fn is_behind_the_end(&mut self, id: DeliveryId, delivery: &DeliveryInfo) -> bool {
        let (Source::Stream(place), Some(offset)) = (&mut self.source, delivery.offset) else {
            return false;
        };
        let is_behind = place.limit.is_some_and(|limit| offset >= limit);
        if is_behind {
            place.is_behind = true;
            place.leave(id);
        }
        is_behind
    }

    /// Whether all has come that was in the stream when the run began, and is done or in hand.
    pub(super) fn is_at_end_of_stream(&self) -> bool {
        let Source::Stream(place) = &self.source else {
            return false;
        };
        let has_all = |limit: u64| place.end.is_some_and(|end| end >= limit);
        let has_come = place.is_behind || place.limit.is_some_and(has_all);
        has_come && place.given_up().is_none()
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

    /// The run would end, and nothing was read from what is a stream.
    pub(super) fn on_unread_stream(&mut self) {
        self.connection.question = None;
        if self.phase.is_consuming() {
            self.fail(
                "the queue is a stream, of which only new messages are read, and none has come: give --offset first"
                    .to_owned(),
            );
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

    /// Whether a message has come again that was done before. It does not count a second time.
    pub(super) fn was_done_before(&self, id: DeliveryId) -> bool {
        match &self.source {
            Source::Stream(place) => place.again.contains(&id),
            Source::Unknown | Source::Queue => false,
        }
    }

    /// The first delivery that is left without an answer: none with `multiple` may cover it.
    pub(super) fn first_unanswered(&self) -> Option<DeliveryId> {
        match &self.source {
            Source::Stream(place) => place.unanswered,
            Source::Unknown | Source::Queue => None,
        }
    }

    /// Notes that a message has left the run.
    pub(super) fn note_forgotten(&mut self, id: DeliveryId) {
        if let Source::Stream(place) = &mut self.source {
            place.again.remove(&id);
        }
    }

    /// Notes that all deliveries are lost with their connection.
    pub(super) fn note_lost(&mut self) {
        let reads_on = self.phase.is_consuming();
        if let Source::Stream(place) = &mut self.source {
            place.lost();
            if reads_on {
                place.missing.clone_from(&place.undone);
            }
        }
    }

    /// The offset that a new subscription begins at, where it is another than at first.
    pub(super) fn next_offset(&mut self) -> Option<u64> {
        match &mut self.source {
            Source::Stream(place) => place.subscribe(),
            Source::Unknown | Source::Queue => None,
        }
    }

    /// Whether a message that has come is not done at the end of the stream: after a break it did not come again. It is gone from the
    /// stream, by its retention, or the stream is another one.
    pub(super) fn has_unread(&self) -> bool {
        let Source::Stream(place) = &self.source else {
            return false;
        };
        self.options.limit.is_none() && !self.is_out_of_time() && !place.missing.is_empty()
    }

    /// At the end of a run that may leave something: says where another one goes on.
    pub(super) fn tell_place(&mut self) {
        let Source::Stream(place) = &self.source else {
            return;
        };
        let Some(end) = self.ended() else {
            return;
        };
        let is_idle = self.phase.cause() == Some(&Cause::Idle) && !self.is_out_of_time();
        let is_read = is_idle && end == Ok(Status::SUCCESS) && place.undone.is_empty();
        let offset = place.first_undone().filter(|_| !is_read && !place.is_told);
        let is_gone = is_idle && self.has_unread();
        let Some(offset) = offset else {
            return;
        };
        if let Source::Stream(place) = &mut self.source {
            place.is_told = true;
        }
        if is_gone {
            self.say(Notice::GoneFromStream(offset));
        }
        self.say(Notice::GoOnFrom(offset));
    }
}

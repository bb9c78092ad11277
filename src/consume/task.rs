//! A message in hand: taken from the broker, not yet done with.

use std::sync::Arc;

use super::environment::delivery_count;
use super::link::Hold;
use super::reissue;
use crate::broker::{Delivery, DeliveryCount};
use crate::message::Message;

/// A message in hand.
pub(super) struct Task {
    /// The message, without its body.
    pub(super) message: Message,
    /// Its body, shared with whoever feeds it to a command.
    pub(super) body: Arc<Vec<u8>>,
    /// Whether it may have been delivered before.
    pub(super) redelivered: bool,
    /// The broker's number for the delivery.
    pub(super) tag: u64,
    /// Our claim to the delivery.
    pub(super) claim: Claim,
    /// How often the command was run on this delivery before.
    pub(super) runs: u32,
}

/// What ties a message in hand to the broker.
pub(super) enum Claim {
    /// The broker waits for an answer.
    Held(Hold),
    /// It was acknowledged when it arrived (`--no-ack`).
    Settled,
    /// The connection that it came by is gone, and the broker delivers it again.
    Lost,
}

impl Task {
    /// The message of a delivery.
    pub(super) fn new(delivery: Delivery, generation: u64) -> Task {
        let mut message = delivery.message;
        Task {
            body: Arc::new(std::mem::take(&mut message.body)),
            message,
            redelivered: delivery.redelivered,
            tag: delivery.tag,
            claim: Claim::Held(Hold::new(delivery.unsettled, generation)),
            runs: 0,
        }
    }

    /// The connection is gone, and the claim with it. Says whether there was one.
    pub(super) fn lose_claim(&mut self) -> bool {
        let is_held = matches!(self.claim, Claim::Held(_));
        if is_held {
            self.claim = Claim::Lost;
        }
        is_held
    }

    /// The message apart from the claim to it.
    pub(super) fn without_claim(mut self) -> (Task, Claim) {
        let claim = std::mem::replace(&mut self.claim, Claim::Lost);
        (self, claim)
    }

    /// The message with its body.
    pub(super) fn into_message(self) -> Message {
        Message {
            body: Arc::unwrap_or_clone(self.body),
            ..self.message
        }
    }

    /// Whether an earlier failure was counted in a header. To go on like that is right whatever the queue counts.
    pub(super) fn is_counted_in_header(&self) -> bool {
        reissue::counted_attempts(&self.message).is_some()
    }

    /// How often the message has failed before this delivery, if the queue counts deliveries as `count` says.
    ///
    /// Where nothing else is known, an earlier delivery that came to nothing is taken for a failure, as quorum queues take it.
    pub(super) fn earlier_failures(&self, count: DeliveryCount) -> u64 {
        let counted_here = reissue::counted_attempts(&self.message).unwrap_or(0);
        let counted_by_broker = match (delivery_count(&self.message), count) {
            (Some(deliveries), _) => deliveries,
            (None, DeliveryCount::Unknown) => u64::from(self.redelivered),
            (None, DeliveryCount::Kept | DeliveryCount::NotKept) => 0,
        };
        counted_here.saturating_add(counted_by_broker)
    }
}

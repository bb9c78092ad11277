//! A message in hand: taken from the broker, not yet done with.

use std::sync::Arc;

use super::environment::{delivery_count, header_number};
use super::link::Hold;
use crate::broker::Delivery;
use crate::message::Message;

/// The header that failures are counted in where the broker does not count deliveries.
pub(super) const ATTEMPTS_HEADER: &str = "x-attempts";

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

    /// How often the message is known to have failed before this delivery.
    pub(super) fn earlier_failures(&self) -> u64 {
        let counted_here = header_number(&self.message, ATTEMPTS_HEADER).unwrap_or(0);
        counted_here.saturating_add(delivery_count(&self.message).unwrap_or(0))
    }

    /// Which attempt at the message its next command is, from 1.
    pub(super) fn attempt(&self) -> u64 {
        self.earlier_failures() + u64::from(self.runs) + 1
    }
}

//! The messages of the model broker's queue, and what is written to it.

use amqp_tools::consume::run::{DeliveryId, DeliveryInfo, Obstacle, Settlement, SubscriptionId};

/// Why a message is not in the queue any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Succeeded,
    Copied,
    ByPolicy,
    OnArrival,
    Rejected,
    /// It came back too often.
    Dropped,
    QueueGone,
    TakenByRival,
}

/// One message in the queue. A copy is another one, with the same original.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) original: usize,
    pub(super) attempts: Option<u64>,
    pub(super) count: u64,
    pub(super) redelivered: bool,
    pub(super) dead_lettered: bool,
    pub(super) can_be_copied: bool,
    pub(super) is_unfit: bool,
    pub(super) gone: Option<Why>,
}

/// What was written to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// In a stream, from this offset.
    Consume(SubscriptionId, Option<u64>),
    Cancel(SubscriptionId),
    Prefetch(u16),
    Count,
    /// The deliveries that it covers, and why they are acknowledged if they are.
    Settle(Settlement, Vec<(DeliveryId, Why)>),
    Close,
}

/// How many messages were done with by what was sent.
pub(super) fn done_with(sent: &Sent) -> u64 {
    match sent {
        Sent::Settle(_, deliveries) => count_done_with(deliveries.iter().map(|(_, why)| *why)),
        _ => 0,
    }
}

pub(super) fn count_done_with(whys: impl Iterator<Item = Why>) -> u64 {
    let done = [Why::Succeeded, Why::ByPolicy, Why::Rejected];
    whys.filter(|why| done.contains(why)).count() as u64
}

pub(super) fn info(message: &Message, is_quorum: bool) -> DeliveryInfo {
    DeliveryInfo {
        redelivered: message.redelivered,
        delivery_count: (is_quorum && message.count > 0).then_some(message.count),
        attempts: message.attempts,
        dead_lettered: message.dead_lettered,
        size: 10,
        obstacle: (!message.can_be_copied).then_some(Obstacle::NotAsItIs),
        digest: message.original as u64,
        is_unfit: message.is_unfit,
        ..DeliveryInfo::default()
    }
}

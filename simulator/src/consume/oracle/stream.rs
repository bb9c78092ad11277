//! What must hold of streams: nothing is skipped, nothing is given back, and the offset that is named is the lowest that is not done.

use std::collections::{BTreeMap, BTreeSet};

use amqp_tools::consume::run::{ConnectionId, DeliveryId, Settlement};

use crate::consume::message::Why;
use crate::consume::{Simulation, Wire};
use crate::world::Failure;

/// How far a stream was read, by what was delivered and acknowledged.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The messages that were acknowledged, and why.
    done: BTreeMap<usize, Why>,
    /// The offset behind the last message that came.
    end: Option<u64>,
    /// The connection of the last subscription.
    connection: ConnectionId,
    told: Option<u64>,
}

impl Reading {
    pub(super) fn done(&self) -> usize {
        self.done.len()
    }

    pub(super) fn successes(&self) -> u64 {
        let succeeded = self.done.values().filter(|why| **why == Why::Succeeded);
        succeeded.count() as u64
    }

    /// The messages that have come and are not done, in their order.
    fn undone(&self) -> impl Iterator<Item = usize> {
        let end = usize::try_from(self.end.unwrap_or(0)).unwrap_or(0);
        (0..end).filter(|message| !self.done.contains_key(message))
    }

    /// Where another run goes on; nothing if no message has come.
    fn goes_on_at(&self) -> Option<u64> {
        let undone = self.undone().next();
        undone.map_or(self.end, |message| Some(message as u64))
    }
}

impl Simulation<'_> {
    pub(super) fn note_delivery(&mut self, id: DeliveryId) {
        let message = self.broker.message_of(id);
        if !self.scenario.is_stream() || self.wire != Wire::Open || self.is_behind_the_end(message)
        {
            return;
        }
        let reading = &mut self.oracle.stream;
        if reading.done.contains_key(&message) {
            self.reached
                .mark("a message of a stream comes again that was done");
        }
        reading.end = reading.end.max(Some(message as u64 + 1));
    }

    /// Whether the message came after the run began that reads what was there before.
    fn is_behind_the_end(&mut self, message: usize) -> bool {
        let is_behind = self.end_of_stream.is_some_and(|end| message as u64 >= end);
        if is_behind {
            self.reached.mark("a stream has more than a run reads");
        }
        is_behind
    }

    /// Nothing is begun that came after the run began.
    pub(super) fn judge_start_in_stream(&mut self, id: DeliveryId) -> Result<(), Failure> {
        let message = self.broker.message_of(id);
        if !self.is_behind_the_end(message) {
            return Ok(());
        }
        Err(Failure::of(
            "a run reads what was in the stream when it began",
            format!("{message}"),
        ))
    }

    pub(super) fn note_done_in_stream(&mut self, id: DeliveryId, why: Why) {
        if self.scenario.is_stream() {
            let message = self.broker.message_of(id);
            self.oracle.stream.done.entry(message).or_insert(why);
            // Done is what was acknowledged, whether the broker hears it or not.
            self.broker.messages[message].gone.get_or_insert(why);
        }
    }

    pub(super) fn judge_settlement_in_stream(&self, settlement: Settlement) -> Result<(), Failure> {
        let is_acknowledged = matches!(settlement, Settlement::Ack | Settlement::AckUpTo);
        if is_acknowledged || !self.scenario.is_stream() {
            return Ok(());
        }
        Err(Failure::of(
            "nothing is given back to a stream",
            format!("{settlement:?}"),
        ))
    }

    /// Where a subscription begins: what is neither done nor in hand is not skipped, and a new connection begins with what is not
    /// done.
    pub(super) fn judge_offset(&mut self, offset: Option<u64>) -> Result<(), Failure> {
        let connection = self.connection;
        let is_new = self.oracle.stream.connection != connection;
        self.oracle.stream.connection = connection;
        let expected = self.oracle.stream.goes_on_at();
        let wrong = |what: &str| {
            Err(Failure::of(
                "a stream is read on where it was left",
                format!("from {offset:?}, not {expected:?}: {what}"),
            ))
        };
        let (Some(begins), Some(expected)) = (offset, expected) else {
            return if offset == expected {
                Ok(())
            } else {
                wrong("a message has come, or has not")
            };
        };
        if is_new {
            self.reached
                .mark("a stream is read on over a new connection");
            return if begins == expected {
                Ok(())
            } else {
                wrong("a new connection")
            };
        }
        self.reached
            .mark("a stream is read on over the same connection");
        let in_hand = self.in_hand();
        let undone = self.oracle.stream.undone();
        let skipped = undone.filter(|message| (*message as u64) < begins);
        let mut skipped = skipped.filter(|message| !in_hand.contains(message));
        match skipped.next() {
            Some(message) => wrong(&format!("{message} is skipped")),
            None => Ok(()),
        }
    }

    /// The messages that the core has.
    fn in_hand(&self) -> BTreeSet<usize> {
        let records = self.oracle.records.iter().enumerate();
        let kept = records.filter(|(_, record)| {
            !record.is_forgotten && !record.is_settled && record.connection == self.connection
        });
        kept.map(|(index, _)| self.broker.message_of(index as DeliveryId + 1))
            .collect()
    }

    pub(super) fn judge_place_told(&mut self, offset: u64) -> Result<(), Failure> {
        self.reached.mark("a run names where to go on in a stream");
        let expected = self.oracle.stream.goes_on_at();
        let earlier = self.oracle.stream.told.replace(offset);
        if earlier.is_none() && expected == Some(offset) {
            return Ok(());
        }
        Err(Failure::of(
            "the offset to go on from is the lowest that is not done, and is named once",
            format!("{offset}, not {expected:?}; before: {earlier:?}"),
        ))
    }

    pub(super) fn judge_end_of_stream(&self, is_success: bool) -> Result<(), Failure> {
        let reading = &self.oracle.stream;
        if !self.scenario.is_stream() || reading.end.is_none() || reading.told.is_some() {
            return Ok(());
        }
        let left = reading.undone().next();
        if is_success && left.is_none() {
            return Ok(());
        }
        Err(Failure::of(
            "a run that leaves something in a stream names where to go on",
            format!("{left:?}"),
        ))
    }
}

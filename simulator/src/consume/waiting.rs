//! Copies that wait in a queue of the broker before they come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amqp_tools::consume::run::DeliveryId;

/// The messages that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    messages: BTreeMap<usize, Original>,
    /// The deliveries of which a copy has come back. Another copy of one, which was said to be refused, is nobody's to wait for.
    back: BTreeSet<DeliveryId>,
    /// Those other copies that have come back, too.
    twins: Vec<usize>,
    /// Those that have come since the calendar was looked at, and how long they wait.
    new: Vec<(usize, Duration)>,
}

/// What a message that waits is a copy of.
#[derive(Debug)]
struct Original {
    id: DeliveryId,
    /// The tool knows that the copy is there.
    is_known: bool,
}

impl Waiting {
    pub(super) fn add(&mut self, message: usize, of: DeliveryId, time: Duration) {
        let original = Original {
            id: of,
            is_known: false,
        };
        self.messages.insert(message, original);
        self.new.push((message, time));
    }

    /// The tool hears that the copy of this delivery is there.
    pub(super) fn confirm(&mut self, of: DeliveryId) {
        let copies = self.messages.values_mut();
        for original in copies.filter(|original| original.id == of) {
            original.is_known = true;
        }
    }

    /// A message waits no longer. False: it did not wait.
    pub(super) fn end(&mut self, message: usize) -> bool {
        let Some(original) = self.messages.remove(&message) else {
            return false;
        };
        if !self.back.insert(original.id) {
            self.twins.push(message);
        }
        true
    }

    pub(super) fn holds(&self, message: usize) -> bool {
        self.messages.contains_key(&message)
    }

    pub(super) fn count(&self) -> usize {
        self.messages.len()
    }

    /// How many the tool knows of and must wait for.
    pub(super) fn known(&self) -> usize {
        let is_awaited =
            |original: &&Original| original.is_known && !self.back.contains(&original.id);
        self.messages.values().filter(is_awaited).count()
    }

    /// Those that came back after another copy of the same delivery.
    pub(super) fn twins(&self) -> &[usize] {
        &self.twins
    }

    pub(super) fn take_new(&mut self) -> Vec<(usize, Duration)> {
        std::mem::take(&mut self.new)
    }
}

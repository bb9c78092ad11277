//! Commands that get several messages each.

use std::sync::Arc;

use super::{Driver, cannot_start, framing};
use crate::consume::framing as framed;
use crate::consume::joblog::CommandStart;
use crate::consume::options::{CommandWork, Work};
use crate::consume::process::conversation::Outgoing;
use crate::consume::process::environment;
use crate::consume::run::{DeliveryId, Event};

impl Driver {
    /// Starts a command for all of these. The first one stands for them.
    pub(super) fn start_batch(&mut self, ids: Vec<DeliveryId>) {
        let (Work::Command(work), Some(&first)) = (&self.options.work, ids.first()) else {
            return;
        };
        let work = Arc::clone(work);
        self.commands_started += 1;
        let start = CommandStart::now(self.commands_started);
        for id in &ids {
            if let Some(delivery) = self.deliveries.get_mut(id)
                && delivery.start.replace(start).is_none()
            {
                self.monitor.begun(&delivery.message);
            }
        }
        let input = Arc::new(self.framed(&ids));
        self.batches.insert(first, ids);
        if let Err(failure) = self.launch_batch(first, &input, &work) {
            self.batches.remove(&first);
            self.pending.push_back(failure);
        }
    }

    fn launch_batch(
        &mut self,
        first: DeliveryId,
        input: &Arc<Vec<u8>>,
        work: &CommandWork,
    ) -> Result<(), Event> {
        let size = self.batches.get(&first).map_or(0, Vec::len);
        let variables = environment::of_batch(&self.queue, size);
        let tag = self.commands_started.to_string();
        self.launch(first, &variables, input, &tag, work)
            .map_err(|failure| cannot_start(first, work, failure))
    }

    /// The standard input of a command for these messages.
    fn framed(&mut self, ids: &[DeliveryId]) -> Vec<u8> {
        let mut outgoing = Outgoing::default();
        let Some(framing) = framing(&self.options.work) else {
            return Vec::new();
        };
        for id in ids {
            if let Some(delivery) = self.deliveries.get_mut(id) {
                framed::add(
                    &mut outgoing,
                    framing,
                    &mut delivery.message,
                    &mut delivery.body,
                    delivery.redelivered,
                );
            }
        }
        outgoing.to_vec()
    }
}

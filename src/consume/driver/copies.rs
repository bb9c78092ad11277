//! What is published for a message: copies of it, and what its command wrote.

use super::Driver;
use super::republisher::Report;
use crate::consume::publication::{Publication, Recipient};
use crate::consume::run::{Copy, DeliveryId, Event};
use crate::consume::{republish, waiting_queue};
use crate::message::Message;

impl Driver {
    pub(super) fn copy(&mut self, id: DeliveryId, copy: Copy) {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        if copy.is_result() {
            return self.publish_result(id, copy);
        }
        let message = Message {
            body: delivery.body.to_vec(),
            ..delivery.message.clone()
        };
        let park = self.options.failure.park.as_deref().unwrap_or_default();
        let message = match copy {
            Copy::Attempt(attempts) => {
                republish::for_another_attempt(message, &self.queue, attempts)
            }
            Copy::Delay(time, attempts) => {
                let waiting = waiting_queue::name(&self.queue, time);
                republish::for_waiting(message, &waiting, attempts)
            }
            Copy::Renew(attempts) => republish::unchanged(message, &self.queue, attempts),
            Copy::Park(attempts, status) => {
                let error = delivery.result.error.clone();
                republish::for_parking(message, park, attempts, status, error)
            }
            Copy::Output | Copy::Reply(..) => return,
        };
        delivery.result.expect(1);
        let publication = Publication {
            message: Box::new(message),
            recipient: Recipient::Copied,
        };
        self.republisher.publish(id, publication);
    }

    fn publish_result(&mut self, id: DeliveryId, copy: Copy) {
        let (Some(delivery), Some(publishing)) =
            (self.deliveries.get_mut(&id), &self.options.publishing)
        else {
            return;
        };
        let publications = delivery
            .result
            .publications(copy, publishing, &delivery.message);
        if publications.is_empty() {
            self.pending.push_back(Event::Copied(id, Ok(())));
            return;
        }
        delivery.result.expect(publications.len());
        for publication in publications {
            self.republisher.publish(id, publication);
        }
    }

    /// What has become of what was to be published, once all is known about a delivery.
    pub(super) fn reported(&mut self, report: Report) -> Option<Event> {
        match report {
            Report::Published { id, result } => {
                if let Err(refusal) = &result {
                    self.declare_waiting_queue_again(&refusal.publication);
                }
                // The core waits also for a copy whose delivery was lost: a single message.
                let all = match self.deliveries.get_mut(&id) {
                    Some(delivery) => delivery.result.answered(result)?,
                    None => result.map_err(|refusal| refusal.reason),
                };
                Some(Event::Copied(id, all))
            }
            Report::Learned(counts) => Some(Event::CountsDeliveries(counts)),
        }
    }

    /// Declares a waiting queue again that refused a copy, since it may be gone.
    fn declare_waiting_queue_again(&mut self, refused: &Publication) {
        let Some(server) = self.connection.as_ref().and_then(|one| one.server) else {
            return;
        };
        let times = self.options.failure.retry_times();
        let declaration = times
            .iter()
            .map(|time| waiting_queue::declaration(&self.queue, *time, server))
            .find(|queue| {
                refused.recipient == Recipient::Copied && queue.name == refused.message.routing_key
            });
        if let Some(declaration) = declaration {
            self.republisher.declare(declaration);
        }
    }
}

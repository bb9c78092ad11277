//! What a stream does otherwise: its messages stay, and its chunks may hold more messages than there is credit for.

use std::collections::BTreeSet;

use amqp_tools::consume::run::{DeliveryId, DeliveryInfo, FromBroker};

use super::{Broker, Message, Unsettled, info};

impl Broker {
    /// Delivers what the consumers have credit for.
    pub(super) fn deliver_from_stream(&mut self, surplus: usize) {
        let Some(channel) = &mut self.channel else {
            return;
        };
        for consumer in &mut channel.consumers {
            let mut room = match channel.prefetch.saturating_sub(consumer.unsettled) {
                0 => 0,
                credit => credit + surplus,
            };
            while room > 0 && consumer.next < self.messages.len() {
                let message = consumer.next;
                room -= 1;
                consumer.next += 1;
                consumer.unsettled += 1;
                self.delivered.push(message);
                let id = self.delivered.len() as DeliveryId;
                let subscription = consumer.subscription;
                let unsettled = Unsettled {
                    message,
                    subscription,
                };
                channel.unsettled.insert(id, unsettled);
                let info = DeliveryInfo {
                    subscription,
                    redelivered: false,
                    offset: Some(message as u64),
                    ..info(&self.messages[message], false)
                };
                channel.incoming.push_back(FromBroker::Delivered(id, info));
            }
        }
    }

    /// How many messages of a stream are neither done nor with the client.
    pub(super) fn unread(&self) -> usize {
        let channel = self.channel.iter();
        let with_client = channel.flat_map(|channel| channel.unsettled.values());
        let with_client: BTreeSet<usize> = with_client.map(|one| one.message).collect();
        let is_unread = |(number, message): &(usize, &Message)| {
            message.gone.is_none() && !with_client.contains(number)
        };
        self.messages.iter().enumerate().filter(is_unread).count()
    }
}

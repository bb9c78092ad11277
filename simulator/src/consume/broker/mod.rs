//! A model of a broker with one queue, and of the one connection that the tool has to it.
//!
//! A channel's methods are processed in order, some time after they were written. A quorum queue's leader takes settlements
//! later still; what is on its way to the leader when the connection ends is taken, except what the channel keeps back
//! because more than 32 are on their way: that is dropped.
//!
//! * `stream`: what a stream does otherwise.

mod stream;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use amqp_tools::consume::run::{
    ConnectionId, Copy, DeliveryId, DeliveryInfo, FromBroker, Settlement, SubscriptionId,
};

use super::message::{Message, Sent, Why, count_done_with, done_with, info};
use super::scenario::BrokerKind;
use super::waiting::Waiting;
use crate::reached::Reached;

/// How many commands are on their way to a leader at most.
const TO_LEADER: usize = 32;

#[derive(Clone, Debug)]
struct Consumer {
    subscription: SubscriptionId,
    unsettled: usize,
    is_active: bool,
    /// In a stream: the message that comes next.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Unsettled {
    message: usize,
    subscription: SubscriptionId,
}

/// A settlement on its way to the queue.
#[derive(Clone, Debug)]
struct Command {
    settlement: Settlement,
    messages: Vec<(Unsettled, Why)>,
}

/// The present connection, with its one channel.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) number: ConnectionId,
    pub(super) outgoing: VecDeque<Sent>,
    pub(super) incoming: VecDeque<FromBroker>,
    consumers: Vec<Consumer>,
    prefetch: usize,
    unsettled: BTreeMap<DeliveryId, Unsettled>,
    /// Deliveries that the broker took back. To settle one breaks the connection.
    taken_back: BTreeSet<DeliveryId>,
    to_leader: VecDeque<Command>,
    pub(super) is_closed: bool,
    /// Nothing is heard on it before then.
    pub(super) silent_until: Option<Duration>,
}

/// What processing led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Processed {
    GoesOn,
    /// The broker ended the connection with an error.
    Refused,
    /// A delivery was settled that is not there.
    UnknownTag(DeliveryId),
}

#[derive(Debug)]
pub(super) struct Broker {
    kind: BrokerKind,
    ends_with_consumer: bool,
    pub(super) messages: Vec<Message>,
    ready: BTreeSet<usize>,
    /// What is kept before it is delivered again. True: the tool gave it back as failed.
    delayed: BTreeMap<usize, bool>,
    /// What waits in a queue of its own.
    pub(super) waiting: Waiting,
    /// Those that are delayed since the calendar was looked at.
    pub(super) newly_delayed: Vec<usize>,
    /// How many messages were done with by settlements that never came to the queue.
    pub(super) lost_settlements: u64,
    pub(super) parked: Vec<usize>,
    /// The outputs and the replies that have come, by the originals that they are of.
    pub(super) outputs: Vec<usize>,
    pub(super) replies: Vec<usize>,
    pub(super) output_was_deleted: bool,
    pub(super) channel: Option<Channel>,
    /// The message of each delivery, in the order of the ids.
    delivered: Vec<usize>,
    pub(super) is_rival_active: bool,
    pub(super) queue_was_deleted: bool,
}

impl Broker {
    pub(super) fn new(kind: BrokerKind, ends_with_consumer: bool) -> Broker {
        Broker {
            kind,
            ends_with_consumer,
            messages: Vec::new(),
            ready: BTreeSet::new(),
            delayed: BTreeMap::new(),
            waiting: Waiting::default(),
            newly_delayed: Vec::new(),
            lost_settlements: 0,
            parked: Vec::new(),
            outputs: Vec::new(),
            replies: Vec::new(),
            output_was_deleted: false,
            channel: None,
            delivered: Vec::new(),
            is_rival_active: false,
            queue_was_deleted: false,
        }
    }

    pub(super) fn publish(&mut self, can_be_copied: bool, is_unfit: bool) {
        let original = self.messages.len();
        self.put(Message {
            original,
            attempts: None,
            count: 0,
            redelivered: false,
            dead_lettered: false,
            can_be_copied,
            is_unfit,
            gone: None,
        });
    }

    fn put(&mut self, message: Message) {
        if self.queue_was_deleted {
            return; // to the default exchange, and nowhere
        }
        self.ready.insert(self.messages.len());
        self.messages.push(message);
        self.deliver();
    }

    /// A copy arrives.
    pub(super) fn put_copy(&mut self, id: DeliveryId, what: Copy) {
        let original = &self.messages[self.message_of(id)];
        let attempts = match what {
            Copy::Park(..) => return self.parked.push(original.original),
            Copy::Output => return self.outputs.push(original.original),
            Copy::Reply(..) => return self.replies.push(original.original),
            Copy::Attempt(attempts) | Copy::Delay(_, attempts) => Some(attempts),
            Copy::Renew(attempts) => attempts.or(original.attempts),
        };
        let copy = Message {
            attempts,
            count: 0,
            redelivered: false,
            gone: None,
            ..original.clone()
        };
        if let Copy::Delay(time, _) = what {
            self.waiting.add(self.messages.len(), id, time);
            self.messages.push(copy);
            return;
        }
        self.put(copy);
    }

    /// A message has waited for long enough.
    pub(super) fn wait_ends(&mut self, message: usize) {
        if !self.waiting.end(message) {
            return;
        }
        if self.queue_was_deleted {
            self.messages[message].gone = Some(Why::QueueGone);
            return;
        }
        self.ready.insert(message);
        self.deliver();
    }

    /// A rejected message comes back.
    fn dead_letter(&mut self, message: usize) {
        if self.kind.dead_letters_home {
            let copy = Message {
                count: 0,
                redelivered: false,
                dead_lettered: true,
                gone: None,
                ..self.messages[message].clone()
            };
            self.put(copy);
        }
    }

    pub(super) fn ready(&self) -> usize {
        if self.kind.stream.is_some() {
            return self.unread();
        }
        self.ready.len()
    }

    /// How many messages the client has that cannot be copied. To be parked, such a message is held as long as the run lasts.
    pub(super) fn uncopyable_with_client(&self) -> usize {
        let unsettled = self
            .channel
            .iter()
            .flat_map(|channel| channel.unsettled.values());
        unsettled
            .filter(|one| !self.messages[one.message].can_be_copied)
            .count()
    }

    /// A connection is made.
    pub(super) fn open(&mut self, number: ConnectionId, prefetch: u16) {
        self.channel = Some(Channel {
            number,
            outgoing: VecDeque::new(),
            incoming: VecDeque::new(),
            consumers: Vec::new(),
            prefetch: prefetch.into(),
            unsettled: BTreeMap::new(),
            taken_back: BTreeSet::new(),
            to_leader: VecDeque::new(),
            is_closed: false,
            silent_until: None,
        });
    }

    /// Delivers what the consumers have credit for.
    fn deliver(&mut self) {
        let Some(channel) = &mut self.channel else {
            return;
        };
        if channel.is_closed || self.is_rival_active {
            return;
        }
        let total: usize = channel.consumers.iter().map(|one| one.unsettled).sum();
        let mut total = total;
        if let Some(surplus) = self.kind.stream {
            return self.deliver_from_stream(surplus);
        }
        for consumer in &mut channel.consumers {
            if !consumer.is_active {
                continue;
            }
            loop {
                let used = if self.kind.prefetch_of_channel {
                    total
                } else {
                    consumer.unsettled
                };
                if used >= channel.prefetch {
                    break;
                }
                let Some(message) = self.ready.pop_first() else {
                    return;
                };
                self.delivered.push(message);
                let id = self.delivered.len() as DeliveryId;
                consumer.unsettled += 1;
                total += 1;
                let unsettled = Unsettled {
                    message,
                    subscription: consumer.subscription,
                };
                channel.unsettled.insert(id, unsettled);
                let info = DeliveryInfo {
                    subscription: consumer.subscription,
                    ..info(&self.messages[message], self.kind.is_quorum)
                };
                channel.incoming.push_back(FromBroker::Delivered(id, info));
            }
        }
    }

    /// The message of a delivery.
    pub(super) fn message_of(&self, id: DeliveryId) -> usize {
        self.delivered[usize::try_from(id).unwrap_or(usize::MAX) - 1]
    }

    /// Processes the next method of the channel.
    pub(super) fn process(&mut self, says_empty: bool, reached: &mut Reached) -> Processed {
        let Some(channel) = &mut self.channel else {
            return Processed::GoesOn;
        };
        let Some(sent) = channel.outgoing.pop_front() else {
            return Processed::GoesOn;
        };
        match sent {
            Sent::Consume(subscription, offset) => {
                if self.queue_was_deleted {
                    return Processed::Refused;
                }
                channel.consumers.push(Consumer {
                    subscription,
                    unsettled: 0,
                    is_active: true,
                    next: usize::try_from(offset.unwrap_or(0)).unwrap_or(usize::MAX),
                });
                channel
                    .incoming
                    .push_back(FromBroker::Subscribed(subscription));
                self.deliver();
            }
            Sent::Cancel(subscription) => self.cancel(subscription),
            Sent::Prefetch(prefetch) => {
                channel.prefetch = prefetch.into();
                self.deliver();
            }
            Sent::Count => {
                if self.queue_was_deleted {
                    return Processed::Refused;
                }
                let ready = match self.kind.stream {
                    Some(_) => self.messages.len(),
                    None => self.ready.len(),
                };
                let ready = u32::try_from(ready).unwrap_or(u32::MAX);
                let told = if says_empty && self.kind.is_quorum {
                    if ready > 0 {
                        reached.mark("the queue says that it is empty and is not");
                    }
                    0
                } else {
                    ready
                };
                channel.incoming.push_back(FromBroker::Ready(told));
            }
            Sent::Settle(settlement, deliveries) => return self.settle(settlement, &deliveries),
            Sent::Close => {
                self.end_channel(reached);
                if let Some(channel) = &mut self.channel {
                    channel.incoming.push_back(FromBroker::Closed);
                }
            }
        }
        Processed::GoesOn
    }

    fn cancel(&mut self, subscription: SubscriptionId) {
        // The leader answers a cancel, so everything before has come to it.
        self.lead(usize::MAX);
        let Some(channel) = &mut self.channel else {
            return;
        };
        let before = channel.consumers.len();
        channel
            .consumers
            .retain(|consumer| consumer.subscription != subscription);
        channel
            .incoming
            .push_back(FromBroker::Unsubscribed(subscription));
        let was_last = before > 0 && channel.consumers.is_empty();
        if was_last && self.ends_with_consumer {
            self.delete_queue();
        }
        if was_last && self.kind.has_rival {
            self.is_rival_active = true;
        }
    }

    fn settle(&mut self, settlement: Settlement, deliveries: &[(DeliveryId, Why)]) -> Processed {
        let Some(channel) = &mut self.channel else {
            return Processed::GoesOn;
        };
        // One command for each subscription in turn.
        let mut commands: Vec<Command> = Vec::new();
        for (id, why) in deliveries {
            if channel.taken_back.contains(id) {
                self.lost_settlements += count_done_with(deliveries.iter().map(|(_, why)| *why));
                return Processed::Refused;
            }
            let Some(unsettled) = channel.unsettled.remove(id) else {
                return Processed::UnknownTag(*id);
            };
            match commands.last_mut() {
                Some(command) if command.messages[0].0.subscription == unsettled.subscription => {
                    command.messages.push((unsettled, *why));
                }
                _ => commands.push(Command {
                    settlement,
                    messages: vec![(unsettled, *why)],
                }),
            }
        }
        channel.to_leader.extend(commands);
        if self.kind.leader_lag == 0 {
            self.lead(usize::MAX);
        }
        Processed::GoesOn
    }

    pub(super) fn leader_is_behind(&self) -> bool {
        self.channel
            .as_ref()
            .is_some_and(|channel| !channel.to_leader.is_empty())
    }

    /// The leader takes so many commands.
    pub(super) fn lead(&mut self, count: usize) {
        for _ in 0..count {
            let Some(channel) = &mut self.channel else {
                return;
            };
            let Some(command) = channel.to_leader.pop_front() else {
                break;
            };
            for (unsettled, _) in &command.messages {
                for consumer in &mut channel.consumers {
                    if consumer.subscription == unsettled.subscription {
                        consumer.unsettled = consumer.unsettled.saturating_sub(1);
                    }
                }
            }
            for (unsettled, why) in command.messages {
                self.apply(command.settlement, unsettled.message, why);
            }
        }
        self.deliver();
    }

    fn apply(&mut self, settlement: Settlement, message: usize, why: Why) {
        let gone = self.messages[message].gone;
        let is_acknowledged = matches!(settlement, Settlement::Ack | Settlement::AckUpTo);
        if gone.is_some() && !(is_acknowledged && gone == Some(Why::QueueGone)) {
            return;
        }
        match settlement {
            Settlement::Ack | Settlement::AckUpTo => self.messages[message].gone = Some(why),
            Settlement::Reject => {
                self.messages[message].gone = Some(Why::Rejected);
                self.dead_letter(message);
            }
            Settlement::Return | Settlement::ReturnUpTo => {
                self.requeue(message, self.kind.counts_nacks, false);
            }
            Settlement::Requeue => self.requeue(message, true, true),
        }
    }

    fn requeue(&mut self, message: usize, counts: bool, was_given_back: bool) {
        let limit = self.kind.limit;
        let is_stream = self.kind.stream.is_some();
        let one = &mut self.messages[message];
        if one.gone.is_some() || is_stream {
            return;
        }
        one.redelivered = true;
        if self.kind.is_quorum && counts {
            one.count += 1;
            if limit.is_some_and(|limit| one.count > limit) {
                one.gone = Some(Why::Dropped);
                return;
            }
        }
        if self.kind.delayed_retry.is_some() && (counts || self.kind.delays_all) {
            self.delayed.insert(message, was_given_back);
            self.newly_delayed.push(message);
        } else {
            self.ready.insert(message);
        }
    }

    /// A message is delayed no longer.
    pub(super) fn delay_ends(&mut self, message: usize) {
        if self.delayed.remove(&message).is_some() {
            self.ready.insert(message);
            self.deliver();
        }
    }

    /// How many messages are delayed, and how many of them because the tool gave them back as failed.
    pub(super) fn delayed(&self) -> (usize, usize) {
        let given_back = self.delayed.values().filter(|given_back| **given_back);
        (self.delayed.len(), given_back.count())
    }

    /// Nothing more is processed on the connection; what it held comes back.
    pub(super) fn end_channel(&mut self, reached: &mut Reached) {
        self.lead(TO_LEADER);
        let Some(channel) = &mut self.channel else {
            return;
        };
        channel.is_closed = true;
        let had_consumers = !channel.consumers.is_empty();
        channel.consumers.clear();
        let unread = std::mem::take(&mut channel.outgoing);
        let dropped = std::mem::take(&mut channel.to_leader);
        let held = std::mem::take(&mut channel.unsettled);
        let in_queue = dropped.iter().flat_map(|command| &command.messages);
        let why = in_queue.map(|(_, why)| *why);
        self.lost_settlements += count_done_with(why);
        self.lost_settlements += unread.iter().map(done_with).sum::<u64>();
        if !dropped.is_empty() {
            reached.mark("the channel keeps settlements back and drops them");
        }
        let messages = dropped
            .into_iter()
            .flat_map(|command| command.messages)
            .map(|(unsettled, _)| unsettled.message);
        for message in messages.chain(held.into_values().map(|unsettled| unsettled.message)) {
            self.requeue(message, true, false);
        }
        if had_consumers && self.ends_with_consumer {
            self.delete_queue();
        }
        if self.kind.has_rival {
            self.is_rival_active = true;
        }
    }

    /// All messages are gone. A queue that the tool declares itself is there again with the next connection.
    pub(super) fn delete_queue(&mut self) {
        for (number, message) in self.messages.iter_mut().enumerate() {
            if !self.waiting.holds(number) {
                message.gone.get_or_insert(Why::QueueGone);
            }
        }
        self.ready.clear();
        self.delayed.clear();
        self.queue_was_deleted = !self.ends_with_consumer;
    }

    /// The broker cancels the consumers. True: it had one.
    pub(super) fn cancel_consumers(&mut self, takes_back: bool) -> bool {
        let Some(channel) = &mut self.channel else {
            return false;
        };
        let consumers = std::mem::take(&mut channel.consumers);
        for consumer in &consumers {
            channel
                .incoming
                .push_back(FromBroker::CancelledByBroker(consumer.subscription));
        }
        if takes_back && !consumers.is_empty() {
            let taken = std::mem::take(&mut channel.unsettled);
            channel.taken_back.extend(taken.keys().copied());
            for unsettled in taken.into_values() {
                self.requeue(unsettled.message, true, false);
            }
        }
        !consumers.is_empty()
    }

    /// The other worker handles a message, if there is one.
    pub(super) fn rival_works(&mut self) -> bool {
        if !self.is_rival_active {
            return false;
        }
        let message = self.ready.pop_first();
        if let Some(message) = message {
            self.messages[message].gone = Some(Why::TakenByRival);
        }
        message.is_some()
    }

    pub(super) fn rival_leaves(&mut self) {
        self.kind.has_rival = false;
        self.is_rival_active = false;
        self.deliver();
    }

    pub(super) fn count_gone(&self, why: Why) -> u64 {
        let gone = self
            .messages
            .iter()
            .filter(|message| message.gone == Some(why));
        gone.count() as u64
    }

    /// How many messages are in the queue that came back after another copy of the same delivery.
    pub(super) fn twins(&self) -> usize {
        let twins = self.waiting.twins().iter();
        twins
            .filter(|number| self.messages[**number].gone.is_none())
            .count()
    }

    /// How many messages are in the queue, delivered or not.
    pub(super) fn in_queue(&self) -> usize {
        self.messages
            .iter()
            .filter(|message| message.gone.is_none())
            .count()
    }
}

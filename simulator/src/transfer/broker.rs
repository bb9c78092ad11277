//! A broker with a source and a target, and the one connection that the tool has to it.
//!
//! A channel's methods are processed in order, some time after they were written. The leader of a quorum queue takes
//! settlements later still. What is on its way to it when the connection ends is taken; what the channel keeps back, because
//! more than 32 are on their way, is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amqp_tools::broker::{Confirmation, Numbers};
use amqp_tools::transfer::run::{Delivery, FromBroker, Subscription, Tag};

use super::scenario::{Planned, QueueKind};
use crate::choices::Choices;
use crate::reached::Reached;

/// How many commands are on their way to a leader at most.
const TO_LEADER: usize = 32;

/// The number of a message in the source; those that came first are delivered first.
pub(super) type Number = usize;

/// What was written to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Consume(Subscription, u16),
    Cancel(Subscription),
    Count,
    Publish(Number),
    Ack(Tag),
    Return(Tag),
    Close,
}

#[derive(Clone, Debug)]
struct Consumer {
    subscription: Subscription,
    prefetch: usize,
    unsettled: usize,
}

/// Messages that are settled together, of one subscription.
#[derive(Clone, Debug)]
struct Command {
    is_ack: bool,
    messages: Vec<Number>,
}

/// What the broker thinks of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ack,
    Nack,
    /// The message is returned afterwards.
    NackAndReturn,
}

/// The present connection, with its one channel.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) outgoing: VecDeque<Sent>,
    /// Deliveries and answers, in the order in which they are told.
    pub(super) incoming: VecDeque<FromBroker>,
    consumers: Vec<Consumer>,
    /// What was delivered, by tag, and is not settled.
    unsettled: BTreeMap<Tag, (Number, Subscription)>,
    /// The message of each tag, from 1 on.
    pub(super) delivered: Vec<Number>,
    to_leader: VecDeque<Command>,
    kept_back: VecDeque<Command>,
    /// How many copies were handled.
    handled: u64,
    pending: BTreeMap<u64, Verdict>,
    confirms: VecDeque<(u32, Confirmation)>,
    returns: VecDeque<(u32, Number)>,
    said: u32,
    /// The tags that a confirmation was told of.
    pub(super) told_confirmed: BTreeSet<Tag>,
    pub(super) is_paused: bool,
    pub(super) is_deaf: bool,
    pub(super) is_closed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Broker {
    kind: QueueKind,
    pub(super) planned: Vec<Planned>,
    ready: BTreeSet<Number>,
    redelivered: BTreeSet<Number>,
    /// What a connection held that has ended, until the broker notices.
    held: Vec<Number>,
    pub(super) target: Vec<Number>,
    /// Settled for good.
    pub(super) acknowledged: BTreeSet<Number>,
    pub(super) taken_by_rival: BTreeSet<Number>,
    pub(super) channel: Option<Channel>,
    pub(super) is_full: bool,
    pub(super) target_is_gone: bool,
    pub(super) source_is_gone: bool,
    /// Another consumer gets all that is delivered.
    pub(super) is_withheld: bool,
    /// The source was empty, and nothing was held, when it last said that it had nothing to deliver.
    pub(super) was_empty: bool,
    /// The end of a channel has dropped acknowledgements.
    pub(super) has_dropped: bool,
    rejects_before_returning: bool,
}

impl Broker {
    pub(super) fn new(scenario: &super::scenario::Scenario) -> Broker {
        Broker {
            kind: scenario.kind,
            planned: scenario.messages.clone(),
            ready: (0..scenario.messages.len()).collect(),
            redelivered: BTreeSet::new(),
            held: Vec::new(),
            target: Vec::new(),
            acknowledged: BTreeSet::new(),
            taken_by_rival: BTreeSet::new(),
            channel: None,
            is_full: false,
            target_is_gone: false,
            source_is_gone: false,
            is_withheld: false,
            was_empty: false,
            has_dropped: false,
            rejects_before_returning: scenario.rejects_before_returning,
        }
    }

    pub(super) fn ready(&self) -> u32 {
        u32::try_from(self.ready.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether a message is in the source, be it delivered.
    pub(super) fn is_in_source(&self, number: Number) -> bool {
        let is_unsettled = self.channel.as_ref().is_some_and(|channel| {
            let kept = channel.to_leader.iter().chain(&channel.kept_back);
            channel
                .unsettled
                .values()
                .any(|(other, _)| *other == number)
                || kept
                    .flat_map(|command| &command.messages)
                    .any(|other| *other == number)
        });
        self.ready.contains(&number) || self.held.contains(&number) || is_unsettled
    }

    /// A message comes to the source.
    pub(super) fn publish_to_source(&mut self, planned: Planned) {
        self.ready.insert(self.planned.len());
        self.planned.push(planned);
    }

    /// Another consumer takes a message, for good.
    pub(super) fn rival_takes(&mut self) -> bool {
        match self.ready.pop_first() {
            Some(number) => {
                self.taken_by_rival.insert(number);
                true
            }
            None => false,
        }
    }

    pub(super) fn connect(&mut self) {
        self.channel = Some(Channel {
            outgoing: VecDeque::new(),
            incoming: VecDeque::new(),
            consumers: Vec::new(),
            unsettled: BTreeMap::new(),
            delivered: Vec::new(),
            to_leader: VecDeque::new(),
            kept_back: VecDeque::new(),
            handled: 0,
            pending: BTreeMap::new(),
            confirms: VecDeque::new(),
            returns: VecDeque::new(),
            said: 0,
            told_confirmed: BTreeSet::new(),
            is_paused: false,
            is_deaf: false,
            is_closed: false,
        });
    }

    /// The connection ends, as the broker sees it. What it held goes back, at once or when the broker notices.
    pub(super) fn end_connection(&mut self, at_once: bool, reached: &mut Reached) {
        let Some(mut channel) = self.channel.take() else {
            return;
        };
        for command in std::mem::take(&mut channel.to_leader) {
            self.apply(&command);
        }
        self.has_dropped |= channel.kept_back.iter().any(|command| command.is_ack);
        let dropped = channel
            .kept_back
            .iter()
            .flat_map(|command| command.messages.iter().copied());
        self.held
            .extend(dropped.chain(channel.unsettled.values().map(|(number, _)| *number)));
        if self.has_held() && !at_once {
            reached.mark("the broker notices the end of a connection later");
        }
        if at_once {
            self.let_go();
        }
    }

    /// The broker notices that a connection has ended.
    pub(super) fn let_go(&mut self) {
        for number in std::mem::take(&mut self.held) {
            self.requeue(number);
        }
    }

    fn requeue(&mut self, number: Number) {
        if !self.source_is_gone {
            self.ready.insert(number);
            self.redelivered.insert(number);
        }
    }

    /// The source is deleted with all that is in it.
    pub(super) fn delete_source(&mut self) {
        self.source_is_gone = true;
        self.ready.clear();
        self.held.clear();
        if let Some(channel) = &mut self.channel
            && !channel.consumers.is_empty()
        {
            channel.consumers.clear();
            channel
                .incoming
                .push_back(FromBroker::Ended("the queue is deleted".to_owned()));
        }
    }

    /// Hands over the next message, if a consumer has room for it.
    pub(super) fn deliver_next(&mut self) -> bool {
        self.deliver_to(None)
    }

    pub(super) fn can_deliver(&self) -> bool {
        !self.is_withheld
            && !self.ready.is_empty()
            && self.channel.as_ref().is_some_and(|channel| {
                let has_room = |consumer: &Consumer| consumer.unsettled < consumer.prefetch;
                channel.consumers.iter().any(has_room)
            })
    }

    fn deliver_to(&mut self, subscription: Option<Subscription>) -> bool {
        if self.is_withheld {
            return false;
        }
        let Some(channel) = &mut self.channel else {
            return false;
        };
        let is_it = |consumer: &&mut Consumer| {
            subscription.is_none_or(|subscription| consumer.subscription == subscription)
                && consumer.unsettled < consumer.prefetch
        };
        let Some(consumer) = channel.consumers.iter_mut().find(is_it) else {
            return false;
        };
        let Some(number) = self.ready.pop_first() else {
            return false;
        };
        consumer.unsettled += 1;
        channel.delivered.push(number);
        let tag = channel.delivered.len() as Tag;
        channel
            .unsettled
            .insert(tag, (number, consumer.subscription));
        let planned = self.planned[number];
        channel.incoming.push_back(FromBroker::Delivered(Delivery {
            tag,
            subscription: consumer.subscription,
            length: planned.length,
            redelivered: self.redelivered.contains(&number),
            fingerprint: planned.fingerprint,
            unfit: planned.is_unfit.then(|| format!("{number} is unfit")),
        }));
        true
    }

    pub(super) fn has_more_to_process(&self) -> bool {
        self.channel.as_ref().is_some_and(|channel| {
            !channel.outgoing.is_empty() && !channel.is_paused && !channel.is_deaf
        })
    }

    pub(super) fn has_commands(&self) -> bool {
        self.channel
            .as_ref()
            .is_some_and(|channel| !channel.to_leader.is_empty())
    }

    /// The leader takes the next command.
    pub(super) fn lead(&mut self) {
        let Some(channel) = &mut self.channel else {
            return;
        };
        let command = channel.to_leader.pop_front();
        let kept = channel.kept_back.pop_front();
        channel.to_leader.extend(kept);
        if let Some(command) = command {
            self.apply(&command);
        }
    }

    fn apply(&mut self, command: &Command) {
        for number in &command.messages {
            if command.is_ack {
                self.acknowledged.insert(*number);
            } else {
                self.requeue(*number);
            }
        }
    }

    /// Processes the next method. The error is what the broker closes the connection for.
    pub(super) fn process_next(&mut self, lies: bool, reached: &mut Reached) -> Result<(), String> {
        let sent = self
            .channel
            .as_mut()
            .and_then(|channel| channel.outgoing.pop_front());
        match sent {
            None => {}
            Some(Sent::Consume(subscription, prefetch)) => {
                if self.source_is_gone {
                    return Err("there is no such queue".to_owned());
                }
                if let Some(channel) = &mut self.channel {
                    channel.consumers.push(Consumer {
                        subscription,
                        prefetch: prefetch.into(),
                        unsettled: 0,
                    });
                    channel
                        .incoming
                        .push_back(FromBroker::Subscribed(subscription));
                }
            }
            Some(Sent::Cancel(subscription)) => self.cancel(subscription),
            Some(Sent::Count) => {
                if self.source_is_gone {
                    return Err("there is no such queue".to_owned());
                }
                self.was_empty |= self.ready.is_empty() && self.held.is_empty();
                let ready = if lies { 0 } else { self.ready() };
                if let Some(channel) = &mut self.channel {
                    channel.incoming.push_back(FromBroker::Ready(ready));
                }
            }
            Some(Sent::Publish(number)) => self.handle_copy(number),
            Some(Sent::Ack(tag)) => return self.settle(tag, true, reached),
            Some(Sent::Return(tag)) => return self.settle(tag, false, reached),
            Some(Sent::Close) => {
                if let Some(channel) = &mut self.channel {
                    channel.is_closed = true;
                }
            }
        }
        Ok(())
    }

    /// What can be delivered is, before the answer; and the queue has all that was settled before.
    fn cancel(&mut self, subscription: Subscription) {
        while self.deliver_to(Some(subscription)) {}
        while self.has_commands() {
            self.lead();
        }
        self.was_empty = self.ready.is_empty() && self.held.is_empty();
        if let Some(channel) = &mut self.channel {
            channel
                .consumers
                .retain(|consumer| consumer.subscription != subscription);
            channel
                .incoming
                .push_back(FromBroker::Cancelled(subscription));
        }
    }

    fn handle_copy(&mut self, number: Number) {
        let is_unroutable = self.planned[number].is_unroutable || self.target_is_gone;
        let Some(channel) = &mut self.channel else {
            return;
        };
        channel.handled += 1;
        let verdict = match (is_unroutable, self.is_full) {
            (true, _) if self.rejects_before_returning => Verdict::NackAndReturn,
            (true, _) => {
                channel.say_returned(number);
                Verdict::Ack
            }
            (false, true) => Verdict::Nack,
            (false, false) => {
                self.target.push(number);
                Verdict::Ack
            }
        };
        channel.pending.insert(channel.handled, verdict);
    }

    fn settle(&mut self, tag: Tag, is_ack: bool, reached: &mut Reached) -> Result<(), String> {
        let kind = self.kind;
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        if !channel.unsettled.contains_key(&tag) {
            return Err(format!("unknown delivery tag {tag}"));
        }
        let rest = channel.unsettled.split_off(&(tag + 1));
        let settled = std::mem::replace(&mut channel.unsettled, rest);
        let mut commands: BTreeMap<Subscription, Command> = BTreeMap::new();
        for (number, subscription) in settled.into_values() {
            let consumer = channel
                .consumers
                .iter_mut()
                .find(|consumer| consumer.subscription == subscription);
            if let Some(consumer) = consumer {
                consumer.unsettled -= 1;
            }
            let command = commands.entry(subscription).or_insert(Command {
                is_ack,
                messages: Vec::new(),
            });
            command.messages.push(number);
        }
        if commands.len() > 1 {
            reached.mark("an answer spans subscriptions");
        }
        for command in commands.into_values() {
            match kind {
                QueueKind::Classic => self.apply(&command),
                QueueKind::Quorum => {
                    if let Some(channel) = &mut self.channel {
                        channel.send_to_leader(command);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Channel {
    fn send_to_leader(&mut self, command: Command) {
        if self.to_leader.len() < TO_LEADER {
            self.to_leader.push_back(command);
        } else {
            self.kept_back.push_back(command);
        }
    }

    fn say_returned(&mut self, number: Number) {
        self.said += 1;
        self.returns.push_back((self.said, number));
    }

    pub(super) fn has_more_to_say(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn has_said_something(&self) -> bool {
        !self.confirms.is_empty() || !self.returns.is_empty()
    }

    /// Says of one copy, or of several, what became of them.
    pub(super) fn say_next(&mut self, choices: &mut Choices, reached: &mut Reached) {
        let index = choices.index(self.pending.len());
        let Some((number, verdict)) = self.pending.iter().nth(index).map(|(n, v)| (*n, *v)) else {
            return;
        };
        let is_alike = self
            .pending
            .range(..=number)
            .all(|(_, other)| *other == verdict);
        let is_multiple = is_alike && verdict != Verdict::NackAndReturn && choices.chance(30);
        if index > 0 {
            reached.mark(if is_multiple {
                "confirmed many at once"
            } else {
                "confirmed out of order"
            });
        }
        let numbers = if is_multiple {
            self.pending = self.pending.split_off(&(number + 1));
            Numbers::UpTo(number)
        } else {
            self.pending.remove(&number);
            Numbers::One(number)
        };
        self.said += 1;
        let confirmation = match verdict {
            Verdict::Ack => Confirmation::Acked(numbers),
            Verdict::Nack | Verdict::NackAndReturn => Confirmation::Nacked(numbers),
        };
        self.confirms.push_back((self.said, confirmation));
        if verdict == Verdict::NackAndReturn {
            // Copies have the numbers of their deliveries.
            let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
            if let Some(returned) = self.delivered.get(index).copied() {
                self.say_returned(returned);
            }
        }
    }

    /// What is told next of copies. A return comes at the latest before the first confirmation that was said after it.
    pub(super) fn tell_next(
        &mut self,
        planned: &[Planned],
        choices: &mut Choices,
    ) -> Option<FromBroker> {
        let return_is_due = match (self.returns.front(), self.confirms.front()) {
            (Some((returned, _)), Some((confirmed, _))) => {
                returned < confirmed || choices.chance(50)
            }
            (Some(_), None) => true,
            (None, _) => false,
        };
        if return_is_due && let Some((_, number)) = self.returns.pop_front() {
            return Some(FromBroker::Returned {
                fingerprint: planned[number].fingerprint,
                reason: format!("{number} came back"),
            });
        }
        let (_, confirmation) = self.confirms.pop_front()?;
        if let Confirmation::Acked(numbers) = confirmation {
            match numbers {
                Numbers::One(tag) => {
                    self.told_confirmed.insert(tag);
                }
                Numbers::UpTo(tag) => self.told_confirmed.extend(1..=tag),
            }
        }
        Some(FromBroker::Confirmed(confirmation))
    }
}

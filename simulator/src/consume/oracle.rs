//! What must hold, as seen from outside of the core: by what was delivered, run, copied and settled in the model.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use amqp_tools::consume::run::{
    Action, ChildNumber, ConnectionId, Copy, DeliveryId, Event, FinalOutcome, FromBroker, Notice,
    Outcome, RunWork, Settlement, SubscriptionId, ToCommand,
};
use amqp_tools::consume::{Acknowledgement, DeliveryLimit, FailureAction as Policy};
use amqp_tools::status::Status;

use super::broker::Why;
use super::driver::is_multiple;
use super::limits::Limits;
use super::scenario::UNUSED;
use super::{Command, Disturbance, Simulation, Wire};
use crate::world::Failure;

/// The situations that the runs must come to.
pub(super) const MARKS: &[&str] = &[
    "a batch is split",
    "a batch starts before it is full",
    "a batch's output is refused",
    "a child answers nonsense",
    "a child answers several at once",
    "a child answers too often",
    "a child closes its answers",
    "a child ends with messages in its pipe",
    "a child had nothing to answer when it ended",
    "a child has messages out of their order",
    "a child works too long",
    "a close is not answered",
    "a connection is half open",
    "a queue delays a message",
    "made certain on the way",
    "too many have failed",
    "a failed message ends the run",
    "failures in a row end the run",
    "a start waits for the rate",
    "the time is over",
    "the time is over without a connection",
    "a command cannot be started while others run",
    "a command is killed",
    "a copy is confirmed when its delivery is lost",
    "a caller is gone",
    "a copy is refused",
    "a delivery comes between basic.cancel and its answer",
    "a message does not fit",
    "a line cannot be written",
    "a line is written whose delivery is lost",
    "a part is processed before a break",
    "a rejected message came back",
    "a signal after the end was decided",
    "a signal while basic.consume is not answered",
    "a signal while commands run",
    "a reply precedes the end of a message",
    "a signal while connecting",
    "an output is refused",
    "another worker has the role and is stuck",
    "an output is taken at another attempt",
    "an output is there twice",
    "an output is there when its acknowledgement is lost",
    "an output on its way when its delivery is lost",
    "held messages go back since the queue delivers none",
    "idle with messages not seen again",
    "in doubt and done",
    "in doubt and not done",
    "many are acknowledged at once",
    "many are given back at once",
    "messages are with a child when their connection is lost",
    "patience is lost",
    "proof by another basic.cancel",
    "signals end it",
    "subscribed anew",
    "the broker ends the connection by an error",
    "the broker takes deliveries back",
    "the channel keeps settlements back and drops them",
    "the queue for outputs is deleted",
    "the queue is deleted under a consumer",
    "the queue says that it is empty and is not",
    "two commands end when their connection is gone",
    "gone by an acknowledgement on arrival",
    "parked on arrival",
    "renewed on arrival",
];

/// A delivery that the core was told of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    connection: ConnectionId,
    arrived: Duration,
    /// How often the message had failed, by its header and the queue's count, and whether the broker only said that it had been
    /// delivered before.
    failures_before: u64,
    may_have_failed: bool,
    pub(super) is_running: bool,
    /// A child had it, and ended before it was begun.
    pub(super) was_not_begun: bool,
    /// How often its command ended.
    runs: u32,
    last: Option<Status>,
    /// The last run was told to end.
    was_told_to_end: bool,
    is_written: bool,
    is_copied: bool,
    /// What is, or was last, published for it.
    copy: Option<Copy>,
    /// What its command wrote was confirmed.
    is_result_confirmed: bool,
    /// There was nothing to publish, or nobody to publish it to.
    has_nothing_to_publish: bool,
    refusals: u32,
    is_settled: bool,
    settlement: Option<Settlement>,
    /// What was said to have become of it.
    outcome: Option<Outcome>,
    /// The job log has a line about it.
    is_logged: bool,
    is_forgotten: bool,
    is_copying: bool,
    /// The last copy was refused.
    is_refused: bool,
    /// The broker cancelled its consumer.
    may_be_taken_back: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    records: Vec<Record>,
    pub(super) unanswered_copies: Vec<DeliveryId>,
    pub(super) is_counting_unanswered: bool,
    pub(super) last_signal: Option<Duration>,
    /// How many messages were said to be lost, since they were acknowledged on arrival.
    losses_told: u64,
    /// Since when children work on what they work on.
    pub(super) working_since: BTreeMap<ChildNumber, Duration>,
    /// Children that worked too long: nothing that they say counts.
    pub(super) given_up: BTreeSet<ChildNumber>,
    pub(super) ended_commands: u64,
    logged: u64,
    /// Commands that succeeded while their delivery was theirs.
    successes: u64,
    /// Commands that failed for good while their delivery was theirs.
    failures: u64,
    dropped_results: u64,
    is_subscribing: bool,
    cancels_owed: u32,
    subscriptions_of_connection: u32,
    /// How many are in doubt, as was said, in all and of the present connection.
    doubts: u64,
    doubts_of_connection: u64,
    /// How many deliveries were settled on the present connection, and how many of them certainly.
    settled: u64,
    proven: u64,
    /// How many were settled when a subscription was cancelled, and whether the last cancel was to make them certain.
    settled_at_cancel: BTreeMap<SubscriptionId, u64>,
    is_proof_wanted: bool,
    /// Copies that were refused, and nothing said about it yet.
    unsaid: u64,
    /// Messages that went back because their copy was refused.
    held_to_the_end: u64,
    was_prefetch_one: bool,
    /// How often deliveries came back by no decision of the tool.
    breaks: u64,
    pub(super) has_trouble: bool,
    pub(super) limits: Limits,
}

impl Oracle {
    pub(super) fn record(&mut self, id: DeliveryId) -> Option<&mut Record> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.records.get_mut(index)
    }
}

impl Simulation<'_> {
    /// What the core is about to hear.
    pub(super) fn note_event(&mut self, event: &Event) {
        match event {
            Event::Broker(_, event) => self.note_broker(event),
            Event::CannotStart { id, .. } => {
                self.oracle.has_trouble = true;
                self.oracle.limits.note_other_end();
                for id in self.batch(*id) {
                    self.oracle.ended_commands += 1;
                    if let Some(record) = self.oracle.record(id) {
                        record.is_running = false;
                    }
                }
            }
            Event::ChildCannotStart { child, .. } => self.note_child_cannot_start(*child),
            Event::Written(last) => self.note_written(*last),
            Event::CannotWrite(_) => {
                self.oracle.has_trouble = true;
                self.oracle.limits.note_other_end();
            }
            Event::Copied(id, result) => {
                let is_lost = self.is_lost(*id);
                if result.is_err() {
                    self.oracle.has_trouble = true;
                }
                let copy = self.oracle.record(*id).and_then(|record| record.copy);
                let ids = copy.map_or_else(Vec::new, |copy| self.published_with(*id, copy));
                if result.is_err() && ids.len() > 1 {
                    self.reached.mark("a batch's output is refused");
                }
                for each in ids {
                    self.note_copied(each, result.is_ok(), is_lost);
                }
                // One notice tells of all.
                self.oracle.unsaid = self.oracle.unsaid.min(1);
                if is_lost && result.is_ok() {
                    self.reached
                        .mark("a copy is confirmed when its delivery is lost");
                }
            }
            Event::Tick
            | Event::Signal(_)
            | Event::CommandEnded { .. }
            | Event::Answered(..)
            | Event::AnswersClosed(_)
            | Event::ChildEnded { .. }
            | Event::CountsDeliveries(_) => {}
        }
    }

    fn note_copied(&mut self, id: DeliveryId, is_ok: bool, is_lost: bool) {
        let Some(record) = self.oracle.record(id) else {
            return;
        };
        record.is_copied = is_ok;
        record.is_copying = false;
        record.is_refused = !is_ok;
        let is_told = !is_lost && !is_ok && !record.is_forgotten;
        let copy = record.copy;
        self.oracle.unsaid += u64::from(is_told);
        let Some(record) = self.oracle.record(id) else {
            return;
        };
        if !copy.is_some_and(Copy::is_result) {
            return;
        }
        record.is_result_confirmed = is_ok;
        record.refusals += u32::from(!is_ok);
        let refusals = record.refusals;
        if copy != Some(Copy::Output) || is_lost {
            return;
        }
        match (is_ok, refusals) {
            (true, 0) => self.oracle.successes += 1,
            (true, _) => self.reached.mark("an output is taken at another attempt"),
            (false, 1) => {
                self.oracle.failures += 1;
                self.reached.mark("an output is refused");
            }
            (false, _) => {}
        }
    }

    pub(super) fn note_nothing_to_publish(&mut self, id: DeliveryId) {
        for id in self.batch(id) {
            if let Some(record) = self.oracle.record(id) {
                record.has_nothing_to_publish = true;
            }
        }
    }

    fn mark_lost_outputs(&mut self) {
        let connection = self.connection;
        let of_output = |(_, record): &(usize, &Record)| {
            record.connection == connection && record.copy == Some(Copy::Output)
        };
        let records = self.oracle.records.iter().enumerate().filter(of_output);
        for (index, record) in records {
            let message = self.broker.message_of(index as DeliveryId + 1);
            let is_there = self.broker.messages[message].gone.is_none();
            if record.is_copying {
                self.reached
                    .mark("an output on its way when its delivery is lost");
            } else if record.is_result_confirmed && record.is_settled && is_there {
                self.reached
                    .mark("an output is there when its acknowledgement is lost");
            }
        }
    }

    fn note_broker(&mut self, event: &FromBroker) {
        match event {
            FromBroker::Delivered(id, info) => {
                // Those that never came are records of nothing.
                while (self.oracle.records.len() as DeliveryId) < *id - 1 {
                    self.oracle.records.push(Record {
                        is_forgotten: true,
                        ..Record::default()
                    });
                }
                self.oracle.records.push(Record {
                    connection: self.connection,
                    arrived: self.now,
                    failures_before: info.attempts.unwrap_or(0) + info.delivery_count.unwrap_or(0),
                    may_have_failed: info.redelivered && info.delivery_count.is_none(),
                    ..Record::default()
                });
                if self.oracle.cancels_owed > 0 {
                    self.reached
                        .mark("a delivery comes between basic.cancel and its answer");
                }
            }
            FromBroker::Subscribed(_) => self.oracle.is_subscribing = false,
            FromBroker::Unsubscribed(subscription) => {
                self.oracle.cancels_owed = self.oracle.cancels_owed.saturating_sub(1);
                let settled = self.oracle.settled_at_cancel.remove(subscription);
                self.oracle.proven = self.oracle.proven.max(settled.unwrap_or(0));
            }
            FromBroker::Lost(_) => {
                self.oracle.limits.note_other_end();
                self.mark_lost_outputs();
                self.oracle.breaks += 1;
                self.oracle.has_trouble = true;
                self.oracle.is_subscribing = false;
                self.oracle.cancels_owed = 0;
            }
            FromBroker::Closed => {
                self.oracle.is_subscribing = false;
                self.oracle.cancels_owed = 0;
            }
            FromBroker::CancelledByBroker(subscription) => {
                self.oracle.limits.note_other_end();
                self.oracle.breaks += 1;
                // The answer to a cancel of a consumer that is not there proves nothing.
                self.oracle.settled_at_cancel.remove(subscription);
                self.oracle.has_trouble = true;
                self.oracle.is_subscribing = false;
                for record in &mut self.oracle.records {
                    record.may_be_taken_back = true;
                }
            }
            FromBroker::Connected { .. } => {
                self.oracle.subscriptions_of_connection = 0;
                self.oracle.doubts_of_connection = 0;
                self.oracle.settled = 0;
                self.oracle.proven = 0;
                self.oracle.settled_at_cancel.clear();
                self.oracle.is_proof_wanted = false;
            }
            FromBroker::Ready(_) => {}
        }
    }

    fn note_written(&mut self, last: DeliveryId) {
        let mut any_is_lost = false;
        let (connection, wire) = (self.connection, self.wire);
        let count = usize::try_from(last).unwrap_or(0);
        for record in self.oracle.records.iter_mut().take(count) {
            if record.is_running {
                record.is_running = false;
                record.is_written = true;
                let is_live = record.connection == connection && wire == Wire::Open;
                any_is_lost |= !is_live;
                self.oracle.successes += u64::from(is_live);
            }
        }
        if any_is_lost {
            self.reached
                .mark("a line is written whose delivery is lost");
        }
    }

    /// Whether the delivery's connection is gone, as far as the driver knows.
    pub(super) fn is_lost(&mut self, id: DeliveryId) -> bool {
        let (connection, wire) = (self.connection, self.wire);
        self.oracle
            .record(id)
            .is_some_and(|record| record.connection != connection || wire != Wire::Open)
    }

    /// A command has ended.
    pub(super) fn note_end(&mut self, id: DeliveryId, command: &Command, status: Status) {
        let is_lost = self.is_lost(id);
        let retries = self.scenario.retries();
        self.oracle.ended_commands += 1;
        let is_split = !status.is_success() && self.is_split(id);
        let Some(record) = self.oracle.record(id) else {
            return;
        };
        record.is_running = false;
        record.runs += 1;
        record.last = Some(status);
        record.was_told_to_end = command.is_told_to_end;
        let runs = record.runs;
        if is_split && runs > retries {
            self.reached.mark("a batch is split");
        }
        // Nothing runs again when the time of the run is over, or what cannot be framed.
        let is_final = (runs > retries && !is_split)
            || self.scenario.is_time_over(self.now)
            || (self.scenario.frames() && self.is_unfit(id));
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        if command.is_told_to_end || on_arrival || self.scenario.is_time_over(self.now) {
            self.oracle.limits.note_other_end();
        } else if !is_lost && (is_final || status.is_success()) {
            let policy = &self.scenario.options.failure;
            self.oracle.limits.note_result(status, policy, self.reached);
        }
        if is_lost {
            self.oracle.dropped_results += 1;
            if self.oracle.dropped_results > 1 {
                self.reached
                    .mark("two commands end when their connection is gone");
            }
        } else if status.is_success() {
            // Where it is published, the output comes first.
            self.oracle.successes += u64::from(!command.is_told_to_end && !self.publishes());
        } else if is_final && !command.is_told_to_end {
            self.oracle.failures += 1;
        }
        if !status.is_success() || command.is_told_to_end {
            self.oracle.has_trouble = true;
        }
    }

    pub(super) fn mark_signal(&mut self) {
        self.oracle.has_trouble = true;
        self.oracle.limits.note_other_end();
        if self.wire == Wire::Connecting {
            self.reached.mark("a signal while connecting");
        }
        if self.oracle.is_subscribing {
            self.reached
                .mark("a signal while basic.consume is not answered");
        }
        if self.wire == Wire::Closing {
            self.reached.mark("a signal after the end was decided");
        }
        if !self.commands.is_empty() {
            self.reached.mark("a signal while commands run");
        }
    }

    /// What the core wants done. For a settlement, the deliveries that it covers and why.
    pub(super) fn judge_action(
        &mut self,
        action: &Action,
    ) -> Result<Option<Vec<(DeliveryId, Why)>>, Failure> {
        if let Some(id) = named(action) {
            self.judge_name(id, action)?;
        }
        match action {
            Action::Connect(..) => self.judge_connect()?,
            Action::Subscribe(_) | Action::Unsubscribe(_) | Action::CountReady => {
                self.judge_question(action)?;
            }
            Action::Prefetch(prefetch) => self.oracle.was_prefetch_one = *prefetch == 1,
            Action::Settle(id, settlement) => {
                return self.judge_settlement(*id, *settlement).map(Some);
            }
            Action::Close if self.wire != Wire::Open => {
                return Err(failure("only a connection is closed", action));
            }
            Action::Abandon => {
                self.oracle.breaks += 1;
                self.oracle.is_subscribing = false;
                self.oracle.cancels_owed = 0;
                let patience = std::time::Duration::from_secs(5);
                if self
                    .oracle
                    .last_signal
                    .is_some_and(|signal| self.now >= signal + patience)
                {
                    self.reached.mark("patience is lost");
                }
            }
            Action::Start { id, attempt } => {
                self.judge_start(*id)?;
                self.judge_count(*id, *attempt, true)?;
            }
            Action::StartBatch(ids) => self.judge_start_of_batch(ids)?,
            Action::Signal(id, signal) => self.judge_signal(*id, *signal)?,
            Action::Copy(id, copy) => {
                for id in self.published_with(*id, *copy) {
                    self.judge_copy(id, *copy)?;
                }
            }
            Action::Log(id, status, _) => {
                self.note_log(*id);
                self.note_unfit(*id, *status);
            }
            Action::StartChild(_) => self.judge_child_start()?,
            Action::Feed(child, id) => self.judge_feed(*child, *id)?,
            Action::Begin(id) => self.note_begin(*id),
            Action::SignalChild(child, signal) => self.judge_child_signal(*child, *signal)?,
            Action::Conclude(id, outcome) => self.judge_outcome(*id, *outcome)?,
            Action::Forget(id) => self.judge_forget(*id)?,
            Action::Say(notice) => self.note_notice(notice)?,
            Action::Close
            | Action::CloseInput(_)
            | Action::StopWriting
            | Action::AskWhetherDeliveriesAreCounted => {}
        }
        Ok(None)
    }

    /// No delivery is named that was forgotten.
    fn judge_name(&mut self, id: DeliveryId, action: &Action) -> Result<(), Failure> {
        match self.oracle.record(id) {
            Some(record) if !record.is_forgotten => Ok(()),
            _ => Err(failure("a forgotten delivery is never named", action)),
        }
    }

    fn judge_connect(&mut self) -> Result<(), Failure> {
        self.oracle.is_subscribing = false;
        self.oracle.cancels_owed = 0;
        if self.signals > 0 {
            return Err(Failure::of("no connection is made after a signal", ""));
        }
        if self.wire == Wire::None {
            return Ok(());
        }
        Err(Failure::of(
            "there is one connection at a time",
            format!("{:?}", self.wire),
        ))
    }

    fn judge_question(&mut self, action: &Action) -> Result<(), Failure> {
        if self.wire != Wire::Open {
            return Err(failure("only an open connection is asked", action));
        }
        if self.oracle.is_subscribing {
            return Err(failure(
                "nothing follows basic.consume before its answer",
                action,
            ));
        }
        match action {
            Action::Subscribe(_) => {
                self.oracle.is_subscribing = true;
                self.oracle.subscriptions_of_connection += 1;
                if self.oracle.subscriptions_of_connection > 1 {
                    self.reached.mark("subscribed anew");
                }
                if self.oracle.was_prefetch_one {
                    self.reached.mark("proof by another basic.cancel");
                } else if self.oracle.is_proof_wanted {
                    self.reached.mark("made certain on the way");
                }
            }
            Action::Unsubscribe(subscription) => {
                self.oracle.cancels_owed += 1;
                let options = &self.scenario.options;
                let unproven = self.oracle.settled - self.oracle.proven;
                self.oracle.is_proof_wanted = options.limit.is_some()
                    && options.reconnect
                    && unproven >= options.certain_every;
                let settled = self.oracle.settled;
                self.oracle.settled_at_cancel.insert(*subscription, settled);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn judge_start(&mut self, id: DeliveryId) -> Result<(), Failure> {
        self.judge_command()?;
        self.judge_work(id)
    }

    /// A batch has no more messages than it may, and only such that fit. One that is not full has waited.
    fn judge_start_of_batch(&mut self, ids: &[DeliveryId]) -> Result<(), Failure> {
        let wrong = |what: &str| {
            Failure::of(
                "a batch has the messages that it may have",
                format!("{ids:?}: {what}"),
            )
        };
        let Some(batch) = self.scenario.batch() else {
            return Err(wrong("none is asked for"));
        };
        if ids.is_empty() || ids.len() > usize::from(batch.size.get()) {
            return Err(wrong("too many, or none"));
        }
        if ids.windows(2).any(|two| two[0] >= two[1]) {
            return Err(wrong("out of their order"));
        }
        if ids.iter().any(|id| self.is_unfit(*id)) {
            return Err(wrong("one does not fit"));
        }
        self.judge_command()?;
        for id in ids {
            self.judge_name(*id, &Action::StartBatch(ids.to_vec()))?;
            self.judge_work(*id)?;
        }
        let first = ids.first().and_then(|id| self.oracle.record(*id).copied());
        let is_short = ids.len() < usize::from(batch.size.get());
        if let Some(first) = first.filter(|first| is_short && first.runs == 0) {
            self.reached.mark("a batch starts before it is full");
            let has_waited = first.arrived + batch.wait <= self.now;
            if !has_waited && self.scenario.options.limit.is_none() {
                return Err(wrong("it is not full and has not waited"));
            }
        }
        Ok(())
    }

    /// Whether it is in a batch that is run again in halves when it fails.
    fn is_split(&self, id: DeliveryId) -> bool {
        let has_it = |ids: &&Vec<DeliveryId>| ids.contains(&id);
        let size = self.batches.values().rfind(has_it).map_or(1, Vec::len);
        size > 1 && self.scenario.batch().is_some_and(|batch| batch.splits)
    }

    fn judge_command(&mut self) -> Result<(), Failure> {
        let jobs = self.scenario.jobs();
        let is_command = self.scenario.options.work != RunWork::Print;
        if self.signals > 0 {
            return Err(Failure::of("nothing is started after a signal", ""));
        }
        if self.scenario.options.limit == Some(0) {
            return Err(Failure::of(
                "nothing is started where none is asked for",
                "",
            ));
        }
        if is_command && self.commands.len() >= jobs {
            return Err(Failure::of("no more commands run than there are jobs", ""));
        }
        self.oracle
            .limits
            .judge_start(&self.scenario.options, self.now, self.reached)
    }

    fn judge_work(&mut self, id: DeliveryId) -> Result<(), Failure> {
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        let is_settled = self
            .oracle
            .record(id)
            .is_some_and(|record| record.is_settled);
        if self.is_lost(id) && !(on_arrival && is_settled) {
            return Err(Failure::of("no command runs for a lost delivery", ""));
        }
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        if record.is_running || record.is_copying || (record.is_settled && !on_arrival) {
            return Err(Failure::of(
                "a message is worked on once at a time, before it is settled",
                format!("{record:?}"),
            ));
        }
        record.is_running = true;
        Ok(())
    }

    fn judge_signal(&mut self, id: DeliveryId, signal: ToCommand) -> Result<(), Failure> {
        let is_running = self
            .oracle
            .record(id)
            .is_some_and(|record| record.is_running);
        if is_running {
            return Ok(());
        }
        Err(Failure::of(
            "a signal goes to a command that runs",
            format!("{id} {signal:?}"),
        ))
    }

    /// Whether what commands wrote is published.
    fn publishes(&self) -> bool {
        self.scenario.options.publishes_output || self.scenario.options.replies
    }

    /// An output is of a command that succeeded, a reply of a message that leaves the queue, and comes before it leaves.
    fn judge_result(&mut self, id: DeliveryId, copy: Copy) -> Result<(), Failure> {
        let replies = self.scenario.options.replies;
        let publishes = self.publishes();
        let failure = &self.scenario.options.failure;
        let may_reject = failure.max_attempts.is_some() && failure.park.is_none();
        let Some(record) = self.oracle.record(id).copied() else {
            return Ok(());
        };
        let holds = match copy {
            Copy::Output => publishes && record.last == Some(Status::SUCCESS),
            Copy::Reply(status, outcome) => {
                let is_its = match record.last {
                    Some(last) => last == status || record.was_told_to_end,
                    None => matches!(outcome, FinalOutcome::Parked(_, None)),
                };
                let is_policy = match (self.scenario.action_for(status), outcome) {
                    (_, FinalOutcome::Parked(_, None))
                    | (Policy::Reject, FinalOutcome::Rejected)
                    | (Policy::Ack, FinalOutcome::Ignored)
                    | (Policy::Requeue | Policy::Stop | Policy::Park, FinalOutcome::Parked(..)) => {
                        true
                    }
                    (Policy::Requeue | Policy::Stop, FinalOutcome::Rejected) => may_reject,
                    _ => false,
                };
                replies && is_its && is_policy
            }
            Copy::Park(..) => !replies || record.is_result_confirmed,
            Copy::Attempt(_) | Copy::Renew(_) => !record.is_result_confirmed,
        };
        if matches!(copy, Copy::Park(..)) && replies {
            self.reached.mark("a reply precedes the end of a message");
        }
        if holds {
            return Ok(());
        }
        Err(Failure::of(
            "what a command wrote is published as its end asks for",
            format!("{id} {copy:?} {record:?}"),
        ))
    }

    fn judge_copy(&mut self, id: DeliveryId, copy: Copy) -> Result<(), Failure> {
        self.judge_result(id, copy)?;
        let message = &self.broker.messages[self.broker.message_of(id)];
        let (counted, attempts) = (message.count, message.attempts.unwrap_or(0));
        let is_untried = matches!(copy, Copy::Park(_, None));
        let limit = self.scenario.options.failure.max_attempts;
        let most = limit.map_or(u64::MAX, NonZeroU64::get);
        let is_asked_for = matches!(copy, Copy::Park(_, Some(status)) if self.scenario.action_for(status) == Policy::Park);
        if let Copy::Park(failures, _) = copy
            && ((failures < most && !is_asked_for)
                || failures > counted + attempts + 1 + u64::from(counted == 0))
        {
            return Err(Failure::of(
                "a message is parked when it has failed as often as it may",
                format!("{failures} of {most}, {counted} counted"),
            ));
        }
        if is_untried && counted + attempts < most {
            return Err(Failure::of(
                "an untried message is parked when it has failed as often as it may",
                format!("{counted} counted and {attempts} of {most}"),
            ));
        }
        match copy {
            Copy::Attempt(failures) => {
                self.judge_count(id, failures, false)?;
            }
            Copy::Renew(Some(failures)) => self.judge_count(id, failures + 1, false)?,
            _ => {}
        }
        let is_running = self
            .oracle
            .record(id)
            .is_some_and(|record| record.is_running);
        if is_running || self.is_lost(id) {
            return Err(Failure::of("a copy is of a message that is ours", ""));
        }
        if let Some(record) = self.oracle.record(id) {
            if record.is_copying {
                return Err(Failure::of("one copy is made at a time", ""));
            }
            record.is_copying = true;
            record.is_copied = false;
            record.is_refused = false;
            record.copy = Some(copy);
        }
        Ok(())
    }

    /// How often a message was tried, this time included, as the core says it when it starts a command or makes a copy.
    fn judge_count(&mut self, id: DeliveryId, said: u64, is_start: bool) -> Result<(), Failure> {
        let Some(record) = self.oracle.record(id).copied() else {
            return Ok(());
        };
        let runs = if is_start { record.runs } else { 0 };
        let least = record.failures_before + u64::from(runs) + 1;
        // As long as it is not known whether the queue counts, an earlier delivery is taken for a failure.
        let is_unknown = is_start || !self.scenario.broker.tells_counting;
        let is_guessed = is_unknown && record.may_have_failed;
        if (least..=least + u64::from(is_guessed)).contains(&said) {
            return Ok(());
        }
        Err(Failure::of(
            "every attempt is counted once",
            format!("{said}, not {least}"),
        ))
    }

    fn note_log(&mut self, id: DeliveryId) {
        self.oracle.logged += 1;
        if let Some(record) = self.oracle.record(id) {
            record.is_logged = true;
        }
    }

    /// What is said to have become of a message is what was done with it, and is said once.
    fn judge_outcome(&mut self, id: DeliveryId, outcome: Outcome) -> Result<(), Failure> {
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        let prints = self.scenario.options.work == RunWork::Print;
        let limit = self.scenario.options.failure.max_attempts;
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        let earlier = record.outcome.replace(outcome);
        let record = *record;
        let has_succeeded = record.is_written || record.last == Some(Status::SUCCESS);
        let copy = record.copy.filter(|_| record.is_copied);
        let is_true = match (outcome, record.settlement) {
            (Outcome::Succeeded, Some(Settlement::Ack | Settlement::AckUpTo)) => has_succeeded,
            (Outcome::Requeued, Some(Settlement::Requeue | Settlement::Return)) => true,
            (Outcome::Requeued, Some(Settlement::Ack)) => matches!(copy, Some(Copy::Attempt(_))),
            (Outcome::Rejected, settlement) => settlement == Some(Settlement::Reject),
            (Outcome::Parked, Some(Settlement::Ack)) => matches!(copy, Some(Copy::Park(..))),
            (Outcome::Ignored, Some(Settlement::AckUpTo)) => on_arrival,
            (Outcome::Ignored, Some(Settlement::Ack)) => {
                on_arrival || !has_succeeded || record.was_told_to_end
            }
            _ => false,
        };
        // What was acknowledged on arrival is lost when the run ends before its line is written, or before a child begins it.
        let is_lost = on_arrival && outcome == Outcome::Ignored && (prints || !record.is_running);
        let was_worked_on = record.is_logged || record.is_written || is_lost;
        // A message that comes with all its attempts used up is parked without a run, or given back where that is refused.
        let is_used_up = limit.is_some_and(|limit| record.failures_before >= limit.get());
        let is_untried_end = is_used_up && matches!(outcome, Outcome::Parked | Outcome::Requeued);
        let is_due = was_worked_on || is_untried_end;
        if earlier.is_none() && record.is_settled && is_due && is_true {
            return Ok(());
        }
        Err(Failure::of(
            "what became of a message is said once, and as it was settled",
            format!("{id} {outcome:?} {earlier:?} {record:?}"),
        ))
    }

    /// The outcome of a message that was worked on and settled is said, unless the broker may deliver the message again.
    fn judge_silence(&mut self, id: DeliveryId) -> Result<(), Failure> {
        let is_lost = self.is_lost(id);
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        let was_worked_on = record.is_logged || record.is_written;
        let is_due = was_worked_on && record.is_settled && !is_lost && !record.may_be_taken_back;
        if !is_due || record.outcome.is_some() {
            return Ok(());
        }
        Err(Failure::of(
            "what becomes of a message that was worked on is said",
            format!("{id} {record:?}"),
        ))
    }

    fn judge_forget(&mut self, id: DeliveryId) -> Result<(), Failure> {
        self.judge_silence(id)?;
        let prints = self.scenario.options.work == RunWork::Print;
        if let Some(record) = self.oracle.record(id) {
            record.is_forgotten = true;
            if record.is_running && !prints {
                return Err(Failure::of("a running command is not forgotten", ""));
            }
            record.is_running = false;
        }
        let is_open = self.broker.channel.is_some();
        let is_kept = |record: &mut Record| !record.is_settled && !record.may_be_taken_back;
        if !self.is_lost(id) && is_open && self.oracle.record(id).is_some_and(is_kept) {
            return Err(Failure::of(
                "a delivery is settled before it is forgotten",
                format!("{id}"),
            ));
        }
        Ok(())
    }

    /// The deliveries that a settlement covers, and for what reason each is acknowledged.
    fn judge_settlement(
        &mut self,
        id: DeliveryId,
        settlement: Settlement,
    ) -> Result<Vec<(DeliveryId, Why)>, Failure> {
        if self.wire != Wire::Open {
            return Err(Failure::of(
                "only an open connection is told",
                format!("{id}"),
            ));
        }
        let first = if is_multiple(settlement) { 1 } else { id };
        let mut covered = Vec::new();
        for each in first..=id {
            let connection = self.connection;
            let Some(record) = self.oracle.record(each).copied() else {
                continue;
            };
            let is_ours = record.connection == connection;
            if each != id && (!is_ours || record.is_settled) {
                continue;
            }
            if !is_ours || record.is_settled {
                return Err(Failure::of(
                    "a delivery is settled once, on its own channel",
                    format!("{each}"),
                ));
            }
            covered.push((each, self.judge_one(each, record, settlement)?));
            if let Some(record) = self.oracle.record(each) {
                record.is_settled = true;
                record.settlement = Some(settlement);
            }
            let goes_back = !matches!(
                settlement,
                Settlement::Ack | Settlement::AckUpTo | Settlement::Reject
            );
            self.oracle.held_to_the_end += u64::from(goes_back && record.is_refused);
        }
        self.oracle.settled += covered.len() as u64;
        if covered.len() > 1 {
            self.reached.mark(if settlement == Settlement::AckUpTo {
                "many are acknowledged at once"
            } else {
                "many are given back at once"
            });
        }
        Ok(covered)
    }

    fn judge_one(
        &self,
        id: DeliveryId,
        record: Record,
        settlement: Settlement,
    ) -> Result<Why, Failure> {
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        let prints = self.scenario.options.work == RunWork::Print;
        // One that was told to end may have run too long.
        let timed_out = record.was_told_to_end.then_some(Status::TIMED_OUT);
        let is_policy = |policy: Policy| {
            let statuses = record.last.into_iter().chain(timed_out);
            statuses
                .map(|status| self.scenario.action_for(status))
                .any(|action| action == policy)
        };
        let replies = self.scenario.options.replies;
        let is_result = record.copy.is_some_and(Copy::is_result);
        let refused = |property| {
            Err(Failure::of(
                property,
                format!("{id} {settlement:?} {record:?}"),
            ))
        };
        if record.is_running && !prints {
            return refused("a command has ended before its message is settled");
        }
        match settlement {
            Settlement::Ack | Settlement::AckUpTo if on_arrival => Ok(Why::OnArrival),
            Settlement::Ack | Settlement::AckUpTo if record.is_copied && !is_result => {
                Ok(Why::Copied)
            }
            Settlement::Ack | Settlement::AckUpTo if record.is_written => Ok(Why::Succeeded),
            Settlement::Ack | Settlement::AckUpTo
                if record.last == Some(Status::SUCCESS)
                    && (!self.publishes() || self.is_output_there(id, record)) =>
            {
                Ok(Why::Succeeded)
            }
            Settlement::Ack | Settlement::AckUpTo
                if record.last == Some(Status::SUCCESS) && !record.was_told_to_end =>
            {
                refused("an input is acknowledged when its output is there")
            }
            Settlement::Ack | Settlement::AckUpTo | Settlement::Reject
                if replies && !record.is_result_confirmed =>
            {
                refused("a message that failed leaves the queue after the reply")
            }
            Settlement::Ack | Settlement::AckUpTo if is_policy(Policy::Ack) => Ok(Why::ByPolicy),
            Settlement::Ack | Settlement::AckUpTo => refused("an acknowledgement has its reason"),
            Settlement::Reject => {
                let failure = &self.scenario.options.failure;
                let may_be_last = failure.max_attempts.is_some() && failure.park.is_none();
                let is_requeued = is_policy(Policy::Requeue) || is_policy(Policy::Stop);
                if is_policy(Policy::Reject) || (may_be_last && is_requeued) {
                    Ok(Why::Rejected)
                } else {
                    refused("a rejection has its reason")
                }
            }
            Settlement::Requeue if record.was_not_begun && record.runs == 0 => {
                refused("a message is given back as failed if it was tried")
            }
            Settlement::Requeue | Settlement::Return | Settlement::ReturnUpTo => {
                let is_done = record.is_written
                    || (record.last == Some(Status::SUCCESS) && !record.was_told_to_end);
                let is_output_missing = self.publishes() && !record.is_result_confirmed;
                if is_done && !is_output_missing {
                    return refused("what is done is not given back");
                }
                Ok(Why::Copied)
            }
        }
    }

    fn is_output_there(&self, id: DeliveryId, record: Record) -> bool {
        let original = self.broker.messages[self.broker.message_of(id)].original;
        let is_there = self.broker.outputs.contains(&original);
        record.is_result_confirmed && (is_there || record.has_nothing_to_publish)
    }

    fn note_notice(&mut self, notice: &Notice) -> Result<(), Failure> {
        let mark = match notice {
            Notice::InDoubt(count) => {
                self.oracle.doubts += count;
                self.oracle.doubts_of_connection += count;
                if self.oracle.doubts_of_connection > self.oracle.settled - self.oracle.proven {
                    return Err(Failure::of(
                        "only what is not certain is said to be in doubt",
                        format!("{count}"),
                    ));
                }
                let done = self.broker.count_gone(Why::Succeeded);
                if done >= self.oracle.successes {
                    "in doubt and done"
                } else {
                    "in doubt and not done"
                }
            }
            Notice::RejectedCameBack => "a rejected message came back",
            Notice::GivingBackHeld => "held messages go back since the queue delivers none",
            Notice::NotSeenAgain(_) => "idle with messages not seen again",
            Notice::LostUnacknowledged => {
                self.oracle.losses_told += 1;
                "gone by an acknowledgement on arrival"
            }
            Notice::ParkedOnArrival(_) => "parked on arrival",
            Notice::Renewing(..) => "renewed on arrival",
            Notice::AnswersDropped(_) => "messages are with a child when their connection is lost",
            Notice::ChildEnded(..) => "a child had nothing to answer when it ended",
            Notice::DoesNotFit => "a message does not fit",
            Notice::TooManyFailed => {
                self.oracle.limits.note_other_end();
                "too many have failed"
            }
            Notice::CopyRefused(_) | Notice::OutputRefused(_) => {
                self.oracle.unsaid = self.oracle.unsaid.saturating_sub(1);
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.reached.mark(mark);
        Ok(())
    }

    /// What must hold after each event.
    pub(super) fn judge_state(&mut self) -> Result<(), Failure> {
        let any_runs = !self.commands.is_empty() || !self.children.is_empty();
        if self.run.ended().is_some() && any_runs {
            return Err(Failure::of("it ends when its commands have", ""));
        }
        if self.oracle.unsaid > 0 {
            return Err(Failure::of("a message that is held is told", ""));
        }
        Ok(())
    }

    /// What must hold at the end.
    pub(super) fn judge_end(&mut self) -> Result<(), Failure> {
        let Some(ended) = self.run.ended() else {
            return Ok(());
        };
        self.transcript.line(|| format!("{ended:?}"));
        if self.signals > 0 {
            self.reached.mark("signals end it");
        }
        // What the driver leaves behind ends with the process.
        if self.wire != Wire::None {
            return Err(Failure::of("it ends without a connection", ""));
        }
        let kept = self.oracle.records.iter().position(|one| !one.is_forgotten);
        if let Some(index) = kept {
            return Err(Failure::of(
                "every delivery is forgotten",
                format!("{}", index + 1),
            ));
        }
        let is_command = self.scenario.options.work != RunWork::Print;
        if is_command && self.oracle.logged != self.oracle.ended_commands {
            return Err(Failure::of(
                "every end of a command is logged once",
                format!("{} of {}", self.oracle.logged, self.oracle.ended_commands),
            ));
        }
        self.judge_drops()?;
        let lost = self.lost_on_arrival();
        let told = self.oracle.losses_told + self.oracle.doubts;
        if told < lost {
            return Err(Failure::of(
                "a message that is lost by its acknowledgement on arrival is told, or is in doubt",
                format!("{told} of {lost}"),
            ));
        }
        if self.oracle.doubts < self.broker.lost_settlements {
            return Err(Failure::of(
                "what is in doubt is told",
                format!("{} of {}", self.oracle.doubts, self.broker.lost_settlements),
            ));
        }
        let mut outputs = self.broker.outputs.clone();
        outputs.sort_unstable();
        if outputs.windows(2).any(|two| two[0] == two[1]) {
            self.reached.mark("an output is there twice");
        }
        if ended
            .as_ref()
            .is_err_and(|reason| reason.starts_with("--max-time"))
        {
            self.reached.mark("the time is over without a connection");
            if !self.scenario.is_time_over(self.now) || self.wire != Wire::None {
                return Err(Failure::of("the time is over when the tool says so", ""));
            }
            self.oracle.has_trouble = true;
        } else if self.scenario.is_time_over(self.now) {
            self.reached.mark("the time is over");
        }
        let error_status = self.scenario.options.error_status;
        let status = ended.unwrap_or(error_status);
        self.oracle.limits.judge_status(status)?;
        self.judge_status(status)
    }

    /// Another worker has had the role of the single active consumer for long: a message that failed must not be held here.
    pub(super) fn judge_held_beside_rival(&mut self) -> Result<(), Failure> {
        let is_listening = self.wire == Wire::Open && !self.is_stuck && self.run.ended().is_none();
        if !is_listening || !self.broker.is_rival_active || self.broker.ready() == 0 {
            return Ok(());
        }
        self.reached
            .mark("another worker has the role and is stuck");
        // What cannot be published or copied is held for another reason.
        let is_held = |(index, record): (usize, &Record)| {
            let message = self.broker.message_of(index as DeliveryId + 1);
            let has_failed = record.runs > 0 && record.last != Some(Status::SUCCESS);
            let is_busy = record.is_running || record.is_copying || record.is_refused;
            let is_kept = !record.is_settled && !record.is_forgotten;
            let can_go_back = self.broker.messages[message].can_be_copied;
            has_failed && is_kept && !is_busy && can_go_back
        };
        match self.oracle.records.iter().enumerate().position(is_held) {
            None => Ok(()),
            Some(index) => Err(Failure::of(
                "a failed message goes back where another worker has the role",
                format!("{}", index + 1),
            )),
        }
    }

    /// A run that knows the queue's delivery limit lets the broker drop nothing.
    fn judge_drops(&mut self) -> Result<(), Failure> {
        let kind = self.scenario.broker;
        let Some(limit) = kind.limit else {
            return Ok(());
        };
        let is_known = match self.scenario.options.failure.delivery_limit {
            DeliveryLimit::Default => kind.tells_limit,
            DeliveryLimit::Off => false,
            DeliveryLimit::Of(told) => told.get() <= limit,
        };
        let dropped = self.broker.count_gone(Why::Dropped);
        if is_known && !kind.counts_nacks && self.oracle.breaks == 0 && dropped > 0 {
            return Err(Failure::of(
                "the broker drops nothing where its limit is known",
                format!("{dropped}"),
            ));
        }
        Ok(())
    }

    fn judge_status(&mut self, status: Status) -> Result<(), Failure> {
        let options = &self.scenario.options;
        let on_arrival = options.acknowledgement == Acknowledgement::OnArrival;
        let done = if on_arrival {
            self.done_on_arrival()
        } else {
            self.broker.count_gone(Why::Succeeded)
        };
        let left = self.broker.in_queue();
        let handled = self.oracle.successes + self.oracle.failures;
        if status == UNUSED && handled > 0 {
            return Err(Failure::of(
                "the status for no message is that of no message",
                format!("{handled} were handled"),
            ));
        }
        let is_excused = self.oracle.has_trouble || self.oracle.failures > 0;
        if !status.is_success() {
            if status == UNUSED || is_excused || self.was_disturbed() {
                return Ok(());
            }
            return Err(Failure::of(
                "a failure has its reason",
                format!("status {}", status.code()),
            ));
        }
        let has_end = options.idle_timeout.is_some() || options.max_time.is_some();
        if options.limit.is_none() && !has_end {
            return Err(Failure::of("a run without an end does not succeed", ""));
        }
        if options.limit.is_some() && self.oracle.failures > 0 {
            return Err(Failure::of(
                "with a count, success is that every command succeeded",
                format!("{} failed", self.oracle.failures),
            ));
        }
        if self.oracle.held_to_the_end > 0 {
            return Err(Failure::of(
                "a message that is held to the end makes it no success",
                format!("{}", self.oracle.held_to_the_end),
            ));
        }
        let (delayed, given_back) = self.broker.delayed();
        if options.limit.is_none() && given_back > 0 {
            return Err(Failure::of(
                "a failed message that was not seen again makes it no success",
                format!("{given_back} are delayed"),
            ));
        }
        let left = left - delayed;
        let is_counted = options.limit.is_some_and(|limit| done >= limit);
        if is_counted {
            return Ok(());
        }
        if !has_end {
            return Err(Failure::of(
                "success is that as many are done as were asked for",
                format!("{done} of {:?}", options.limit),
            ));
        }
        let drains = options
            .idle_timeout
            .is_some_and(|timeout| timeout.is_zero());
        if drains
            && !self.scenario.is_time_over(self.now)
            && left > 0
            && self.scenario.is_static()
            && !options.queue_ends_with_consumer
        {
            return Err(Failure::of(
                "a drained queue is empty",
                format!("{left} are left"),
            ));
        }
        Ok(())
    }

    /// How many succeeded whose acknowledgement, sent on arrival, came to the queue.
    fn done_on_arrival(&self) -> u64 {
        let is_done = |(index, record): &(usize, &Record)| {
            let has_succeeded = record.is_written || record.last == Some(Status::SUCCESS);
            let message = self.broker.message_of(*index as DeliveryId + 1);
            has_succeeded && self.broker.messages[message].gone.is_some()
        };
        let done = self.oracle.records.iter().enumerate().filter(is_done);
        done.count() as u64
    }

    /// How many messages are gone by their acknowledgement on arrival though their commands neither succeeded nor failed for good.
    fn lost_on_arrival(&self) -> u64 {
        let RunWork::Command { retries, .. } = self.scenario.options.work else {
            return 0;
        };
        let is_over =
            |record: &Record| record.last == Some(Status::SUCCESS) || record.runs > retries;
        let mut lost = BTreeSet::new();
        for id in 1..=self.oracle.records.len() as DeliveryId {
            let message = self.broker.message_of(id);
            if self.broker.messages[message].gone == Some(Why::OnArrival) {
                lost.insert(message);
            }
        }
        for (index, record) in self.oracle.records.iter().enumerate() {
            let message = self.broker.message_of(index as DeliveryId + 1);
            let is_unfit = self.broker.messages[message].is_unfit && record.runs > 0;
            if is_over(record) || is_unfit {
                lost.remove(&message);
            }
        }
        lost.len() as u64
    }

    fn was_disturbed(&self) -> bool {
        let is_trouble = |(_, one): &(u64, Disturbance)| *one != Disturbance::Publish;
        self.scenario.broker.has_rival || self.scenario.disturbances.iter().any(is_trouble)
    }
}

/// The delivery that an action is about.
fn named(action: &Action) -> Option<DeliveryId> {
    match action {
        Action::Settle(id, _)
        | Action::Start { id, .. }
        | Action::Feed(_, id)
        | Action::Begin(id)
        | Action::Signal(id, _)
        | Action::Copy(id, _)
        | Action::Log(id, ..)
        | Action::Conclude(id, _)
        | Action::Forget(id) => Some(*id),
        _ => None,
    }
}

fn failure(property: &'static str, action: &Action) -> Failure {
    Failure::of(property, format!("{action:?}"))
}

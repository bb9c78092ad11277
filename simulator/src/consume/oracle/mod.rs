//! What must hold, as seen from outside of the core: by what was delivered, run, copied and settled in the model.
//!
//! * `events`: what is noted of what the core hears;
//! * `starts`: what must hold when commands start, and of how often a message was tried;
//! * `copies`: what must hold of copies and outputs;
//! * `settlements`: what must hold of settlements, and of what is said about them;
//! * `told`: what must hold of what is told of failed commands;
//! * `stream`: what must hold of streams;
//! * `end`: what must hold at the end, and of the exit status.

mod copies;
mod end;
mod events;
mod settlements;
mod starts;
mod stream;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amqp_tools::consume::run::{
    Action, ChildNumber, ConnectionId, Copy, DeliveryId, Notice, Outcome, Settlement,
    SubscriptionId,
};
use amqp_tools::status::Status;

use super::limits::Limits;
use super::message::Why;
use super::{Simulation, Wire};
use crate::world::Failure;
use stream::Reading;
use told::Telling;

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
    "connections break for too long",
    "a message that waited did not come back",
    "a message waits in the broker",
    "a queue delays a message",
    "the wait of a message is over",
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
    "a stream is read on over a new connection",
    "a stream is read on over the same connection",
    "a stream has more than a run reads",
    "a run names where to go on in a stream",
    "a message of a stream comes again that was done",
    "a failure is told for several messages",
    "a command is run again",
    "the delivery of a command that ended is lost",
    "a connection is lost before it is known what becomes of a failure",
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
    telling: Telling,
    /// The job log has a line about it.
    is_logged: bool,
    /// Its last command is logged, and nothing was said to have become of the message since.
    is_outcome_due: bool,
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
    stream: Reading,
}

impl Oracle {
    pub(super) fn record(&mut self, id: DeliveryId) -> Option<&mut Record> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.records.get_mut(index)
    }
}

impl Simulation<'_> {
    /// Whether the delivery's connection is gone, as far as the driver knows.
    pub(super) fn is_lost(&mut self, id: DeliveryId) -> bool {
        let (connection, wire) = (self.connection, self.wire);
        self.oracle
            .record(id)
            .is_some_and(|record| record.connection != connection || wire != Wire::Open)
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
            Action::Subscribe(..) | Action::Unsubscribe(_) | Action::CountReady => {
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
            Action::Log {
                id,
                attempt,
                status,
                ..
            } => {
                self.judge_log(*id, *attempt)?;
                self.note_failure(*id, *status);
                self.note_unfit(*id, *status);
            }
            Action::StartChild(_) => self.judge_child_start()?,
            Action::Feed(child, id) => self.judge_feed(*child, *id)?,
            Action::Begin(id) => self.note_begin(*id),
            Action::SignalChild(child, signal) => self.judge_child_signal(*child, *signal)?,
            Action::Conclude(id, outcome) => self.judge_outcome(*id, *outcome)?,
            Action::Forget(id) => self.judge_forget(*id)?,
            Action::Say(notice) => self.note_notice(notice)?,
            Action::TellFailed(failed) => self.judge_told(failed)?,
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
            Action::Subscribe(_, offset) => {
                self.judge_offset(*offset)?;
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
                    && options.reconnects()
                    && unproven >= options.certain_every;
                let settled = self.oracle.settled;
                self.oracle.settled_at_cancel.insert(*subscription, settled);
            }
            _ => {}
        }
        Ok(())
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
            Notice::NotBack(_) => "a message that waited did not come back",
            Notice::ParkedOnArrival(_) => "parked on arrival",
            Notice::Renewing(..) => "renewed on arrival",
            Notice::AnswersDropped(_) => "messages are with a child when their connection is lost",
            Notice::ChildEnded(..) => "a child had nothing to answer when it ended",
            Notice::DoesNotFit => "a message does not fit",
            Notice::GoOnFrom(offset) => return self.judge_place_told(*offset),
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
        | Action::Log { id, .. }
        | Action::Conclude(id, _)
        | Action::Forget(id) => Some(*id),
        _ => None,
    }
}

fn failure(property: &'static str, action: &Action) -> Failure {
    Failure::of(property, format!("{action:?}"))
}

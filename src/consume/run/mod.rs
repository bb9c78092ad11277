//! The core of a run. It has no I/O. It decides what happens to each message, to the connection, and to the tool.
//!
//! [`Run::on`] takes an [`Event`] and the time and returns [`Action`]s. The core has no clock, no file and no thread. The driver
//! keeps bodies, children and unsettled deliveries, under a [`DeliveryId`].
//!
//! [`consume`](crate::consume) has the states of a message, of a run and of a connection. A message is either in `waiting`
//! (delivered and not begun) or in `in_hand`, with a [`MessageState`](message::MessageState). [`Run::on`] takes in the event,
//! enforces deadlines, and then decides what to do next from the state alone.
//!
//! * `event`, `options`: what goes in and what comes out.
//! * `message`, `connection`, `phase`: the state.
//! * `broker`: events of the broker, and subscribing.
//! * `lost`: connections that end, and others that follow.
//! * `work`: messages are begun, commands end.
//! * `batch`: commands that get several messages each.
//! * `coprocess`: children get messages, answer them, and end.
//! * `delayed`: failed messages that wait in the broker.
//! * `failed`: what happens to a failed message.
//! * `stream`: the place in a stream.
//! * `told`: what is told of a failed command.
//! * `outcome`: what became of a message, for the job log and for metrics.
//! * `limits`: limits to the time and the rate, and failures that end the run.
//! * `end`: whether the run ends, and its last steps.
//! * `exit_status`: the exit status.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod batch;
mod broker;
mod connection;
mod coprocess;
mod delayed;
mod end;
mod event;
mod exit_status;
mod failed;
mod limits;
mod lost;
mod message;
mod options;
mod outcome;
mod phase;
mod stream;
mod told;
mod work;

pub use event::{
    Action, Answer, ChildNumber, CommandEnd, ConnectionId, Copy, DeliveryId, DeliveryInfo, Event,
    FailedCommand, Fate, FinalOutcome, FromBroker, Notice, Obstacle, Outcome, Settlement,
    SubscriptionId, ToCommand,
};
pub use options::{RunOptions, RunWork};

use std::time::Duration;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::breaks::Breaks;
use crate::status::Status;
use connection::Connection;
use coprocess::Coprocesses;
use delayed::Delayed;
use message::MessageInHand;
use phase::Phase;
use stream::Source;

/// The state of a run.
#[derive(Clone, Debug)]
pub struct Run {
    options: RunOptions,
    now: Duration,
    phase: Phase,
    connection: Connection,
    breaks: Breaks,
    source: Source,
    /// Messages that were delivered and not begun.
    waiting: BTreeMap<DeliveryId, DeliveryInfo>,
    /// All other unsettled messages.
    in_hand: BTreeMap<DeliveryId, MessageInHand>,
    /// Since when messages wait for the next batch.
    gathering_since: Option<Duration>,
    coprocesses: Coprocesses,
    counts_deliveries: CountsDeliveries,
    /// How many messages succeeded for certain.
    succeeded: u64,
    /// How many messages failed.
    failed: u64,
    first_failure: Option<Status>,
    /// How many messages were in doubt when their connection was lost.
    in_doubt: u64,
    failures_in_a_row: u32,
    /// Failed messages that were requeued and have not come again: their digests and exit statuses.
    given_back: VecDeque<(u64, Status)>,
    /// Failed messages that wait in the broker.
    delayed: Delayed,
    /// Copies to the queue, or to one that returns messages to it, that were not confirmed when their delivery was lost. They may
    /// arrive yet.
    unanswered_copies: BTreeSet<DeliveryId>,
    /// Messages that were rejected lately.
    rejected: VecDeque<failed::Rejected>,
    /// The status of the first failed message that was requeued at the end.
    unfinished: Option<Status>,
    renewed_any: bool,
    /// When the rate allows that the next command starts.
    next_start: Duration,
    /// Since when no message has come and no command has run.
    quiet_since: Duration,
    /// Since when the queue has ready messages and delivers none.
    withholding_since: Option<Duration>,
    signals: u32,
    grace_ends: Option<Duration>,
    /// When the run stops waiting for outstanding answers of the broker, after a signal.
    patience_ends: Option<Duration>,
    actions: Vec<Action>,
    /// Where among these the last failed command is told, with its number.
    told: Option<(usize, DeliveryId)>,
}

/// Whether the queue counts deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CountsDeliveries {
    NotAsked,
    Asked,
    /// The answer; `None`: the broker does not say.
    Known(Option<bool>),
}

impl Run {
    /// A new run, and its first actions.
    #[must_use]
    pub fn begin(options: RunOptions) -> (Run, Vec<Action>) {
        let mut run = Run {
            coprocesses: Coprocesses::new(&options),
            options,
            now: Duration::ZERO,
            phase: Phase::Consuming,
            connection: Connection::first(),
            breaks: Breaks::default(),
            source: Source::Unknown,
            waiting: BTreeMap::new(),
            in_hand: BTreeMap::new(),
            gathering_since: None,
            counts_deliveries: CountsDeliveries::NotAsked,
            succeeded: 0,
            failed: 0,
            first_failure: None,
            in_doubt: 0,
            failures_in_a_row: 0,
            given_back: VecDeque::new(),
            delayed: Delayed::default(),
            unanswered_copies: BTreeSet::new(),
            rejected: VecDeque::new(),
            unfinished: None,
            renewed_any: false,
            next_start: Duration::ZERO,
            quiet_since: Duration::ZERO,
            withholding_since: None,
            signals: 0,
            grace_ends: None,
            patience_ends: None,
            actions: Vec::new(),
            told: None,
        };
        run.expect_source();
        run.act(Action::Connect(run.connection.number, Duration::ZERO));
        let actions = std::mem::take(&mut run.actions);
        (run, actions)
    }

    /// Takes in an event and returns what is to be done. `now` never decreases.
    #[must_use]
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Action> {
        self.now = now;
        self.told = None;
        self.take_in(event);
        self.note_gathering();
        self.enforce_deadlines();
        self.decide_to_end();
        if self.phase.is_consuming() {
            self.keep_busy();
            // A message that cannot be framed fails at once, and may be the last one.
            self.decide_to_end();
        }
        if !self.phase.is_consuming() {
            self.wind_up();
        }
        self.steer_subscriptions();
        self.tell_place();
        self.check();
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Tick`] is due, if no other event comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let commands = self
            .in_hand
            .values()
            .filter_map(|message| match message.state {
                message::MessageState::Working(job) => job.deadline(),
                _ => None,
            });
        let ends = [self.grace_ends, self.patience_deadline(), self.time_limit()];
        let works = self.phase.is_consuming() && self.connection.is_open();
        let work = works.then(|| self.work_deadlines().into_iter().flatten());
        let all = commands
            .chain(self.coprocesses.deadline())
            .chain(ends.into_iter().flatten())
            .chain(work.into_iter().flatten());
        all.min()
    }

    /// How the run ended, if it has: with an exit status, or with an error.
    #[must_use]
    pub fn ended(&self) -> Option<Result<Status, String>> {
        let is_over =
            self.connection.state == connection::ConnectionState::Gone && !self.is_working();
        let is_over = is_over && !self.coprocesses.any_runs();
        let cause = self.phase.cause().filter(|_| is_over)?;
        Some(match cause {
            phase::Cause::Failed(reason) => Err(reason.clone()),
            cause => Ok(self.exit_status(cause)),
        })
    }

    /// Whether a command runs or a line is being written.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.in_hand.values().any(MessageInHand::is_working)
    }

    /// Whether the run takes more messages, as far as that depends on it alone.
    #[must_use]
    pub fn takes_messages(&self) -> bool {
        self.phase.is_consuming() && self.may_begin_another() && self.options.limit != Some(0)
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::Signal(signal) => self.on_signal(signal),
            Event::Broker(connection, event) if self.is_present(connection) => {
                self.on_broker(event);
            }
            Event::Broker(_, FromBroker::Delivered(id, _)) => self.act(Action::Forget(id)),
            Event::Tick | Event::Broker(..) => {}
            Event::CommandEnded {
                id,
                status,
                signal,
                output,
            } => self.on_command_ended(id, status, signal, output),
            Event::CannotStart { id, status, reason } => self.on_cannot_start(id, status, reason),
            Event::Answered(child, answers) => self.on_answered(child, answers),
            Event::AnswersClosed(child) => self.on_answers_closed(child),
            Event::ChildEnded {
                child,
                status,
                signal,
            } => self.on_child_ended(child, status, signal),
            Event::ChildCannotStart {
                child,
                status,
                reason,
            } => self.on_child_cannot_start(child, status, reason),
            Event::Written(id) => self.on_written(id),
            Event::CannotWrite(reason) => self.on_cannot_write(&reason),
            Event::Copied(id, result) => self.on_copied(id, result),
            Event::CountsDeliveries(answer) => self.on_counts_deliveries(answer),
        }
    }

    fn is_present(&self, connection: ConnectionId) -> bool {
        connection == self.connection.number
            && self.connection.state != connection::ConnectionState::Gone
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn say(&mut self, notice: Notice) {
        self.act(Action::Say(notice));
    }

    /// Removes a message from the run.
    fn forget(&mut self, id: DeliveryId) {
        self.tell(id, Fate::DeliveredAgain);
        self.conclude_dropped(id);
        self.in_hand.remove(&id);
        self.note_forgotten(id);
        self.act(Action::Forget(id));
    }

    /// Settles one delivery, if the broker still expects that. True: it did. A stream takes acknowledgements only, and has what was
    /// not acknowledged still.
    fn settle(&mut self, id: DeliveryId, settlement: Settlement) -> bool {
        let is_expected = self
            .in_hand
            .get(&id)
            .is_some_and(MessageInHand::is_unsettled)
            && self.may_settle();
        if is_expected {
            self.note_settled(id, settlement);
            if settlement != Settlement::Ack {
                self.connection.given_back();
            }
            if settlement == Settlement::Ack || !self.is_stream() {
                self.connection.send(1);
                self.act(Action::Settle(id, settlement));
            }
        }
        is_expected
    }

    fn may_settle(&self) -> bool {
        self.connection.is_open()
    }

    /// Invariants between two events.
    fn check(&self) {
        debug_assert!(self.waiting.keys().all(|id| !self.in_hand.contains_key(id)));
        let old = |delivery: &DeliveryInfo| delivery.subscription <= self.connection.before;
        debug_assert!(
            !self.waiting.values().any(old),
            "waiting for an answer on a connection that is gone"
        );
        let unsettled = |message: &&MessageInHand| message.is_unsettled();
        debug_assert!(
            !self
                .in_hand
                .values()
                .filter(unsettled)
                .any(|message| old(&message.delivery))
        );
        debug_assert!(
            self.connection.state != connection::ConnectionState::Gone || self.waiting.is_empty()
        );
        let jobs = self.in_hand.values().filter(|message| {
            message.has_job() && message.delivery_state != message::DeliveryState::Lost
        });
        debug_assert!(jobs.count() <= self.options.places());
    }
}

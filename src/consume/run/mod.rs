//! The run: a core without I/O that decides what becomes of every message, of the connection, and of the tool.
//!
//! [`Run::on`] takes an [`Event`] and the time and returns [`Action`]s. The core has no clock, no file and no thread; bodies,
//! children and unsettled deliveries lie in the driver, under an [`DeliveryId`].
//!
//! **A message** is either waiting (delivered, nothing was done about it) or in hand, in one of the places of
//! [`MessageState`](message::MessageState):
//!
//! ```text
//! delivered ─► waiting ─► Working ─► succeeded: acknowledged
//!     │                    │   ▲
//!     │                    ▼   │
//!     │                  Resting (--retries)
//!     │                    │
//!     │                    ▼ failed for good
//!     │               Undecided ─► Held ─► requeued
//!     │                    │        │
//!     ├── too often ───────┴────────┴─► Copying ─► confirmed: acknowledged
//!     │                                   │ ▲
//!     └── rejected before: Postponed      ▼ │
//!                                       Refused ─► requeued at the end
//! ```
//!
//! A settled message leaves the core. Until its settlement is certain it is one of [`Uncertain`](connection::Uncertain); when the
//! connection is lost before, it is in doubt, and counts as not done.
//!
//! **A run** is consuming, draining (running commands end by themselves) or stopping (they were told to end); see
//! [`Phase`](phase::Phase). [`Run::on`] takes in the event, does what is due, and then asks what is to be done next: each time
//! anew, from the state alone.
//!
//! * `event`, `options`: what goes in and comes out.
//! * `message`, `link`, `phase`: the state.
//! * `broker`: what comes from the broker, and subscribing.
//! * `work`: messages are begun, commands end.
//! * `failed`: what becomes of a failed message.
//! * `end`: whether and how the run ends.
//! * `exit_status`: the exit status.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod broker;
mod connection;
mod end;
mod event;
mod exit_status;
mod failed;
mod message;
mod options;
mod phase;
mod work;

pub use event::{
    Action, ConnectionId, Copy, DeliveryId, DeliveryInfo, Event, FromBroker, Notice, Settlement,
    SubscriptionId, ToCommand,
};
pub use options::{RunOptions, RunWork};

use std::time::Duration;

use std::collections::{BTreeMap, VecDeque};

use crate::status::Status;
use connection::Connection;
use message::{Delivery, MessageInHand};
use phase::Phase;

/// The state of a run.
#[derive(Clone, Debug)]
pub struct Run {
    options: RunOptions,
    now: Duration,
    phase: Phase,
    connection: Connection,
    /// Delivered, and nothing was done about them.
    waiting: BTreeMap<DeliveryId, Delivery>,
    /// All others that are not settled.
    in_hand: BTreeMap<DeliveryId, MessageInHand>,
    counts_deliveries: CountsDeliveries,
    /// How many succeeded, certainly.
    succeeded: u64,
    /// How many failed.
    failed: u64,
    first_failure: Option<Status>,
    /// How many were in doubt when their connection was lost.
    in_doubt: u64,
    failures_in_a_row: u32,
    /// What failed messages ended with that were given back and have not come again.
    given_back: VecDeque<Status>,
    /// Messages that were rejected lately: their digests, how often, and when the last time was.
    rejected: VecDeque<failed::Rejected>,
    /// The status of the first message that went back at the end.
    unfinished: Option<Status>,
    renewed_any: bool,
    /// Since when nothing has come or run.
    quiet_since: Duration,
    /// Since when the queue has had messages and delivered none.
    withholding_since: Option<Duration>,
    signals: u32,
    grace_ends: Option<Duration>,
    /// When answers that the broker owes are no longer waited for, since a signal asked to end.
    patience_ends: Option<Duration>,
    actions: Vec<Action>,
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
    /// A run that begins now, and the first actions.
    #[must_use]
    pub fn begin(options: RunOptions) -> (Run, Vec<Action>) {
        let mut run = Run {
            options,
            now: Duration::ZERO,
            phase: Phase::Consuming,
            connection: Connection::first(),
            waiting: BTreeMap::new(),
            in_hand: BTreeMap::new(),
            counts_deliveries: CountsDeliveries::NotAsked,
            succeeded: 0,
            failed: 0,
            first_failure: None,
            in_doubt: 0,
            failures_in_a_row: 0,
            given_back: VecDeque::new(),
            rejected: VecDeque::new(),
            unfinished: None,
            renewed_any: false,
            quiet_since: Duration::ZERO,
            withholding_since: None,
            signals: 0,
            grace_ends: None,
            patience_ends: None,
            actions: Vec::new(),
        };
        run.act(Action::Connect(run.connection.number, Duration::ZERO));
        let actions = std::mem::take(&mut run.actions);
        (run, actions)
    }

    /// Takes in what happened and says what is to be done. `now` never goes back.
    #[must_use]
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Action> {
        self.now = now;
        self.take_in(event);
        self.enforce_deadlines();
        self.decide_to_end();
        if self.phase.is_consuming() {
            self.keep_busy();
        } else {
            self.wind_up();
        }
        self.steer_subscriptions();
        self.check();
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let commands = self
            .in_hand
            .values()
            .filter_map(|message| match message.state {
                message::MessageState::Working(job) => job.deadline(),
                _ => None,
            });
        let ends = [self.grace_ends, self.patience_deadline()];
        let works = self.phase.is_consuming() && self.connection.is_open();
        let work = works.then(|| self.work_deadlines().into_iter().flatten());
        let all = commands
            .chain(ends.into_iter().flatten())
            .chain(work.into_iter().flatten());
        all.min()
    }

    /// How the run ended, once it has: with an exit status, or with an error.
    #[must_use]
    pub fn ended(&self) -> Option<Result<Status, String>> {
        let is_over =
            self.connection.state == connection::ConnectionState::Gone && !self.is_working();
        let cause = self.phase.cause().filter(|_| is_over)?;
        Some(match cause {
            phase::Cause::Failed(reason) => Err(reason.clone()),
            cause => Ok(self.exit_status(cause)),
        })
    }

    /// Whether the run needs its messages' lines no more: no command runs and no line is written.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.in_hand.values().any(MessageInHand::is_working)
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::Signal(signal) => self.on_signal(signal),
            Event::Broker(connection, event) if self.is_present(connection) => {
                self.on_broker(event);
            }
            Event::Broker(_, FromBroker::Delivered(id, ..)) => self.act(Action::Forget(id)),
            Event::Tick | Event::Broker(..) => {}
            Event::CommandEnded { id, status, signal } => self.on_command_ended(id, status, signal),
            Event::CannotStart { id, status, reason } => self.on_cannot_start(id, status, reason),
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

    /// Takes a message out of the run.
    fn forget(&mut self, id: DeliveryId) {
        self.in_hand.remove(&id);
        self.act(Action::Forget(id));
    }

    /// Tells the broker about one delivery, if it still expects that.
    fn settle(&mut self, id: DeliveryId, settlement: Settlement) {
        let Some(message) = self.in_hand.get(&id) else {
            return;
        };
        if message.is_unsettled() && self.may_settle() {
            if settlement != Settlement::Ack {
                self.connection.given_back();
            }
            self.connection.send(1);
            self.act(Action::Settle(id, settlement));
        }
    }

    fn may_settle(&self) -> bool {
        self.connection.is_open()
    }

    /// What must hold between two events.
    fn check(&self) {
        debug_assert!(self.waiting.keys().all(|id| !self.in_hand.contains_key(id)));
        let old = |delivery: &Delivery| delivery.connection != self.connection.number;
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
            message.is_working() && message.delivery_state != message::DeliveryState::Lost
        });
        debug_assert!(jobs.count() <= self.options.jobs());
    }
}

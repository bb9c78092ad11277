//! The run: a core without I/O that decides what is taken, published, acknowledged and given back, and how it ends.
//!
//! [`Run::on`] takes an [`Event`] and the time, and adds [`Action`]s to a list. The core has no clock, no file and no
//! thread; messages lie in the driver, under the [`Tag`] of their delivery.
//!
//! **A message** is in the `Window` from its delivery until it is answered for:
//!
//! ```text
//! Delivered ─► Open ─► Confirmed ─► acknowledged, in doubt ─► certain
//!     │          └─► Refused
//!     └─────────────────┴─► given back
//! ```
//!
//! Acknowledgements are `multiple`: up to the last message below which all copies are confirmed. They become
//! certain (`Certainty`) by the answer to basic.cancel or to the close; so a long run subscribes anew now and then, and
//! cancels the old subscription. When a connection is lost, the broker delivers again what was not acknowledged; what was in
//! doubt it may.
//!
//! **A run** is moving, or ending for a `Cause`: then nothing is taken and published any more, the fates of the
//! copies on their way are waited for, each message in hand is acknowledged or given back, and the connection is closed.
//!
//! * `event`, `options`: what goes in and comes out.
//! * `window`: the messages in hand. `certainty`: those that are acknowledged.
//! * `subscriptions`: what brings messages, and when nothing more is there to be brought.
//! * `link`: the connection, and whether it is opened again.
//! * `end`: whether and how the run ends.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod certainty;
mod end;
mod event;
mod link;
mod options;
mod subscriptions;
mod window;

pub use end::Ended;
pub use event::{
    Action, Connection, Delivery, Event, FromBroker, Notice, Subscription, Tag, TargetIs, Time,
    Trouble,
};
pub use options::{Extent, RunOptions};

use certainty::Certainty;
use end::{Cause, Phase};
use link::{Link, LinkState};
use subscriptions::{Emptiness, Subscriptions};
use window::Window;

/// The broker is expected to confirm something in this time unless it says that it is blocked.
const SILENCE: Time = Time::from_secs(30);

/// What acknowledgements may cost before the end, which needs the rest of what a close proves.
const MOST_COST_BEFORE_END: usize = 24;

/// How far copies may lag behind an even rate and be published sooner for it.
const RATE_SLACK: Time = Time::from_millis(10);

/// The state of a run.
#[derive(Clone, Debug)]
pub struct Run {
    options: RunOptions,
    now: Time,
    phase: Phase,
    link: Link,
    subscriptions: Subscriptions,
    window: Window,
    certainty: Certainty,
    /// How many messages are to be moved; nothing: as many as there are.
    goal: Option<u64>,
    /// How many of them are to be moved on this connection.
    remaining: Option<u64>,
    /// How many messages a lost connection held that were not acknowledged and have not come back.
    missing: u64,
    /// Whether it may have held more: messages that had not arrived, or whose acknowledgement is not certain.
    more_may_be_held: bool,
    emptiness: Emptiness,
    /// When the next copy may be published.
    next_copy: Time,
    silence: Silence,
    /// When fates are no longer waited for, since this signal asked to end.
    patience: Option<(Time, i32)>,
    tally: Tally,
}

/// What has become of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Copies that were confirmed. One message may have several, where a connection was lost.
    pub copied: u64,
    /// Copies that were returned or rejected.
    pub refused: u64,
    /// Messages that are in their new place and, for certain, not in the old one.
    pub moved: u64,
    /// Messages with a confirmed copy whose acknowledgement may not have arrived.
    pub in_doubt: u64,
    /// How many are to be moved, if that is known.
    pub goal: Option<u64>,
}

/// Whether the broker confirms nothing though it should.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    since: Time,
    is_told: bool,
    is_asking: bool,
}

impl Run {
    /// A run that begins now. The first action is to connect.
    #[must_use]
    pub fn begin(options: RunOptions, actions: &mut Vec<Action>) -> Run {
        let link = Link::first();
        actions.push(Action::Connect(link.number, Time::ZERO));
        Run {
            options,
            now: Time::ZERO,
            phase: Phase::Moving,
            link,
            subscriptions: Subscriptions::default(),
            window: Window::new(),
            certainty: Certainty::default(),
            goal: None,
            remaining: None,
            missing: 0,
            more_may_be_held: false,
            emptiness: Emptiness::default(),
            next_copy: Time::ZERO,
            silence: Silence::default(),
            patience: None,
            tally: Tally::default(),
        }
    }

    /// Takes in what happened and adds what is to be done to `actions`. `now` never goes back.
    pub fn on(&mut self, event: Event, now: Time, actions: &mut Vec<Action>) {
        self.now = now;
        let is_quiet = event == Event::Quiet;
        self.take_in(event, actions);
        if self.phase == Phase::Moving && self.link.state == LinkState::Open {
            self.publish(actions);
            self.acknowledge(is_quiet, actions);
            self.look_whether_all_is_moved();
        }
        if self.link.state == LinkState::Open {
            self.mind_subscriptions(is_quiet, actions);
        }
        self.mind_silence(actions);
        if self.phase != Phase::Moving {
            self.wind_up(actions);
        }
        self.check();
    }

    /// When [`Event::Time`] is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let copy = self.copy_to_publish().map(|_| self.next_copy);
        let silence = self
            .expects_confirms()
            .then_some(self.silence.since + SILENCE);
        [
            self.patience_deadline(),
            silence,
            copy,
            self.emptiness_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How the run ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.phase.ended()
    }

    /// What has become of the messages.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            moved: self.certainty.certain(),
            in_doubt: self.certainty.in_doubt(),
            goal: self.goal,
            ..self.tally
        }
    }

    /// How many messages are in hand: delivered and not answered for.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.window.len()
    }

    fn take_in(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Signal(signal) => self.on_signal(signal),
            Event::CannotReport(reason) => self.end(Cause::Failed(reason)),
            Event::Target(answer) => self.on_target(answer, actions),
            Event::Broker(connection, event) if self.link.is(connection) => {
                self.on_broker(event, actions);
            }
            Event::Broker(..) | Event::Time | Event::Quiet => {}
        }
    }

    /// The message whose copy is to be published when the time has come.
    fn copy_to_publish(&self) -> Option<Tag> {
        let may_publish = self.phase == Phase::Moving
            && self.link.state == LinkState::Open
            && !self.link.is_paused;
        let is_wanted = |tag: &Tag| self.remaining.is_none_or(|remaining| *tag <= remaining);
        self.window
            .next_to_publish()
            .filter(|tag| may_publish && is_wanted(tag))
    }

    fn publish(&mut self, actions: &mut Vec<Action>) {
        while let Some(tag) = self.copy_to_publish() {
            if let Some(interval) = self.options.interval {
                if self.now < self.next_copy {
                    break;
                }
                let earliest = self.now.saturating_sub(RATE_SLACK);
                self.next_copy = self.next_copy.max(earliest) + interval;
            }
            if self.window.open() == 0 {
                self.silence.since = self.now;
            }
            self.window.publish();
            actions.push(Action::Publish(tag));
        }
    }

    /// Acknowledges what has a confirmed copy, many at once, as long as that leaves something for the end.
    fn acknowledge(&mut self, is_quiet: bool, actions: &mut Vec<Action>) {
        let confirmed = self.window.confirmed_at_front();
        let is_worth_it = is_quiet || confirmed >= self.subscriptions.worth_acknowledging();
        if confirmed == 0 || !is_worth_it {
            return;
        }
        if let Some(front) = self.window.front() {
            let cost = self.certainty.cost() + front.subscriptions.len();
            if cost <= MOST_COST_BEFORE_END {
                self.answer_for(&front, actions);
            }
        }
    }

    /// Acknowledges these messages, or gives them back.
    fn answer_for(&mut self, group: &window::Group, actions: &mut Vec<Action>) {
        let (acknowledged, action) = if group.is_confirmed {
            (group.messages, Action::Ack(group.last))
        } else {
            (0, Action::Return(group.last))
        };
        actions.push(action);
        self.certainty.sent(acknowledged, &group.subscriptions);
        self.window.forget_up_to(group.last);
    }

    fn look_whether_all_is_moved(&mut self) {
        if self
            .remaining
            .is_some_and(|remaining| self.window.confirmed_from_start() >= remaining)
        {
            self.end(Cause::Complete);
        }
    }

    /// Whether something is to be heard from the broker in some time. At the end that holds also if it takes nothing.
    fn expects_confirms(&self) -> bool {
        let is_ending = matches!(self.phase, Phase::Ending(_));
        self.link.state == LinkState::Open
            && self.window.open() > 0
            && (is_ending || !self.link.is_paused)
    }

    /// Where the broker confirms nothing for long, it is asked whether the target is there; at the end it is given up.
    fn mind_silence(&mut self, actions: &mut Vec<Action>) {
        if !self.expects_confirms() || self.now < self.silence.since + SILENCE {
            return;
        }
        if self.phase != Phase::Moving {
            self.abandon(actions);
            return;
        }
        self.silence.since = self.now;
        if !self.silence.is_told {
            self.silence.is_told = true;
            actions.push(Action::Say(Notice::NoConfirms(SILENCE)));
        }
        if !self.silence.is_asking {
            self.silence.is_asking = true;
            actions.push(Action::AskForTarget);
        }
    }

    /// A target that is gone ends the run while copies are on their way to it. The connection may be deaf by then: nothing
    /// more is expected of it.
    fn on_target(&mut self, answer: TargetIs, actions: &mut Vec<Action>) {
        self.silence.is_asking = false;
        if let TargetIs::Gone(reason) = answer
            && self.phase == Phase::Moving
            && self.window.open() > 0
        {
            self.end(Cause::Failed(reason));
            self.abandon(actions);
        }
    }

    /// What must hold between two events.
    fn check(&self) {
        debug_assert!(self.window.len() > 100 || self.window.is_consistent());
        debug_assert!(self.certainty.cost() <= certainty::PROVEN_BY_CLOSE);
        debug_assert!(self.link.state != LinkState::Gone || self.window.is_empty());
    }
}

#[cfg(test)]
mod tests;

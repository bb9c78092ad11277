//! amqp-consume's core among a model broker, model commands, copies, lines and signals.
//!
//! A calendar holds what comes, by time. First there is trouble; then there are no more surprises: all works, or the broker
//! is silent for ever, or it is gone for ever, and the run must end in time. Where only a signal can end it, it gets one.
//!
//! * `scenario`: what a run is given.
//! * `driver`: what the driver does.
//! * `broker`, `message`, `waiting`: the model of a broker, its messages, and copies that wait there.
//! * `children`: children that get message after message.
//! * `calendar`, `happenings`: what comes, and when.
//! * `trouble`: what happens to the run from outside, and the calm after it.
//! * `oracle`, `limits`: what must hold.

mod broker;
mod calendar;
mod children;
mod driver;
mod happenings;
mod limits;
mod message;
mod oracle;
mod scenario;
mod trouble;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use amqp_tools::consume::FailureAction;
use amqp_tools::consume::run::{ChildNumber, ConnectionId, DeliveryId, Event, FromBroker, Run};
use amqp_tools::reason::ConnectionFailure;
use amqp_tools::status::Status;

use crate::choices::Choices;
use crate::reached::Reached;
use crate::world::{Failure, Stats, Transcript, World};
use broker::{Broker, Processed};
use calendar::Calendar;
use children::Child;
use oracle::Oracle;
use scenario::{Disturbance, Last, Scenario, delay};

/// How long the close of a connection waits for its answer.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// How long connecting takes at most.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a half-open connection is not noticed: two heartbeats.
const HEARTBEATS: Duration = Duration::from_secs(120);

/// A run that only waits gets a signal after so long.
const PATIENCE: Duration = Duration::from_secs(900);

/// How long another worker has the role of the single active consumer and does nothing, when nothing else is in the way. The run
/// gives back what it holds before.
const STUCK_RIVAL_STAYS: Duration = Duration::from_secs(300);

/// How long a run may take after its commands are told to end: SIGKILL, patience twice, the close.
const END_AFTER_SIGNAL: Duration = Duration::from_secs(21);

/// So many events at most at one instant, and in a run.
const MOST_AT_ONCE: u64 = 1_000;
const MOST_EVENTS: u64 = 20_000;

const SIGTERM: i32 = 15;

/// The world of consuming.
#[derive(Clone, Copy, Debug)]
pub struct Consume;

impl World for Consume {
    const NAME: &'static str = "consume";

    const MARKS: &'static [&'static str] = oracle::MARKS;

    fn run(
        choices: &mut Choices,
        reached: &mut Reached,
        transcript: &mut Transcript,
    ) -> Result<Stats, Failure> {
        let scenario = Scenario::drawn(choices);
        transcript.line(|| format!("{scenario:?}"));
        let mut world = Simulation::new(scenario, choices, reached, transcript);
        world.run_to_the_end()?;
        Ok(Stats {
            events: world.events,
        })
    }
}

/// How far the driver's connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    None,
    Connecting,
    Open,
    Closing,
}

/// A command that runs.
#[derive(Clone, Copy, Debug)]
struct Command {
    /// Tells the plans for its end apart; the last one counts.
    plan: u64,
    ignores_term: bool,
    is_told_to_end: bool,
    /// How it ends, if it does.
    end: Option<(Status, i32)>,
}

struct Simulation<'world> {
    scenario: Scenario,
    choices: &'world mut Choices,
    reached: &'world mut Reached,
    transcript: &'world mut Transcript,
    run: Run,
    now: Duration,
    events: u64,
    events_at_once: u64,
    calendar: Calendar,
    disturbances: VecDeque<(u64, Disturbance)>,
    broker: Broker,
    wire: Wire,
    connection: ConnectionId,
    /// The broker processes nothing more on the present connection.
    is_stuck: bool,
    commands: BTreeMap<DeliveryId, Command>,
    /// The messages of each command that runs for several, or whose output is published, by the first of them.
    batches: BTreeMap<DeliveryId, Vec<DeliveryId>>,
    children: BTreeMap<ChildNumber, Child>,
    plans: u64,
    /// Lines to be written.
    lines: VecDeque<DeliveryId>,
    is_writer_broken: bool,
    oracle: Oracle,
    /// Where the stream ended when the run began, as far as the run knows it.
    end_of_stream: Option<u64>,
    signals: u32,
    calm_since: Option<Duration>,
    next_signal: Option<Duration>,
    must_end_by: Option<Duration>,
}

impl<'world> Simulation<'world> {
    fn new(
        scenario: Scenario,
        choices: &'world mut Choices,
        reached: &'world mut Reached,
        transcript: &'world mut Transcript,
    ) -> Simulation<'world> {
        let mut broker = Broker::new(scenario.broker, scenario.options.queue_ends_with_consumer);
        for _ in 0..scenario.messages {
            // One that comes back each time would do so for ever.
            let may_be_unfit = scenario.frames() && !scenario.broker.dead_letters_home;
            let is_unfit = may_be_unfit && choices.chance(scenario.trouble.is_unfit);
            broker.publish(!choices.chance(4), is_unfit);
        }
        let (run, actions) = Run::begin(scenario.options.clone());
        let mut scenario = scenario;
        if scenario.is_stream() {
            let action = &mut scenario.options.failure.action;
            action.get_or_insert(FailureAction::Stop);
        }
        let mut world = Simulation {
            disturbances: scenario.disturbances.iter().copied().collect(),
            scenario,
            choices,
            reached,
            transcript,
            run,
            now: Duration::ZERO,
            events: 0,
            events_at_once: 0,
            calendar: Calendar::default(),
            broker,
            wire: Wire::None,
            connection: 0,
            is_stuck: false,
            commands: BTreeMap::new(),
            batches: BTreeMap::new(),
            children: BTreeMap::new(),
            plans: 0,
            lines: VecDeque::new(),
            is_writer_broken: false,
            oracle: Oracle::default(),
            end_of_stream: None,
            signals: 0,
            calm_since: None,
            next_signal: None,
            must_end_by: None,
        };
        for action in actions {
            world.carry_out(action, &mut Vec::new());
        }
        world
    }

    fn is_calm(&self) -> bool {
        self.calm_since.is_some()
    }

    fn run_to_the_end(&mut self) -> Result<(), Failure> {
        while self.run.ended().is_none() {
            if self.must_end_by.is_some_and(|end| self.now > end) {
                return Err(Failure::of(
                    "a signal ends it in time",
                    format!("it goes on at {:?}", self.now),
                ));
            }
            if self.is_disturbed()? {
                continue;
            }
            self.schedule_wire();
            self.step()?;
        }
        self.judge_end()
    }

    /// What comes next comes.
    fn step(&mut self) -> Result<(), Failure> {
        let pending = self.calendar.next();
        let deadline = self.run.deadline();
        let next = match (pending, deadline) {
            (None, None) => return self.nothing_comes(),
            (Some(pending), Some(deadline)) => pending.min(deadline),
            (pending, deadline) => pending.or(deadline).unwrap_or(self.now),
        };
        if self.next_signal.is_some_and(|signal| signal < next) {
            return self.last_signal();
        }
        self.wake_at(next);
        let is_time_first = match (pending, deadline) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(pending), Some(deadline)) if pending == deadline => self.choices.below(2) == 1,
            (Some(pending), Some(deadline)) => {
                // Late waking: whichever is first for the driver.
                deadline < pending && (pending > self.now || self.choices.below(2) == 0)
            }
        };
        if is_time_first {
            return self.tell(Event::Tick);
        }
        match self.calendar.take() {
            Some(pending) => self.happen(pending),
            None => Ok(()),
        }
    }

    /// The time passes until then, or for longer where the tool was stopped.
    fn wake_at(&mut self, then: Duration) {
        let mut then = then;
        if !self.is_calm() && self.choices.chance(self.scenario.trouble.oversleeps) {
            let late = delay(self.choices, 6);
            then += late;
            if let Some(end) = &mut self.must_end_by {
                *end += late;
            }
        }
        if then > self.now {
            self.now = then;
            self.events_at_once = 0;
        }
    }

    /// Nothing is waited for but the world outside.
    fn nothing_comes(&mut self) -> Result<(), Failure> {
        if let Some((_, disturbance)) = self.disturbances.pop_front() {
            return self.disturb(disturbance);
        }
        if !self.is_calm() {
            self.calm_down();
            return Ok(());
        }
        self.last_signal()
    }

    /// Only a signal ends the run.
    fn last_signal(&mut self) -> Result<(), Failure> {
        if self.signals == 0 && self.must_end_by_itself() {
            return Err(Failure::of("it ends by itself", format!("{:?}", self.run)));
        }
        let is_healthy = self.scenario.last == Last::Healed && self.wire == Wire::Open;
        // The run holds so many messages at most, and asks for no more then.
        let is_full = self.broker.output_was_deleted
            || self.broker.uncopyable_with_client() >= self.scenario.options.most_held;
        let may_lie = is_full || self.fails_for_ever();
        if self.signals == 0 && is_healthy && !may_lie && self.broker.ready() > 0 {
            return Err(Failure::of(
                "a healthy worker leaves no message lying",
                format!("{:?}", self.run),
            ));
        }
        if self.signals >= 4 {
            return Err(Failure::of("signals end it", format!("{:?}", self.run)));
        }
        if let Some(then) = self.next_signal.filter(|then| *then > self.now) {
            self.now = then;
            self.events_at_once = 0;
        }
        self.signal(SIGTERM)
    }

    fn must_end_by_itself(&self) -> bool {
        let options = &self.scenario.options;
        let has_end = options.max_time.is_some()
            || (options.idle_timeout.is_some() && !self.fails_for_ever());
        self.scenario.last == Last::Healed && has_end
    }

    /// Whether a message is there that cannot be framed: it fails again and again, and the queue is never empty and idle for long.
    fn fails_for_ever(&self) -> bool {
        let messages = &self.broker.messages;
        messages
            .iter()
            .any(|one| one.is_unfit && one.gone.is_none())
    }

    /// True: something happened from outside.
    fn is_disturbed(&mut self) -> Result<bool, Failure> {
        match self.disturbances.front().copied() {
            Some((after, disturbance)) if after <= self.events => {
                self.disturbances.pop_front();
                self.disturb(disturbance)?;
                Ok(true)
            }
            None if !self.is_calm() && self.events >= self.calm_after() => {
                self.calm_down();
                Ok(true)
            }
            None if self.is_tried_in_vain() => {
                self.last_signal()?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether the run has long been trying nothing but messages that fail for ever. It would go on without end, unless its time is
    /// limited.
    fn is_tried_in_vain(&self) -> bool {
        self.signals == 0
            && self.is_calm()
            && self.scenario.options.max_time.is_none()
            && self.fails_for_ever()
            && self.events >= 10 * self.calm_after()
    }

    fn calm_after(&self) -> u64 {
        60 + 4 * self.scenario.messages as u64
    }

    fn is_present(&self, number: ConnectionId) -> bool {
        self.broker
            .channel
            .as_ref()
            .is_some_and(|channel| channel.number == number)
    }

    fn connected(&mut self, number: ConnectionId) -> Result<(), Failure> {
        if self.wire != Wire::Connecting || number != self.connection {
            return Ok(());
        }
        let trouble = self.scenario.trouble;
        let is_silent = self.is_calm() && self.scenario.last == Last::Silent;
        let failure = if is_silent || self.choices.chance(trouble.connect_fails) {
            Some(lost(true))
        } else if self.is_target_missing() || self.choices.chance(trouble.connect_is_refused) {
            Some(lost(false))
        } else {
            None
        };
        if let Some(failure) = failure {
            self.wire = Wire::None;
            return self.tell_broker(failure);
        }
        self.wire = Wire::Open;
        self.is_stuck = false;
        self.broker.open(number, self.scenario.options.prefetch);
        self.tell_end_of_stream()?;
        let kind = self.scenario.broker;
        self.tell_broker(FromBroker::Connected {
            delivery_limit: kind.limit.filter(|_| kind.tells_limit),
            prefetch_of_channel: kind.prefetch_of_channel,
        })
    }

    /// Where the stream ends at first, if the run ends there and it is known.
    fn tell_end_of_stream(&mut self) -> Result<(), Failure> {
        let options = &self.scenario.options;
        let count = self.broker.messages.len() as u64;
        let is_asked = options.is_stream && options.idle_timeout == Some(Duration::ZERO);
        if !is_asked || count == 0 || !self.scenario.tells_end {
            return Ok(());
        }
        let end = *self.end_of_stream.get_or_insert(count);
        self.tell_broker(FromBroker::StreamEndsAt(end))
    }

    /// Whether a queue is not there that is looked at with each new connection.
    fn is_target_missing(&self) -> bool {
        let options = &self.scenario.options;
        self.broker.queue_was_deleted
            || (options.publishes_output && self.broker.output_was_deleted)
    }

    fn process(&mut self) -> Result<(), Failure> {
        if self.is_stuck {
            return Ok(());
        }
        let waiting = self
            .broker
            .channel
            .as_ref()
            .map_or(0, |channel| channel.outgoing.len());
        let count = waiting - self.choices.index(waiting.max(1));
        for _ in 0..count {
            self.process_one()?;
        }
        Ok(())
    }

    fn process_one(&mut self) -> Result<(), Failure> {
        let says_empty =
            self.scenario.broker.is_quorum && self.choices.chance(self.scenario.trouble.says_empty);
        match self.broker.process(says_empty, self.reached) {
            Processed::GoesOn => Ok(()),
            Processed::Refused => {
                self.reached
                    .mark("the broker ends the connection by an error");
                self.end_channel(0);
                Ok(())
            }
            Processed::UnknownTag(id) => Err(Failure::of(
                "a delivery is settled once, on its own channel",
                format!("{id}"),
            )),
        }
    }

    /// The next thing that the broker sent comes.
    fn hear(&mut self) -> Result<(), Failure> {
        let now = self.now;
        let Some(event) = self
            .broker
            .channel
            .as_mut()
            .filter(|channel| channel.silent_until.is_none_or(|end| end <= now))
            .and_then(|channel| channel.incoming.pop_front())
        else {
            return Ok(());
        };
        if matches!(event, FromBroker::Lost(_) | FromBroker::Closed) {
            self.broker.channel = None;
            self.wire = Wire::None;
        }
        self.tell_broker(event)
    }
}

fn lost(is_transient: bool) -> FromBroker {
    FromBroker::Lost(ConnectionFailure {
        reason: "lost".to_owned(),
        is_transient,
    })
}

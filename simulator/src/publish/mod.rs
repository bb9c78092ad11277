//! amqp-publish's core among a model broker, an input, a checkpoint and signals.
//!
//! First there is trouble: in each step something that can happen happens, in any order. Then there are no more surprises:
//! all works, or the broker is silent for ever, or it is gone for ever; and the run must end in time. Where only a signal
//! can end it, it gets one.

mod broker;
mod driver;
mod oracle;
mod scenario;
mod steps;
mod trouble;

use std::time::Duration;

use amqp_tools::publish::run::{ConnectionId, RecordId, Run};

use crate::choices::Choices;
use crate::reached::Reached;
use crate::world::{Failure, Stats, Transcript, World};
use broker::{Broker, Wire};
use oracle::Oracle;
use scenario::{Last, Scenario};

/// So many steps with surprises at most.
const SURPRISING_STEPS: u32 = 80;

/// So many steps at most without.
const CALM_STEPS: u32 = 400;

/// How long the close of a connection waits for its answer, and the question for what comes back.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A run that only waits gets a signal after so long.
const PATIENCE: Duration = Duration::from_secs(100);

/// How long a run may take after its last signal: the grace, the close, and nothing else.
const END_AFTER_SIGNAL: Duration = Duration::from_secs(11);

const SIGTERM: i32 = 15;

/// The world of publishing.
#[derive(Clone, Copy, Debug)]
pub struct Publish;

impl World for Publish {
    const NAME: &'static str = "publish";

    const MARKS: &'static [&'static str] = &[
        "a checkpoint fails at the end",
        "a checkpoint fails while publishing",
        "a close is answered",
        "a confirmation comes with a break",
        "a message waits for its time",
        "a rejected message comes back when asked for",
        "a rejection comes with a break",
        "a return comes with a break",
        "a return may overtake a confirmation",
        "a second signal",
        "a signal while catching up",
        "a signal while closing",
        "a signal while connecting",
        "a signal with messages on the way",
        "alike messages are on the way",
        "bytes fill the window",
        "confirmed many at once",
        "confirmed out of order",
        "connections break in vain",
        "it is caught up",
        "it is not said in time what comes back",
        "it is given up for silence at the end",
        "messages fill the window",
        "no answer to a close, unconfirmed",
        "no connection",
        "nothing is done after a refusal but to wait for fates",
        "paused with messages to send",
        "refused while connections break",
        "some are sent again",
        "some are sent again twice",
        "the broker handled what it never confirmed",
        "the grace ends",
        "the input fails with messages on the way",
        "the place is saved while publishing",
        "the queue is asked for",
        "the queue is gone, and that is found out",
    ];

    fn run(
        choices: &mut Choices,
        reached: &mut Reached,
        transcript: &mut Transcript,
    ) -> Result<Stats, Failure> {
        let scenario = Scenario::drawn(choices);
        transcript.line(|| format!("{scenario:?}"));
        let mut world = Simulation::begin(scenario, choices, reached, transcript);
        world.surprise()?;
        world.calm_down()?;
        let Some(ended) = world.run.ended() else {
            return Err(Failure::of("it ends", "it has not"));
        };
        world.transcript.line(|| format!("{ended:?}"));
        world
            .oracle
            .judge_end(&ended, &world.run, &world.scenario, &world.broker)?;
        Ok(Stats {
            events: world.events,
        })
    }
}

/// The way to the broker.
#[derive(Clone, Debug)]
enum Link {
    None,
    Connecting,
    Open(Wire),
    /// The broker owes the answer to a question since then.
    CatchingUp(Wire, Duration),
    /// The broker owes the answer to connection.close since then.
    Closing(Wire, Duration),
}

impl Link {
    fn wire(&self) -> Option<&Wire> {
        match self {
            Link::Open(wire) | Link::CatchingUp(wire, _) | Link::Closing(wire, _) => Some(wire),
            Link::None | Link::Connecting => None,
        }
    }

    fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self {
            Link::Open(wire) | Link::CatchingUp(wire, _) | Link::Closing(wire, _) => Some(wire),
            Link::None | Link::Connecting => None,
        }
    }
}

struct Simulation<'world> {
    scenario: Scenario,
    choices: &'world mut Choices,
    reached: &'world mut Reached,
    transcript: &'world mut Transcript,
    run: Run,
    now: Duration,
    events: u64,
    broker: Broker,
    link: Link,
    connection: ConnectionId,
    /// What was sent comes to nothing: the connection has ended, and the core is not told yet.
    is_draining: bool,
    question: Option<RecordId>,
    oracle: Oracle,
    last_signal: Option<Duration>,
    /// How much later than it was due the core was woken since the last signal: the tool was stopped meanwhile.
    overslept: Duration,
    is_calm: bool,
    was_sent_again: bool,
    breaks: u32,
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Tell,
    Say,
    Handle,
    Read,
    Connect,
    Close,
    CatchUp,
    Answer,
}

impl<'world> Simulation<'world> {
    fn begin(
        scenario: Scenario,
        choices: &'world mut Choices,
        reached: &'world mut Reached,
        transcript: &'world mut Transcript,
    ) -> Simulation<'world> {
        let mut actions = Vec::new();
        let run = Run::begin(scenario.options, &mut actions);
        transcript.line(|| format!("begin: {actions:?}"));
        Simulation {
            broker: Broker::new(&scenario),
            scenario,
            choices,
            reached,
            transcript,
            run,
            now: Duration::ZERO,
            events: 0,
            link: Link::Connecting,
            connection: 1,
            is_draining: false,
            question: None,
            oracle: Oracle::default(),
            last_signal: None,
            overslept: Duration::ZERO,
            is_calm: false,
            was_sent_again: false,
            breaks: 0,
        }
    }

    /// The phase in which anything may happen.
    fn surprise(&mut self) -> Result<(), Failure> {
        for _ in 0..SURPRISING_STEPS {
            if self.run.ended().is_some() {
                break;
            }
            self.disturb()?;
            if self.run.ended().is_some() {
                break;
            }
            let possible = self.possible();
            if possible.is_empty() || self.choices.chance(self.scenario.trouble.time_passes) {
                self.pass_time()?;
            } else {
                let step = self.choices.one_of(&possible);
                self.take(step)?;
            }
            // Nothing but the time is waited for: it is what comes next.
            if self.possible().is_empty() && self.run.deadline().is_none() && !self.is_disturbed() {
                break;
            }
        }
        Ok(())
    }

    fn is_disturbed(&self) -> bool {
        let trouble = self.scenario.trouble;
        trouble.breaks + trouble.signals + trouble.pauses > 0
    }

    /// The phase without surprises.
    fn calm_down(&mut self) -> Result<(), Failure> {
        self.is_calm = true;
        let last = self.scenario.last;
        self.transcript.line(|| format!("from here on: {last:?}"));
        if last == Last::Healed {
            self.broker.is_full = false;
            if matches!(&self.link, Link::Open(wire) if wire.is_paused) {
                self.resume()?;
            }
        }
        let began = self.now;
        for _ in 0..CALM_STEPS {
            if self.run.ended().is_some() {
                return self.judge_end_in_time();
            }
            match self.possible().first() {
                Some(step) => self.take(*step)?,
                None if last == Last::Gone && self.wire().is_some() => self.break_connection()?,
                None => self.wait_calmly(began)?,
            }
        }
        Err(Failure::of("it ends", format!("{:?}", self.run)))
    }

    /// Nothing happens by itself any more: the time passes, or a signal comes.
    fn wait_calmly(&mut self, began: Duration) -> Result<(), Failure> {
        let is_over = self.now >= began + PATIENCE;
        match (self.next_time(), self.last_signal) {
            (Some(time), Some(_)) => self.let_time_pass_until(time),
            (Some(time), None) if !is_over => self.let_time_pass_until(time),
            (_, None) => self.signal(),
            (None, Some(signal))
                if self.oracle.signals < 3 && self.now < signal + END_AFTER_SIGNAL =>
            {
                Err(Failure::of(
                    "after a signal something is waited for that comes",
                    "",
                ))
            }
            (None, Some(_)) => Err(Failure::of("it ends", "nothing is waited for")),
        }
    }

    fn judge_end_in_time(&self) -> Result<(), Failure> {
        match self.last_signal {
            Some(signal) if self.now > signal + self.overslept + END_AFTER_SIGNAL => {
                Err(Failure::of(
                    "a signal ends it in time",
                    format!("{:?} after it", self.now.saturating_sub(signal)),
                ))
            }
            _ => Ok(()),
        }
    }

    /// When something comes to pass by the time alone.
    fn next_time(&self) -> Option<Duration> {
        [self.answer_is_due(), self.run.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Until when the broker must have answered, or the connection is cut.
    fn answer_is_due(&self) -> Option<Duration> {
        let is_confirmed = self.scenario.options.max_in_flight.is_some();
        match &self.link {
            Link::Closing(_, since) => Some(*since + CLOSE_LIMIT),
            Link::CatchingUp(_, since) if is_confirmed => Some(*since + CLOSE_LIMIT),
            _ => None,
        }
    }
}

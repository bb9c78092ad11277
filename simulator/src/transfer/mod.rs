//! amqp-move's core among a model broker with a source and a target, rivals and signals.
//!
//! First there is trouble: in each step something that can happen happens, in any order. Then there are no more surprises:
//! all works, or the broker is silent for ever, or it is gone for ever; and the run must end in time. Where only a signal
//! can end it, it gets one.

mod broker;
mod driver;
mod oracle;
mod scenario;
mod trouble;

use std::time::Duration;

use amqp_tools::transfer::run::{Connection, Extent, Run, Time};

use crate::choices::Choices;
use crate::reached::Reached;
use crate::world::{Failure, Stats, Transcript, World};
use broker::Broker;
use oracle::Oracle;
use scenario::{Last, Scenario};

/// So many steps with surprises at most.
const SURPRISING_STEPS: u32 = 120;

/// So many steps at most without.
const CALM_STEPS: u32 = 3_000;

/// How long the close of a connection waits for its answer.
const CLOSE_LIMIT: Time = Duration::from_secs(5);

/// The broker notices the end of a connection within this time.
const NOTICED_WITHIN: Time = Duration::from_secs(8);

/// A run that only waits gets a signal after so long.
const PATIENCE: Time = Duration::from_secs(100);

/// How long a run may take after its last signal: the grace, the close, and nothing else.
const END_AFTER_SIGNAL: Time = Duration::from_secs(11);

const SIGTERM: i32 = 15;

/// The world of moving.
#[derive(Clone, Copy, Debug)]
pub struct Move;

impl World for Move {
    const NAME: &'static str = "move";

    const MARKS: &'static [&'static str] = &[
        "a close is answered",
        "a confirmation comes with a break",
        "a count lies",
        "a large message makes the prefetch small",
        "a message is unfit",
        "a rejection comes with a break",
        "a return comes with a break",
        "a second signal",
        "a signal while closing",
        "a signal while connecting",
        "a signal with messages in hand",
        "acknowledgements are in doubt",
        "an answer spans subscriptions",
        "confirmed many at once",
        "confirmed out of order",
        "it breaks between confirmation and acknowledgement",
        "it goes on after a break and completes",
        "more came while it ran",
        "no connection",
        "paused with messages in hand",
        "refused and others are acknowledged",
        "refused out of the middle",
        "rivals took some, and it completes",
        "some are given back",
        "the broker handled what it never confirmed",
        "the broker notices the end of a connection later",
        "the count ends it",
        "the grace ends",
        "the lines cannot be written",
        "the queue delivers nothing though it has messages",
        "the source goes away",
        "the subscription is replaced",
        "the target is asked for",
        "the target is gone, and that is found out",
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
        world.judge_end()?;
        Ok(Stats {
            events: world.events,
        })
    }
}

struct Simulation<'world> {
    scenario: Scenario,
    choices: &'world mut Choices,
    reached: &'world mut Reached,
    transcript: &'world mut Transcript,
    run: Run,
    now: Time,
    events: u64,
    broker: Broker,
    connection: Connection,
    is_connecting: bool,
    /// The broker owes the answer to connection.close since then.
    closing_since: Option<Time>,
    /// What was sent comes to nothing: the connection has ended, and the core is not told yet.
    is_draining: bool,
    question_is_open: bool,
    /// When the broker notices that the last connection has ended.
    noticed_at: Option<Time>,
    latecomers: usize,
    oracle: Oracle,
    last_signal: Option<Time>,
    /// How much later than it was due the core was woken since the last signal: the tool was stopped meanwhile.
    overslept: Time,
    is_calm: bool,
    breaks: u32,
    subscribed: u32,
    /// The core was told that nothing more is at hand, and of nothing since.
    is_quiet: bool,
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    TellAnswer,
    TellDelivery,
    Say,
    Process,
    Lead,
    Deliver,
    Close,
    Connect,
    Answer,
    Notice,
    Quiet,
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
            latecomers: scenario.latecomers,
            scenario,
            choices,
            reached,
            transcript,
            run,
            now: Time::ZERO,
            events: 0,
            connection: 1,
            is_connecting: true,
            closing_since: None,
            is_draining: false,
            question_is_open: false,
            noticed_at: None,
            oracle: Oracle::default(),
            last_signal: None,
            overslept: Time::ZERO,
            is_calm: false,
            breaks: 0,
            subscribed: 0,
            is_quiet: true,
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
        }
        Ok(())
    }

    /// The phase without surprises.
    fn calm_down(&mut self) -> Result<(), Failure> {
        self.is_calm = true;
        let last = self.scenario.last;
        self.transcript.line(|| format!("from here on: {last:?}"));
        if last == Last::Healed {
            self.broker.is_full = false;
            self.broker.is_withheld = false;
            if self
                .broker
                .channel
                .as_ref()
                .is_some_and(|channel| channel.is_paused)
            {
                self.resume()?;
            }
        }
        let began = self.now;
        for _ in 0..CALM_STEPS {
            if self.run.ended().is_some() {
                return self.judge_end_in_time();
            }
            match self.possible().first().copied() {
                Some(step) => self.take(step)?,
                None if last == Last::Gone && self.broker.channel.is_some() => {
                    self.break_connection()?;
                }
                None => self.wait_calmly(began)?,
            }
        }
        Err(Failure::of("it ends", format!("{:?}", self.run)))
    }

    /// Nothing happens by itself any more: the time passes, or a signal comes.
    fn wait_calmly(&mut self, began: Time) -> Result<(), Failure> {
        let is_over = self.now >= began + PATIENCE;
        match (self.next_time(), self.last_signal) {
            (Some(time), Some(_)) => self.let_time_pass_until(time),
            (Some(time), None) if !is_over => self.let_time_pass_until(time),
            (_, None) => {
                let may_wait_for_ever = self.scenario.options.extent == Extent::Follow
                    || self.scenario.last != Last::Healed
                    || self
                        .broker
                        .channel
                        .as_ref()
                        .is_some_and(|channel| channel.is_deaf);
                if !may_wait_for_ever {
                    return Err(Failure::of(
                        "where all works it ends by itself",
                        format!("{:?}", self.run),
                    ));
                }
                self.signal()
            }
            (None, Some(signal))
                if self.oracle.signals < 3 && self.now < signal + END_AFTER_SIGNAL =>
            {
                Err(Failure::of(
                    "after a signal something is waited for that comes",
                    format!("{:?}", self.run),
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
    fn next_time(&self) -> Option<Time> {
        let close = self.closing_since.map(|since| since + CLOSE_LIMIT);
        [close, self.run.deadline(), self.noticed_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn judge_end(&mut self) -> Result<(), Failure> {
        let Some(ended) = self.run.ended() else {
            return Err(Failure::of("it ends", "it has not"));
        };
        self.transcript.line(|| format!("{ended:?}"));
        // What the tool has left behind.
        self.broker.end_connection(true, self.reached);
        self.broker.let_go();
        self.look_back(&ended);
        self.oracle
            .judge_end(&ended, &self.run, &self.scenario, &self.broker)
    }
}

//! amqp-publish's core among a model broker, an input, a checkpoint and signals.
//!
//! First there is trouble: in each step something that can happen happens, in any order. Then there are no more surprises:
//! all works, or the broker is silent for ever, or it is gone for ever; and the run must end in time. Where only a signal
//! can end it, it gets one.

mod broker;
mod oracle;
mod scenario;

use std::time::Duration;

use amqp_tools::publish::run::{
    Action, Connection, Event, FromBroker, Id, QueueIs, Run, Time, Trouble,
};

use crate::choices::Choices;
use crate::reached::Reached;
use crate::world::{Failure, Stats, Transcript, World};
use broker::{Broker, Wire};
use oracle::Oracle;
use scenario::{InputEnd, Last, Scenario};

/// So many steps with surprises at most.
const SURPRISING_STEPS: u32 = 80;

/// So many steps at most without.
const CALM_STEPS: u32 = 400;

/// How long the close of a connection waits for its answer.
const CLOSE_LIMIT: Time = Duration::from_secs(5);

/// A run that only waits gets a signal after so long.
const PATIENCE: Time = Duration::from_secs(100);

/// How long a run may take after its last signal: the grace, the close, and nothing else.
const END_AFTER_SIGNAL: Time = Duration::from_secs(11);

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
    /// Everything was published, and the broker owes the answer to a question.
    CatchingUp(Wire),
    /// The broker owes the answer to connection.close since then.
    Closing(Wire, Time),
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
    link: Link,
    connection: Connection,
    /// What was sent comes to nothing: the connection has ended, and the core is not told yet.
    is_draining: bool,
    question: Option<Id>,
    oracle: Oracle,
    last_signal: Option<Time>,
    /// How much later than it was due the core was woken since the last signal: the tool was stopped meanwhile.
    overslept: Time,
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
            now: Time::ZERO,
            events: 0,
            link: Link::Connecting,
            connection: 1,
            is_draining: false,
            question: None,
            oracle: Oracle::default(),
            last_signal: None,
            overslept: Time::ZERO,
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
    fn wait_calmly(&mut self, began: Time) -> Result<(), Failure> {
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
    fn next_time(&self) -> Option<Time> {
        let close = match &self.link {
            Link::Closing(_, since) => Some(*since + CLOSE_LIMIT),
            _ => None,
        };
        [close, self.run.deadline()].into_iter().flatten().min()
    }

    /// What can happen now, the most harmless first.
    fn possible(&self) -> Vec<Step> {
        let mut possible = Vec::new();
        let is_silent = self.is_calm && self.scenario.last == Last::Silent;
        let mut add = |step, is_possible: bool| {
            if is_possible {
                possible.push(step);
            }
        };
        if let Some(wire) = self.wire()
            && !is_silent
            && !wire.is_deaf
        {
            add(
                Step::Tell,
                wire.has_said_something() && !matches!(self.link, Link::Closing(..)),
            );
            add(Step::Say, wire.has_more_to_say());
            add(Step::Handle, wire.has_more_to_handle() && !wire.is_paused);
            let has_all = !wire.has_more_to_handle();
            add(
                Step::Close,
                has_all && matches!(self.link, Link::Closing(..)),
            );
            let catches_up = matches!(self.link, Link::CatchingUp(_));
            add(
                Step::CatchUp,
                has_all && catches_up && !wire.has_said_something(),
            );
        }
        add(Step::Read, self.run.wants_record() && self.has_input());
        add(Step::Connect, matches!(self.link, Link::Connecting));
        add(Step::Answer, self.question.is_some());
        possible
    }

    /// Whether there is more of the input, or its end.
    fn has_input(&self) -> bool {
        let has_records = self.oracle.read < self.scenario.records.len() as u64;
        has_records || self.scenario.input_end != InputEnd::StaysOpen
    }

    fn wire(&self) -> Option<&Wire> {
        match &self.link {
            Link::Open(wire) | Link::CatchingUp(wire) | Link::Closing(wire, _) => Some(wire),
            Link::None | Link::Connecting => None,
        }
    }

    fn wire_mut(&mut self) -> Option<&mut Wire> {
        match &mut self.link {
            Link::Open(wire) | Link::CatchingUp(wire) | Link::Closing(wire, _) => Some(wire),
            Link::None | Link::Connecting => None,
        }
    }

    fn take(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Tell => self.tell_next(),
            Step::Say => {
                let (choices, reached) = (&mut *self.choices, &mut *self.reached);
                if let Link::Open(wire) | Link::CatchingUp(wire) | Link::Closing(wire, _) =
                    &mut self.link
                {
                    wire.say_next(choices, reached);
                }
                Ok(())
            }
            Step::Handle => {
                self.handle_next();
                Ok(())
            }
            Step::Read => self.read(),
            Step::Connect => self.connect(),
            Step::Close => {
                self.link = Link::None;
                self.reached.mark("a close is answered");
                self.tell_broker(FromBroker::Closed)
            }
            Step::CatchUp => {
                if let Link::CatchingUp(wire) = std::mem::replace(&mut self.link, Link::None) {
                    self.link = Link::Open(wire);
                }
                self.reached.mark("it is caught up");
                self.tell_broker(FromBroker::CaughtUp)
            }
            Step::Answer => self.answer(),
        }
    }

    fn handle_next(&mut self) -> bool {
        match &mut self.link {
            Link::Open(wire) | Link::CatchingUp(wire) | Link::Closing(wire, _) => {
                self.broker.handle_next(wire, &self.scenario)
            }
            Link::None | Link::Connecting => false,
        }
    }

    fn tell_next(&mut self) -> Result<(), Failure> {
        let (choices, reached) = (&mut *self.choices, &mut *self.reached);
        let told = match &mut self.link {
            Link::Open(wire) | Link::CatchingUp(wire) | Link::Closing(wire, _) => {
                wire.tell_next(&self.scenario, choices, reached)
            }
            Link::None | Link::Connecting => None,
        };
        let Some(event) = told else {
            return Ok(());
        };
        let refuses = matches!(
            event,
            FromBroker::Returned { .. }
                | FromBroker::Confirmed(amqp_tools::broker::Confirmation::Nacked(_))
        );
        self.oracle.is_refused |= refuses;
        if refuses && self.breaks > 0 {
            self.reached.mark("refused while connections break");
        }
        if refuses && self.oracle.published_more_than(1) {
            self.reached
                .mark("nothing is done after a refusal but to wait for fates");
        }
        if self.is_draining {
            self.reached.mark(match event {
                FromBroker::Returned { .. } => "a return comes with a break",
                _ if refuses => "a rejection comes with a break",
                _ => "a confirmation comes with a break",
            });
        }
        self.tell_broker(event)
    }

    fn read(&mut self) -> Result<(), Failure> {
        let index = usize::try_from(self.oracle.read).unwrap_or(usize::MAX);
        if let Some(planned) = self.scenario.records.get(index) {
            let record = planned.told;
            if !self.is_calm && self.choices.chance(20) {
                return self.tell(Event::NoRecord);
            }
            self.oracle.read += 1;
            return self.tell(Event::Record(record));
        }
        match self.scenario.input_end {
            InputEnd::Fails => {
                self.oracle.input_has_failed = true;
                if self.wire().is_some_and(Wire::has_more_to_say) {
                    self.reached
                        .mark("the input fails with messages on the way");
                }
                self.tell(Event::InputFailed("it cannot be read".to_owned()))
            }
            InputEnd::Ends | InputEnd::StaysOpen => {
                self.oracle.input_was_at_end = true;
                self.tell(Event::InputEnded)
            }
        }
    }

    fn connect(&mut self) -> Result<(), Failure> {
        let is_gone = self.is_calm && self.scenario.last != Last::Healed;
        if is_gone || self.choices.chance(self.scenario.trouble.cannot_connect) {
            self.link = Link::None;
            self.oracle.was_lost = true;
            self.reached.mark("no connection");
            return self.tell_broker(FromBroker::CannotConnect("nobody is there".to_owned()));
        }
        self.link = Link::Open(Wire::default());
        self.tell_broker(FromBroker::Connected)
    }

    fn answer(&mut self) -> Result<(), Failure> {
        let Some(id) = self.question.take() else {
            return Ok(());
        };
        let is_gone = !self.broker.queue_is_there || !broker::planned(&self.scenario, id).has_queue;
        let can_be_told = !(self.is_calm && self.scenario.last == Last::Gone);
        let answer = if is_gone && can_be_told {
            self.oracle.queue_was_called_gone = true;
            QueueIs::Gone(format!("the queue of {id} is gone"))
        } else {
            QueueIs::NotKnownToBeGone
        };
        let was_publishing = self.run.ended().is_none() && !self.oracle.is_refused;
        self.tell(Event::Queue(id, answer))?;
        if is_gone && can_be_told && was_publishing && self.run.ended().is_some() {
            self.reached
                .mark("the queue is gone, and that is found out");
        }
        Ok(())
    }

    /// Something goes wrong, or somebody interferes.
    fn disturb(&mut self) -> Result<(), Failure> {
        let trouble = self.scenario.trouble;
        if self.wire().is_some() && self.choices.chance(trouble.breaks) {
            self.break_connection()?;
        }
        if self.choices.chance(trouble.fills) {
            self.broker.is_full = !self.broker.is_full;
            let is_full = self.broker.is_full;
            self.transcript
                .line(|| format!("the queue is full: {is_full}"));
        }
        if self.broker.queue_is_there && self.choices.chance(trouble.queue_goes) {
            self.broker.queue_is_there = false;
            let deafens = self.choices.chance(50);
            if let Some(wire) = self.wire_mut() {
                wire.is_deaf = deafens && wire.has_more_to_handle();
            }
            self.transcript.line(|| "the queue is deleted".to_owned());
        }
        if self.choices.chance(trouble.pauses) {
            match &mut self.link {
                Link::Open(wire) if !wire.is_deaf && !wire.is_paused => {
                    wire.is_paused = true;
                    if self.run.wants_record() {
                        self.reached.mark("paused with messages to send");
                    }
                    self.tell_broker(FromBroker::Paused)?;
                }
                Link::Open(wire) if wire.is_paused => self.resume()?,
                _ => {}
            }
        }
        if self.oracle.signals < 3 && self.choices.chance(trouble.signals) {
            self.signal()?;
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Failure> {
        if let Some(wire) = self.wire_mut() {
            wire.is_paused = false;
        }
        self.tell_broker(FromBroker::Resumed)
    }

    fn signal(&mut self) -> Result<(), Failure> {
        self.oracle.signals += 1;
        self.last_signal = Some(self.now);
        self.overslept = Time::ZERO;
        let is_on_the_way = self.run.in_doubt() > 0;
        self.reached.mark(match &self.link {
            _ if self.oracle.signals > 1 => "a second signal",
            Link::Connecting => "a signal while connecting",
            Link::CatchingUp(_) => "a signal while catching up",
            Link::Closing(..) => "a signal while closing",
            Link::Open(_) if is_on_the_way => "a signal with messages on the way",
            Link::Open(_) | Link::None => "a signal",
        });
        self.tell(Event::Signal(SIGTERM))
    }

    /// The connection ends between any two bytes: the broker has handled a part of what was sent, and a part of what it
    /// said has come.
    fn break_connection(&mut self) -> Result<(), Failure> {
        self.breaks += 1;
        self.oracle.was_lost = true;
        let unhandled = self
            .wire()
            .map_or(0, |wire| wire.published.len() - wire.handled);
        for _ in 0..self.choices.index(unhandled + 1) {
            self.handle_next();
            self.reached
                .mark("the broker handled what it never confirmed");
        }
        self.transcript.line(|| "the connection breaks".to_owned());
        self.is_draining = true;
        while self.wire().is_some_and(Wire::has_said_something)
            && !matches!(self.link, Link::Closing(..))
            && self.choices.chance(70)
        {
            self.tell_next()?;
        }
        self.is_draining = false;
        if self.wire().is_none() {
            // What had come has ended it.
            return Ok(());
        }
        let was_closing = matches!(self.link, Link::Closing(..));
        self.link = Link::None;
        self.lose("the connection broke", was_closing)
    }

    fn lose(&mut self, reason: &str, was_closing: bool) -> Result<(), Failure> {
        self.oracle.was_lost = true;
        if was_closing && self.scenario.options.max_in_flight.is_none() {
            self.reached.mark("no answer to a close, unconfirmed");
        }
        if self.breaks > 2 && self.run.tally().confirmed == 0 {
            self.reached.mark("connections break in vain");
        }
        self.tell_broker(FromBroker::Lost(Trouble {
            reason: reason.to_owned(),
            may_pass: true,
        }))
    }

    /// Some time passes.
    fn pass_time(&mut self) -> Result<(), Failure> {
        let some = self.choices.one_of(&[0, 1, 200, 6_000, 31_000]);
        let time = match (some, self.next_time()) {
            (0, Some(time)) => time,
            (some, _) => self.now + Duration::from_millis(some),
        };
        self.let_time_pass_until(time)
    }

    fn let_time_pass_until(&mut self, time: Time) -> Result<(), Failure> {
        if let Some(due) = self.next_time() {
            self.overslept += time.saturating_sub(due.max(self.now));
        }
        self.now = self.now.max(time);
        if let Link::Closing(_, since) = &self.link
            && self.now >= *since + CLOSE_LIMIT
        {
            self.link = Link::None;
            return self.lose("the close was not answered", true);
        }
        self.tell(Event::Time)
    }

    fn tell_broker(&mut self, event: FromBroker) -> Result<(), Failure> {
        self.tell(Event::Broker(self.connection, event))
    }

    /// Tells the core, carries out what it says, and judges that.
    fn tell(&mut self, event: Event) -> Result<(), Failure> {
        self.events += 1;
        let mut actions = Vec::new();
        let in_line = self.transcript.is_kept().then(|| format!("{event:?}"));
        self.run.on(event, self.now, &mut actions);
        if let Some(line) = in_line {
            let now = self.now;
            self.transcript
                .line(|| format!("{now:?} {line} -> {actions:?}"));
        }
        let mut answers = Vec::new();
        for action in &actions {
            let wire = match &self.link {
                Link::Open(wire) | Link::CatchingUp(wire) | Link::Closing(wire, _) => Some(wire),
                Link::None | Link::Connecting => None,
            };
            self.oracle
                .judge_action(action, &self.run, &self.broker, wire)?;
            self.carry_out(action, &mut answers);
        }
        self.look_where_it_is();
        let wire = match &self.link {
            Link::Open(wire) | Link::CatchingUp(wire) | Link::Closing(wire, _) => Some(wire),
            Link::None | Link::Connecting => None,
        };
        self.oracle
            .judge_state(&self.run, &self.scenario, &self.broker, wire)?;
        for answer in answers {
            self.tell(answer)?;
        }
        Ok(())
    }

    fn look_where_it_is(&mut self) {
        let most = self.scenario.options.max_in_flight;
        let in_doubt = self.run.in_doubt();
        if most.is_some_and(|most| in_doubt == most.get() && in_doubt > 1) {
            self.reached.mark("messages fill the window");
        }
    }

    fn carry_out(&mut self, action: &Action, answers: &mut Vec<Event>) {
        match action {
            Action::Connect(connection, _) => {
                self.connection = *connection;
                self.link = Link::Connecting;
            }
            // The connection has ended already.
            Action::Publish(_) | Action::CatchUp | Action::Close if self.is_draining => {}
            Action::Publish(id) => self.publish(*id),
            Action::CatchUp => {
                if let Link::Open(wire) = std::mem::replace(&mut self.link, Link::None) {
                    self.link = Link::CatchingUp(wire);
                }
            }
            Action::Close => {
                if let Link::Open(wire) = std::mem::replace(&mut self.link, Link::None) {
                    self.link = Link::Closing(wire, self.now);
                }
            }
            Action::Abandon => {
                if self
                    .last_signal
                    .is_some_and(|signal| self.now >= signal + CLOSE_LIMIT)
                {
                    self.reached.mark("the grace ends");
                }
                if self.last_signal.is_none() && self.oracle.is_refused {
                    self.reached.mark("it is given up for silence at the end");
                }
                self.oracle.was_lost = true;
                self.link = Link::None;
            }
            Action::AskForQueue(id) => {
                self.reached.mark("the queue is asked for");
                self.question = Some(*id);
            }
            Action::SavePlace(id) => {
                if self.write_checkpoint(*id) {
                    self.reached.mark("the place is saved while publishing");
                } else {
                    self.reached.mark("a checkpoint fails while publishing");
                    answers.push(Event::CannotSavePlace("the disk is full".to_owned()));
                }
            }
            Action::KeepPlace => {
                let answer = if self.write_checkpoint(self.run.first_unconfirmed() - 1) {
                    Event::PlaceKept
                } else {
                    self.reached.mark("a checkpoint fails at the end");
                    Event::CannotSavePlace("the disk is full".to_owned())
                };
                answers.push(answer);
            }
            Action::Say(_) => {}
        }
    }

    /// False: it cannot be written.
    fn write_checkpoint(&mut self, id: Id) -> bool {
        if self.choices.chance(self.scenario.trouble.checkpoint_fails) {
            self.oracle.is_checkpoint_broken = true;
            return false;
        }
        self.oracle.checkpoint = id;
        true
    }

    fn publish(&mut self, id: Id) {
        let told = broker::planned(&self.scenario, id).told;
        let is_alike = |other: &Id| {
            *other != id
                && broker::planned(&self.scenario, *other).told.fingerprint == told.fingerprint
        };
        let Some(wire) = self.wire() else {
            return;
        };
        let has_alike = wire.published.iter().any(is_alike);
        if has_alike {
            self.reached.mark("alike messages are on the way");
        }
        if self.connection > 1 && id < self.oracle.read {
            if self.was_sent_again && self.connection > 2 {
                self.reached.mark("some are sent again twice");
            }
            self.reached.mark("some are sent again");
            self.was_sent_again = true;
        }
        if let Some(wire) = self.wire_mut() {
            wire.published.push(id);
        }
        if told.length > 1 && !self.run.wants_record() {
            self.reached.mark("bytes fill the window");
        }
    }
}

//! What goes on by itself: the broker handles and says, the input is read, connections are made.

use amqp_tools::publish::run::{Event, FromBroker};

use super::broker::{self, Wire};
use super::scenario::{InputEnd, Last};
use super::{Link, Simulation, Step};
use crate::world::Failure;

impl Simulation<'_> {
    /// What can happen now, the most harmless first.
    pub(super) fn possible(&self) -> Vec<Step> {
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
            let catches_up = matches!(self.link, Link::CatchingUp(..));
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
    pub(super) fn has_input(&self) -> bool {
        let has_records = self.oracle.read < self.scenario.records.len() as u64;
        has_records || self.scenario.input_end != InputEnd::StaysOpen
    }

    pub(super) fn take(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Tell => self.tell_next(),
            Step::Say => {
                let (choices, reached) = (&mut *self.choices, &mut *self.reached);
                if let Some(wire) = self.link.wire_mut() {
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
                let reached = &mut *self.reached;
                if let Some(wire) = self.link.wire_mut().filter(|wire| wire.owes_returns()) {
                    wire.return_the_rest(reached);
                    return Ok(());
                }
                if let Link::CatchingUp(wire, _) = std::mem::replace(&mut self.link, Link::None) {
                    self.link = Link::Open(wire);
                }
                self.reached.mark("it is caught up");
                self.tell_broker(FromBroker::CaughtUp)
            }
            Step::Answer => self.answer(),
        }
    }

    pub(super) fn handle_next(&mut self) -> bool {
        self.link
            .wire_mut()
            .is_some_and(|wire| self.broker.handle_next(wire, &self.scenario))
    }

    pub(super) fn tell_next(&mut self) -> Result<(), Failure> {
        let (choices, reached) = (&mut *self.choices, &mut *self.reached);
        let told = self
            .link
            .wire_mut()
            .and_then(|wire| wire.tell_next(&self.scenario, choices, reached));
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

    pub(super) fn read(&mut self) -> Result<(), Failure> {
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

    pub(super) fn connect(&mut self) -> Result<(), Failure> {
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

    pub(super) fn answer(&mut self) -> Result<(), Failure> {
        let Some(id) = self.question.take() else {
            return Ok(());
        };
        let is_gone = !self.broker.queue_is_there || !broker::planned(&self.scenario, id).has_queue;
        let can_be_told = !(self.is_calm && self.scenario.last == Last::Gone);
        let answer = if is_gone && can_be_told {
            self.oracle.queue_was_called_gone = true;
            Some(format!("the queue of {id} is gone"))
        } else {
            None
        };
        let was_publishing = self.run.ended().is_none() && !self.oracle.is_refused;
        self.tell(Event::QueueChecked(id, answer))?;
        if is_gone && can_be_told && was_publishing && self.run.ended().is_some() {
            self.reached
                .mark("the queue is gone, and that is found out");
        }
        Ok(())
    }
}

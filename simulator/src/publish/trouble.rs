//! What goes wrong, who interferes, and the time.

use std::time::Duration;

use amqp_tools::publish::run::{Event, FromBroker};
use amqp_tools::reason::ConnectionFailure;

use super::broker::Wire;
use super::{Link, SIGTERM, Simulation};
use crate::world::Failure;

impl Simulation<'_> {
    /// Something goes wrong, or somebody interferes.
    pub(super) fn disturb(&mut self) -> Result<(), Failure> {
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

    pub(super) fn resume(&mut self) -> Result<(), Failure> {
        if let Some(wire) = self.wire_mut() {
            wire.is_paused = false;
        }
        self.tell_broker(FromBroker::Resumed)
    }

    pub(super) fn signal(&mut self) -> Result<(), Failure> {
        self.oracle.signals += 1;
        self.last_signal = Some(self.now);
        self.overslept = Duration::ZERO;
        let is_on_the_way = self.run.in_doubt() > 0;
        self.reached.mark(match &self.link {
            _ if self.oracle.signals > 1 => "a second signal",
            Link::Connecting => "a signal while connecting",
            Link::CatchingUp(..) => "a signal while catching up",
            Link::Closing(..) => "a signal while closing",
            Link::Open(_) if is_on_the_way => "a signal with messages on the way",
            Link::Open(_) | Link::None => "a signal",
        });
        self.tell(Event::Signal(SIGTERM))
    }

    /// The connection ends between any two bytes: the broker has handled a part of what was sent, and a part of what it
    /// said has come.
    pub(super) fn break_connection(&mut self) -> Result<(), Failure> {
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

    pub(super) fn lose(&mut self, reason: &str, was_closing: bool) -> Result<(), Failure> {
        self.oracle.was_lost = true;
        if was_closing && self.scenario.options.max_in_flight.is_none() {
            self.reached.mark("no answer to a close, unconfirmed");
        }
        if self.breaks > 2 && self.run.tally().confirmed == 0 {
            self.reached.mark("connections break in vain");
        }
        self.tell_broker(FromBroker::Lost(ConnectionFailure {
            reason: reason.to_owned(),
            is_transient: true,
        }))
    }

    /// Some time passes.
    pub(super) fn pass_time(&mut self) -> Result<(), Failure> {
        let some = self.choices.one_of(&[0, 1, 200, 6_000, 31_000]);
        let time = match (some, self.next_time()) {
            (0, Some(time)) => time,
            (some, _) => self.now + Duration::from_millis(some),
        };
        self.let_time_pass_until(time)
    }

    pub(super) fn let_time_pass_until(&mut self, time: Duration) -> Result<(), Failure> {
        if let Some(due) = self.next_time() {
            self.overslept += time.saturating_sub(due.max(self.now));
        }
        self.now = self.now.max(time);
        if self.answer_is_due().is_some_and(|due| self.now >= due) {
            let was_closing = matches!(self.link, Link::Closing(..));
            if !was_closing {
                self.reached.mark("it is not said in time what comes back");
            }
            self.link = Link::None;
            return self.lose("it was not answered in time", was_closing);
        }
        self.tell(Event::Tick)
    }
}

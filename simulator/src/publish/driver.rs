//! What the driver does: tells the core, carries out what it says, and tells it what failed.

use amqp_tools::publish::run::{Action, Event, FromBroker, RecordId};

use super::broker::{self, Wire};
use super::{CLOSE_LIMIT, Link, Simulation};
use crate::world::Failure;

impl Simulation<'_> {
    pub(super) fn wire(&self) -> Option<&Wire> {
        self.link.wire()
    }

    pub(super) fn wire_mut(&mut self) -> Option<&mut Wire> {
        self.link.wire_mut()
    }

    pub(super) fn tell_broker(&mut self, event: FromBroker) -> Result<(), Failure> {
        self.tell(Event::Broker(self.connection, event))
    }

    /// Tells the core, carries out what it says, and judges that.
    pub(super) fn tell(&mut self, event: Event) -> Result<(), Failure> {
        self.events += 1;
        let mut actions = Vec::new();
        let may_have_to_wait = matches!(event, Event::Record(_))
            && self.scenario.options.pace.is_some()
            && matches!(self.link, Link::Open(_));
        let in_line = self.transcript.is_kept().then(|| format!("{event:?}"));
        self.run.on(event, self.now, &mut actions);
        if let Some(line) = in_line {
            let now = self.now;
            self.transcript
                .line(|| format!("{now:?} {line} -> {actions:?}"));
        }
        if may_have_to_wait && !matches!(actions[..], [Action::Publish(_), ..]) {
            self.reached.mark("a message waits for its time");
        }
        let mut answers = Vec::new();
        for action in &actions {
            let wire = self.link.wire();
            self.oracle
                .judge_action(action, &self.run, &self.broker, wire)?;
            if matches!(action, Action::Publish(_)) {
                self.oracle
                    .judge_pace(self.now, self.scenario.options.pace)?;
            }
            self.carry_out(action, &mut answers);
        }
        self.look_where_it_is();
        let wire = self.link.wire();
        self.oracle
            .judge_state(&self.run, &self.scenario, &self.broker, wire)?;
        for answer in answers {
            self.tell(answer)?;
        }
        Ok(())
    }

    pub(super) fn look_where_it_is(&mut self) {
        let most = self.scenario.options.max_in_flight;
        let in_doubt = self.run.in_doubt();
        if most.is_some_and(|most| in_doubt == most.get() && in_doubt > 1) {
            self.reached.mark("messages fill the window");
        }
    }

    pub(super) fn carry_out(&mut self, action: &Action, answers: &mut Vec<Event>) {
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
                    self.link = Link::CatchingUp(wire, self.now);
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
            Action::SaveCheckpoint(id) => {
                if self.write_checkpoint(*id) {
                    self.reached.mark("the place is saved while publishing");
                } else {
                    self.reached.mark("a checkpoint fails while publishing");
                    answers.push(Event::CannotSaveCheckpoint("the disk is full".to_owned()));
                }
            }
            Action::SyncCheckpoint => {
                let answer = if self.write_checkpoint(self.run.first_unconfirmed() - 1) {
                    Event::CheckpointSynced
                } else {
                    self.reached.mark("a checkpoint fails at the end");
                    Event::CannotSaveCheckpoint("the disk is full".to_owned())
                };
                answers.push(answer);
            }
            Action::Say(_) => {}
        }
    }

    /// False: it cannot be written.
    pub(super) fn write_checkpoint(&mut self, id: RecordId) -> bool {
        if self.choices.chance(self.scenario.trouble.checkpoint_fails) {
            self.oracle.is_checkpoint_broken = true;
            return false;
        }
        self.oracle.checkpoint = id;
        true
    }

    pub(super) fn publish(&mut self, id: RecordId) {
        let told = broker::planned(&self.scenario, id).told;
        let is_alike = |other: &RecordId| {
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

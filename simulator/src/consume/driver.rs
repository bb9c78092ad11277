//! What the driver does: tells the core, carries out what it says, and tells it what failed. And what comes of it.

use std::time::Duration;

use amqp_tools::consume::run::{
    Action, Copy, DeliveryId, Event, FromBroker, RunWork, Settlement, ToCommand,
};
use amqp_tools::status::Status;

use super::calendar::Pending;
use super::message::{Sent, done_with};
use super::scenario::delay;
use super::{CLOSE_LIMIT, CONNECT_LIMIT, Command, MOST_AT_ONCE, MOST_EVENTS, Simulation, Wire};
use crate::world::Failure;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

impl Simulation<'_> {
    pub(super) fn tell_broker(&mut self, event: FromBroker) -> Result<(), Failure> {
        self.tell(Event::Broker(self.connection, event))
    }

    /// Tells the core, carries out what it says, and judges that.
    pub(super) fn tell(&mut self, event: Event) -> Result<(), Failure> {
        self.events += 1;
        self.events_at_once += 1;
        if self.events_at_once > MOST_AT_ONCE || self.events > MOST_EVENTS {
            return Err(Failure::of("it does not spin", format!("{:?}", self.run)));
        }
        self.note_event(&event);
        let line = self.transcript.is_kept().then(|| format!("{event:?}"));
        let actions = self.run.on(event, self.now);
        if let Some(line) = line {
            let now = self.now;
            self.transcript
                .line(|| format!("{now:>12?} {line} -> {actions:?}"));
        }
        let mut answers = Vec::new();
        for action in actions {
            let judged = self.judge_action(&action)?;
            if let (Action::Settle(_, settlement), Some(deliveries)) = (&action, judged) {
                self.write_to_broker(Sent::Settle(*settlement, deliveries));
            }
            self.carry_out(action, &mut answers);
        }
        self.judge_state()?;
        for answer in answers {
            self.tell(answer)?;
        }
        Ok(())
    }

    #[allow(clippy::needless_pass_by_value)] // as the driver has it
    pub(super) fn carry_out(&mut self, action: Action, answers: &mut Vec<Event>) {
        match action {
            Action::Connect(connection, pause) => self.connect(connection, pause),
            Action::Subscribe(subscription, offset) => {
                self.ask_broker(Sent::Consume(subscription, offset));
            }
            Action::Unsubscribe(subscription) => self.ask_broker(Sent::Cancel(subscription)),
            Action::Prefetch(prefetch) => self.write_to_broker(Sent::Prefetch(prefetch)),
            Action::CountReady => self.ask_broker(Sent::Count),
            Action::Settle(..)
            | Action::Begin(_)
            | Action::Log { .. }
            | Action::Conclude(..)
            | Action::Forget(_)
            | Action::Say(_)
            | Action::TellFailed(_) => {}
            Action::Close => {
                self.wire = Wire::Closing;
                self.ask_broker(Sent::Close);
                let end = self.now + CLOSE_LIMIT;
                self.calendar.add(end, Pending::CloseLimit(self.connection));
            }
            Action::Abandon => {
                self.break_connection();
                self.broker.channel = None;
                self.wire = Wire::None;
            }
            Action::Start { id, .. } => self.start(id, answers),
            Action::StartBatch(ids) => {
                if let Some(first) = ids.first().copied() {
                    self.batches.insert(first, ids);
                    self.start(first, answers);
                }
            }
            Action::Signal(id, signal) => self.signal_command(id, signal),
            Action::StartChild(child) => self.start_child(child, answers),
            Action::Feed(child, id) => self.feed_child(child, id),
            Action::CloseInput(child) => self.close_input(child),
            Action::SignalChild(child, signal) => self.signal_child(child, signal),
            Action::StopWriting => {
                self.is_writer_broken = true;
                // Some may be written already.
                let written = self.choices.index(self.lines.len() + 1);
                if let Some(last) = self.lines.iter().take(written).next_back() {
                    answers.push(Event::Written(*last));
                }
                self.lines.clear();
            }
            Action::Copy(id, copy) => self.copy(id, copy, answers),
            Action::AskWhetherDeliveriesAreCounted => {
                if self
                    .choices
                    .chance(self.scenario.trouble.answer_never_comes)
                {
                    self.oracle.is_counting_unanswered = true;
                } else {
                    let then = self.now + delay(self.choices, self.scenario.trouble.copy_delay);
                    self.calendar.add(then, Pending::CountsAnswered);
                }
            }
        }
    }

    fn connect(&mut self, connection: u32, pause: Duration) {
        self.connection = connection;
        self.wire = Wire::Connecting;
        let slow = delay(self.choices, self.scenario.trouble.broker_delay);
        let then = self.now + pause + slow.min(CONNECT_LIMIT);
        self.calendar.add(then, Pending::Connected(connection));
    }

    /// Something that the broker is to answer, and may never.
    fn ask_broker(&mut self, sent: Sent) {
        self.write_to_broker(sent);
        if self
            .choices
            .chance(self.scenario.trouble.answer_never_comes)
        {
            self.is_stuck = true;
        }
    }

    fn write_to_broker(&mut self, sent: Sent) {
        if let Some(channel) = &mut self.broker.channel
            && !channel.is_closed
        {
            channel.outgoing.push_back(sent);
        } else {
            self.broker.lost_settlements += done_with(&sent);
        }
    }

    fn start(&mut self, id: DeliveryId, answers: &mut Vec<Event>) {
        let trouble = self.scenario.trouble;
        if self.scenario.options.work == RunWork::Print {
            if self.is_writer_broken {
                return;
            }
            if self.choices.chance(trouble.cannot_write) {
                self.is_writer_broken = true;
                self.lines.clear();
                self.reached.mark("a line cannot be written");
                answers.push(Event::CannotWrite("no space".to_owned()));
                return;
            }
            self.lines.push_back(id);
            if !self.choices.chance(trouble.command_never_ends) {
                let then = self.now + delay(self.choices, trouble.command_delay);
                self.calendar.add(then, Pending::Write);
            }
            return;
        }
        if self.choices.chance(trouble.cannot_start) {
            if !self.commands.is_empty() {
                self.reached
                    .mark("a command cannot be started while others run");
            }
            answers.push(Event::CannotStart {
                id,
                status: Status::NOT_FOUND,
                reason: "not found".to_owned(),
            });
            return;
        }
        let end = if self.choices.chance(trouble.command_never_ends) {
            None
        } else if self.choices.chance(trouble.command_fails) {
            Some(self.choices.one_of(&[
                (Status::FAILURE, 0),
                (Status::FAILURE, 0),
                (Status::exited(65), 0),
                (Status::exited(66), 0),
                (Status::signalled(SIGKILL), SIGKILL),
            ]))
        } else {
            Some((Status::SUCCESS, 0))
        };
        let ignores_term = self.choices.chance(trouble.ignores_term);
        self.commands.insert(
            id,
            Command {
                plan: 0,
                ignores_term,
                is_told_to_end: false,
                end: None,
            },
        );
        let after = delay(self.choices, trouble.command_delay);
        self.plan_end(id, after, end);
    }

    /// All messages of the command that this one names.
    pub(super) fn batch(&self, id: DeliveryId) -> Vec<DeliveryId> {
        self.batches.get(&id).cloned().unwrap_or_else(|| vec![id])
    }

    /// The messages that this publication is for: the output of a command is that of its whole batch.
    pub(super) fn published_with(&self, id: DeliveryId, copy: Copy) -> Vec<DeliveryId> {
        if copy == Copy::Output {
            self.batch(id)
        } else {
            vec![id]
        }
    }

    /// The command ends so, after so long, or never.
    pub(super) fn plan_end(&mut self, id: DeliveryId, after: Duration, end: Option<(Status, i32)>) {
        self.plans += 1;
        let plan = self.plans;
        if let Some(command) = self.commands.get_mut(&id) {
            command.plan = plan;
            command.end = end;
        }
        if end.is_some() {
            self.calendar
                .add(self.now + after, Pending::CommandEnds(id, plan));
        }
    }

    fn signal_command(&mut self, id: DeliveryId, signal: ToCommand) {
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        let ignores = command.ignores_term;
        match signal {
            ToCommand::Kill => {
                self.reached.mark("a command is killed");
                let end = (Status::signalled(SIGKILL), SIGKILL);
                self.plan_end(id, Duration::ZERO, Some(end));
            }
            ToCommand::Terminate => {
                command.is_told_to_end = true;
                if !ignores {
                    let end = if self.choices.chance(20) {
                        (Status::SUCCESS, 0)
                    } else {
                        (Status::signalled(SIGTERM), SIGTERM)
                    };
                    let after = delay(self.choices, 3);
                    self.plan_end(id, after, Some(end));
                }
            }
            ToCommand::Pass(signal) => {
                if !ignores && self.choices.below(2) == 0 {
                    command.is_told_to_end = true;
                    self.plan_end(
                        id,
                        Duration::ZERO,
                        Some((Status::signalled(signal), signal)),
                    );
                }
            }
        }
    }

    pub(super) fn command_ends(&mut self, id: DeliveryId, plan: u64) -> Result<(), Failure> {
        let Some(command) = self.commands.get(&id).filter(|one| one.plan == plan) else {
            return Ok(());
        };
        let Some((status, signal)) = command.end else {
            return Ok(());
        };
        let command = *command;
        self.commands.remove(&id);
        for id in self.batch(id) {
            self.note_end(id, &command, status);
        }
        // Some outputs are so large that few can be held.
        let output = self.choices.one_of(&[10, 10, 30_000_000]);
        self.tell(Event::CommandEnded {
            id,
            status,
            signal,
            output,
        })
    }

    pub(super) fn write(&mut self) -> Result<(), Failure> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let count = self.lines.len() - self.choices.index(self.lines.len());
        let written: Vec<DeliveryId> = self.lines.drain(..count).collect();
        if !self.lines.is_empty() {
            let then = self.now + delay(self.choices, self.scenario.trouble.command_delay);
            self.calendar.add(then, Pending::Write);
        }
        match written.last() {
            Some(last) => self.tell(Event::Written(*last)),
            None => Ok(()),
        }
    }

    fn copy(&mut self, id: DeliveryId, copy: Copy, answers: &mut Vec<Event>) {
        let trouble = self.scenario.trouble;
        if copy.is_result() && self.choices.chance(trouble.writes_nothing) {
            self.note_nothing_to_publish(id);
            answers.push(Event::Copied(id, Ok(())));
            return;
        }
        let then = self.now + delay(self.choices, trouble.copy_delay);
        if matches!(copy, Copy::Reply(..)) && self.choices.chance(trouble.caller_is_gone) {
            self.reached.mark("a caller is gone");
            self.note_nothing_to_publish(id);
            self.calendar.add(then, Pending::CopyAnswered(id, true));
            return;
        }
        let is_missing = copy == Copy::Output
            && self.scenario.options.publishes_output
            && self.broker.output_was_deleted;
        if is_missing {
            self.reached.mark("the queue for outputs is deleted");
            self.calendar.add(then, Pending::CopyAnswered(id, false));
            return;
        }
        let fails = self.choices.chance(trouble.copy_fails);
        let is_answered = !self.choices.chance(trouble.copy_never_answered);
        // One that fails may be there all the same, if nobody knows.
        if !fails || self.choices.below(4) == 3 {
            self.calendar.add(then, Pending::CopyArrives(id, copy));
        }
        if is_answered {
            let then = then + delay(self.choices, trouble.copy_delay);
            self.calendar.add(then, Pending::CopyAnswered(id, !fails));
        } else {
            self.oracle.unanswered_copies.push(id);
        }
    }

    pub(super) fn copy_answered(&mut self, id: DeliveryId, is_done: bool) -> Result<(), Failure> {
        let result = if is_done {
            Ok(())
        } else {
            self.reached.mark("a copy is refused");
            Err("refused".to_owned())
        };
        self.tell(Event::Copied(id, result))
    }
}

/// Whether it covers all earlier deliveries.
pub(super) fn is_multiple(settlement: Settlement) -> bool {
    matches!(settlement, Settlement::AckUpTo | Settlement::ReturnUpTo)
}

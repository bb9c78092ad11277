//! Children that get message after message: when they answer, how wrongly, and how they end.

use std::collections::VecDeque;

use amqp_tools::consume::run::{Answer, ChildNumber, DeliveryId, Event, ToCommand};
use amqp_tools::status::Status;

use super::calendar::Pending;
use super::scenario::delay;
use super::{Command, Simulation};
use crate::world::Failure;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// A child that runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Child {
    /// What is in its pipe, or with it, and not answered.
    messages: VecDeque<DeliveryId>,
    fed: u64,
    is_input_closed: bool,
    is_told_to_end: bool,
    ignores_term: bool,
    /// It does nothing any more, and the end of its input is nothing to it.
    is_stuck: bool,
    has_closed_answers: bool,
    /// It said something that is no answer: no later line counts.
    is_broken: bool,
    /// Tells the plans for its end apart; the last one counts.
    plan: u64,
    end: Option<(Status, i32)>,
}

impl Child {
    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }
}

impl Simulation<'_> {
    pub(super) fn start_child(&mut self, child: ChildNumber, answers: &mut Vec<Event>) {
        if self.choices.chance(self.scenario.trouble.cannot_start) {
            if !self.children.is_empty() {
                self.reached
                    .mark("a command cannot be started while others run");
            }
            answers.push(Event::ChildCannotStart {
                child,
                status: Status::NOT_FOUND,
                reason: "not found".to_owned(),
            });
        }
        let ignores_term = self.choices.chance(self.scenario.trouble.ignores_term);
        self.children.insert(
            child,
            Child {
                ignores_term,
                ..Child::default()
            },
        );
    }

    pub(super) fn feed_child(&mut self, number: ChildNumber, id: DeliveryId) {
        if let Some(child) = self.children.get_mut(&number) {
            child.messages.push_back(id);
            child.fed += 1;
            let mixed = child.messages.iter().any(|one| *one > id);
            if mixed {
                self.reached.mark("a child has messages out of their order");
            }
        }
        self.child_goes_on(number);
    }

    /// The child will do something, if it does not hang.
    fn child_goes_on(&mut self, number: ChildNumber) {
        let never = self.scenario.trouble.command_never_ends;
        let is_stuck = self.children.get(&number).is_none_or(|one| one.is_stuck);
        if is_stuck || self.calendar.has(&Pending::ChildActs(number)) {
            return;
        }
        if self.choices.chance(never) {
            if let Some(child) = self.children.get_mut(&number) {
                child.is_stuck = true;
            }
            return;
        }
        let then = self.now + delay(self.choices, self.scenario.trouble.command_delay);
        self.calendar.add(then, Pending::ChildActs(number));
    }

    pub(super) fn close_input(&mut self, number: ChildNumber) {
        let ignores = self
            .choices
            .chance(self.scenario.trouble.ignores_end_of_input);
        if let Some(child) = self.children.get_mut(&number) {
            child.is_input_closed = true;
            child.is_stuck |= ignores && child.messages.is_empty();
        }
        self.child_goes_on(number);
    }

    pub(super) fn signal_child(&mut self, number: ChildNumber, signal: ToCommand) {
        let Some(child) = self.children.get_mut(&number) else {
            return;
        };
        let ignores = child.ignores_term;
        match signal {
            ToCommand::Kill => {
                self.reached.mark("a command is killed");
                self.plan_child_end(number, 0, (Status::signalled(SIGKILL), SIGKILL));
            }
            ToCommand::Terminate => {
                child.is_told_to_end = true;
                if !ignores {
                    let end = if self.choices.chance(20) {
                        (Status::SUCCESS, 0)
                    } else {
                        (Status::signalled(SIGTERM), SIGTERM)
                    };
                    self.plan_child_end(number, 3, end);
                }
            }
            ToCommand::Pass(signal) => {
                child.is_told_to_end = true;
                if !ignores && self.choices.below(2) == 0 {
                    self.plan_child_end(number, 0, (Status::signalled(signal), signal));
                }
            }
        }
    }

    fn plan_child_end(&mut self, number: ChildNumber, slowest: u64, end: (Status, i32)) {
        self.plans += 1;
        let plan = self.plans;
        if let Some(child) = self.children.get_mut(&number) {
            child.plan = plan;
            child.end = Some(end);
        }
        let then = self.now + delay(self.choices, slowest);
        self.calendar.add(then, Pending::ChildEnds(number, plan));
    }

    /// The child reads, answers, misbehaves or ends.
    pub(super) fn child_acts(&mut self, number: ChildNumber) -> Result<(), Failure> {
        let trouble = self.scenario.trouble;
        let Some(child) = self.children.get(&number) else {
            return Ok(());
        };
        if child.is_stuck || child.end.is_some() {
            return Ok(());
        }
        let has_closed = child.has_closed_answers;
        let (owed, is_closed) = (child.messages.len(), child.is_input_closed);
        if owed == 0 && is_closed {
            let status = self.child_status();
            self.plan_child_end(number, 0, (status, 0));
            return Ok(());
        }
        if self.choices.chance(trouble.child_ends) {
            let status = self.choices.one_of(&[
                (Status::SUCCESS, 0),
                (Status::FAILURE, 0),
                (Status::signalled(SIGKILL), SIGKILL),
            ]);
            if owed > 1 {
                self.reached.mark("a child ends with messages in its pipe");
            }
            // Some answers may be in the pipe when it ends.
            let answered = self.choices.index(owed + 1);
            self.plan_child_end(number, 0, status);
            return self.answer(number, answered);
        }
        if self.choices.chance(trouble.closes_answers) && !has_closed {
            self.reached.mark("a child closes its answers");
            if let Some(child) = self.children.get_mut(&number) {
                child.has_closed_answers = true;
                child.is_stuck = true;
            }
            return self.tell(Event::AnswersClosed(number));
        }
        if self.choices.chance(trouble.answers_nonsense) {
            self.reached.mark("a child answers nonsense");
            return self.say_nonsense(number);
        }
        let answered = owed - self.choices.index(owed.max(1));
        self.answer(number, answered)?;
        if self.choices.chance(trouble.answers_too_often) {
            self.reached.mark("a child answers too often");
            self.answer(number, 1)?;
        }
        let goes_on = self
            .children
            .get(&number)
            .is_some_and(|child| !child.messages.is_empty() || child.is_input_closed);
        if goes_on {
            self.child_goes_on(number);
        }
        Ok(())
    }

    fn child_status(&mut self) -> Status {
        if self.choices.chance(self.scenario.trouble.command_fails) {
            Status::FAILURE
        } else {
            Status::SUCCESS
        }
    }

    /// Nonsense, and an answer behind it that must not count.
    fn say_nonsense(&mut self, number: ChildNumber) -> Result<(), Failure> {
        let Some(child) = self.children.get_mut(&number) else {
            return Ok(());
        };
        child.is_stuck = true;
        child.is_broken = true;
        let nonsense = Answer::Nonsense("?".to_owned());
        let later = Answer::Status(Status::SUCCESS, 0);
        self.tell(Event::Answered(number, vec![nonsense, later]))
    }

    /// The child answers so many messages at once.
    fn answer(&mut self, number: ChildNumber, count: usize) -> Result<(), Failure> {
        let mut answers = Vec::new();
        for _ in 0..count {
            let status = if self.choices.chance(self.scenario.trouble.command_fails) {
                self.choices
                    .one_of(&[Status::FAILURE, Status::exited(65), Status::exited(66)])
            } else {
                Status::SUCCESS
            };
            let is_given_up = self.is_given_up(number);
            let Some(child) = self.children.get_mut(&number) else {
                return Ok(());
            };
            let is_heard = !child.is_broken && !is_given_up;
            match child.messages.front().copied() {
                Some(id) if is_heard => {
                    child.messages.pop_front();
                    self.note_answer(id, status);
                }
                // Nobody hears it: it need not go on.
                Some(_) => child.is_stuck = true,
                None => child.is_broken = true,
            }
            let output = self.choices.one_of(&[10, 10, 30_000_000]);
            answers.push(Answer::Status(status, output));
        }
        if answers.is_empty() {
            return Ok(());
        }
        if answers.len() > 1 {
            self.reached.mark("a child answers several at once");
        }
        self.tell(Event::Answered(number, answers))
    }

    pub(super) fn child_ends(&mut self, number: ChildNumber, plan: u64) -> Result<(), Failure> {
        let end = |child: &Child| child.end.filter(|_| child.plan == plan);
        let Some((status, signal)) = self.children.get(&number).and_then(end) else {
            return Ok(());
        };
        let Some(mut child) = self.children.remove(&number) else {
            return Ok(());
        };
        if let Some(id) = child.messages.pop_front() {
            self.note_unanswered(id, child.is_told_to_end, status);
        }
        for id in &child.messages {
            self.note_not_begun(*id);
        }
        self.tell(Event::ChildEnded {
            child: number,
            status,
            signal,
        })
    }

    /// Those that hang go on.
    pub(super) fn heal_children(&mut self) {
        let hanging: Vec<ChildNumber> = self
            .children
            .iter_mut()
            .filter(|(_, child)| child.is_stuck && !child.has_closed_answers && !child.is_broken)
            .map(|(number, child)| {
                child.is_stuck = false;
                *number
            })
            .collect();
        for number in hanging {
            self.child_goes_on(number);
        }
    }
}

/// What must hold of children.
impl Simulation<'_> {
    pub(super) fn judge_child_start(&self) -> Result<(), Failure> {
        if self.children.len() < self.scenario.jobs() {
            return Ok(());
        }
        Err(Failure::of("no more commands run than there are jobs", ""))
    }

    pub(super) fn judge_feed(
        &mut self,
        number: ChildNumber,
        id: DeliveryId,
    ) -> Result<(), Failure> {
        self.judge_start(id)?;
        let most = self
            .scenario
            .coprocess()
            .map_or(0, |one| one.unanswered.get());
        let recycle = self.scenario.coprocess().and_then(|one| one.recycle);
        let takes_it = |child: &Child| {
            !child.is_input_closed
                && !child.is_told_to_end
                && !child.is_broken
                && child.messages.len() < usize::from(most)
                && recycle.is_none_or(|recycle| child.fed < recycle.get())
        };
        if self.children.get(&number).is_some_and(takes_it) && !self.is_unfit(id) {
            return Ok(());
        }
        Err(Failure::of(
            "a child is given what it may be given",
            format!("{:?}", self.children.get(&number)),
        ))
    }

    pub(super) fn judge_child_signal(
        &mut self,
        number: ChildNumber,
        signal: ToCommand,
    ) -> Result<(), Failure> {
        let Some(child) = self.children.get(&number) else {
            return Err(Failure::of(
                "a signal goes to a command that runs",
                format!("child {number} {signal:?}"),
            ));
        };
        let since = self.oracle.working_since.get(&number).copied();
        let ends = since.zip(self.scenario.timeout());
        let is_too_long = ends.is_some_and(|(since, timeout)| since + timeout <= self.now);
        if signal == ToCommand::Terminate && is_too_long && child.has_messages() {
            self.reached.mark("a child works too long");
            self.oracle.given_up.insert(number);
        }
        let messages: Vec<DeliveryId> = child.messages.iter().copied().collect();
        self.note_signalled(&messages);
        Ok(())
    }

    /// Whether nothing counts that this child says.
    fn is_given_up(&self, number: ChildNumber) -> bool {
        self.oracle.given_up.contains(&number)
    }

    pub(super) fn is_unfit(&self, id: DeliveryId) -> bool {
        self.broker.messages[self.broker.message_of(id)].is_unfit
    }

    pub(super) fn note_begin(&mut self, id: DeliveryId) {
        let has_it = |child: &Child| child.messages.front() == Some(&id);
        let child = self.children.iter().find(|(_, child)| has_it(child));
        if let Some((number, _)) = child {
            self.oracle.working_since.insert(*number, self.now);
        }
    }

    /// A message that does not fit has failed, as if a command had.
    pub(super) fn note_unfit(&mut self, id: DeliveryId, status: Status) {
        if self.scenario.frames() && self.is_unfit(id) {
            self.note_answer(id, status);
        }
    }

    pub(super) fn note_child_cannot_start(&mut self, number: ChildNumber) {
        self.oracle.has_trouble = true;
        self.oracle.limits.note_other_end();
        let Some(child) = self.children.remove(&number) else {
            return;
        };
        self.oracle.ended_commands += u64::from(child.has_messages());
        for id in child.messages {
            self.note_not_begun(id);
        }
    }

    fn note_answer(&mut self, id: DeliveryId, status: Status) {
        self.note_end(id, &told(false), status);
    }

    /// A child has ended that worked on this message: that is no success.
    fn note_unanswered(&mut self, id: DeliveryId, is_told: bool, status: Status) {
        let status = if status.is_success() {
            Status::FAILURE
        } else {
            status
        };
        self.note_end(id, &told(is_told), status);
    }

    fn note_not_begun(&mut self, id: DeliveryId) {
        if let Some(record) = self.oracle.record(id) {
            record.is_running = false;
            record.was_not_begun = true;
        }
    }
}

fn told(is_told_to_end: bool) -> Command {
    Command {
        plan: 0,
        ignores_term: false,
        is_told_to_end,
        end: None,
    }
}

//! Coprocesses: children that get message after message and answer each.
//!
//! A child works on the oldest message that it has not answered. Those behind it are not begun: when the child ends, they wait for
//! another one. A child that does not answer as it should is told to end, and what it was working on fails when it has ended.

use std::time::Duration;

use std::collections::{BTreeMap, VecDeque};

use super::Run;
use super::event::{Action, Answer, ChildNumber, CommandEnd, DeliveryId, Notice, ToCommand};
use super::message::{DeliveryState, Job, MessageInHand, MessageState, StopReason, Verdict};
use super::options::RunOptions;
use super::phase::{Cause, Phase};
use crate::consume::options::Coprocess;
use crate::status::Status;

/// The pause before another child is started in the place of one that has ended, doubled before each further one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a child that has closed the descriptor for its answers has for its own end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The exit status of a message that cannot be framed (`EX_DATAERR` in sysexits.h).
const DATA_ERROR: Status = Status::exited(65);

/// The most children at once: as many as messages can be delivered and not settled.
const MOST_CHILDREN: usize = u16::MAX as usize;

/// All children.
#[derive(Clone, Debug)]
pub(super) struct Coprocesses {
    /// One for each job.
    slots: Vec<Slot>,
    children: BTreeMap<ChildNumber, Child>,
    latest: ChildNumber,
}

/// The place of a child.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    child: Option<ChildNumber>,
    /// No child is started before this time.
    starts_at: Duration,
    /// How many children have ended here since one has answered.
    ends: u32,
}

/// A child that runs.
#[derive(Clone, Debug)]
struct Child {
    job: Job,
    /// What it has not answered, in the order in which it was given.
    messages: VecDeque<DeliveryId>,
    slot: usize,
    /// How many messages it was given.
    fed: u64,
    is_input_closed: bool,
    /// It cannot answer any more, and is told to end at this time.
    broken_at: Option<Duration>,
}

impl Child {
    fn has_place(&self, coprocess: Coprocess) -> bool {
        matches!(self.job, Job::Running(_))
            && self.broken_at.is_none()
            && !self.is_input_closed
            && self.messages.len() < usize::from(coprocess.unanswered.get())
    }

    /// Whether what it answers counts.
    fn is_heard(&self) -> bool {
        !matches!(
            self.job.stop_reason(),
            Some(StopReason::TimedOut | StopReason::Broken)
        )
    }

    fn deadline(&self) -> Option<Duration> {
        let broken_at = self
            .broken_at
            .filter(|_| matches!(self.job, Job::Running(_) | Job::Signalled(_)));
        self.job.deadline().into_iter().chain(broken_at).min()
    }
}

impl Slot {
    /// A child has ended by itself.
    fn pause(&mut self, now: Duration) {
        let pause = SHORTEST_PAUSE.saturating_mul(1 << self.ends.min(9));
        self.starts_at = now.saturating_add(pause.min(LONGEST_PAUSE));
        self.ends = self.ends.saturating_add(1);
    }
}

impl Coprocesses {
    pub(super) fn new(options: &RunOptions) -> Coprocesses {
        let count = match options.coprocess() {
            Some(_) => options.jobs().min(MOST_CHILDREN),
            None => 0,
        };
        Coprocesses {
            slots: vec![Slot::default(); count],
            children: BTreeMap::new(),
            latest: 0,
        }
    }

    /// Whether a child runs, with or without messages.
    pub(super) fn any_runs(&self) -> bool {
        !self.children.is_empty()
    }

    /// When a child's time is over.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.children.values().filter_map(Child::deadline).min()
    }

    /// When a child may be started in the place of one that has ended.
    pub(super) fn restart_at(&self, now: Duration) -> Option<Duration> {
        let pausing = |slot: &&Slot| slot.child.is_none() && slot.starts_at > now;
        self.slots
            .iter()
            .filter(pausing)
            .map(|slot| slot.starts_at)
            .min()
    }

    /// The place with the fewest messages that takes another one. A child that runs comes before one that is to be started.
    fn slot_with_place(&self, coprocess: Coprocess, now: Duration) -> Option<usize> {
        let owed = |slot: &Slot| match slot.child.and_then(|number| self.children.get(&number)) {
            Some(child) => child.has_place(coprocess).then_some(child.messages.len()),
            None => (slot.starts_at <= now).then_some(0),
        };
        let places = self.slots.iter().enumerate();
        places
            .filter_map(|(index, slot)| Some((owed(slot)?, slot.child.is_none(), index)))
            .min()
            .map(|(_, _, index)| index)
    }

    fn slot_of(&mut self, child: &Child) -> Option<&mut Slot> {
        self.slots.get_mut(child.slot)
    }

    fn all(&self, is_it: impl Fn(&Child) -> bool) -> Vec<ChildNumber> {
        let those = self.children.iter().filter(|(_, child)| is_it(child));
        those.map(|(number, _)| *number).collect()
    }
}

impl Run {
    /// Whether a child takes another message now.
    pub(super) fn has_place(&self) -> bool {
        self.place().is_some()
    }

    fn place(&self) -> Option<usize> {
        let coprocess = self.options.coprocess()?;
        self.coprocesses.slot_with_place(coprocess, self.now)
    }

    /// Gives a message to a child, and starts one if necessary.
    pub(super) fn feed(&mut self, id: DeliveryId) {
        if self
            .in_hand
            .get(&id)
            .is_some_and(|message| message.delivery.is_unfit)
        {
            return self.on_unfit(id);
        }
        let Some(slot) = self.place() else {
            return self.put(id, MessageState::Postponed(self.now));
        };
        let number = self.child_at(slot);
        self.put(id, MessageState::With(number));
        self.keep_pace();
        self.act(Action::Feed(number, id));
        let recycle = self
            .options
            .coprocess()
            .and_then(|coprocess| coprocess.recycle);
        let Some(child) = self.coprocesses.children.get_mut(&number) else {
            return;
        };
        child.messages.push_back(id);
        child.fed += 1;
        let is_oldest = child.messages.len() == 1;
        let is_last = recycle.is_some_and(|recycle| child.fed >= recycle.get());
        if is_last {
            self.close_input(number);
        }
        if is_oldest {
            self.begin_oldest(number);
        }
    }

    /// The child of this place.
    fn child_at(&mut self, index: usize) -> ChildNumber {
        let present = self
            .coprocesses
            .slots
            .get(index)
            .and_then(|slot| slot.child);
        if let Some(number) = present {
            return number;
        }
        self.coprocesses.latest += 1;
        let number = self.coprocesses.latest;
        let child = Child {
            job: Job::Running(None),
            messages: VecDeque::new(),
            slot: index,
            fed: 0,
            is_input_closed: false,
            broken_at: None,
        };
        if let Some(slot) = self.coprocesses.slot_of(&child) {
            slot.child = Some(number);
        }
        self.coprocesses.children.insert(number, child);
        self.act(Action::StartChild(number));
        number
    }

    /// No child is given a message that cannot be framed.
    pub(super) fn on_unfit(&mut self, id: DeliveryId) {
        self.say(Notice::DoesNotFit);
        self.act(Action::Begin(id));
        self.count_attempt(id);
        self.log(id, DATA_ERROR, 0);
        if let Some(message) = self.in_hand.get_mut(&id) {
            message.runs += 1;
        }
        self.on_failed(id, DATA_ERROR);
    }

    /// The child goes on to the oldest message that it has, or has none.
    fn begin_oldest(&mut self, number: ChildNumber) {
        let (timeout, grace) = (self.options.timeout(), self.options.grace);
        let Some(child) = self.coprocesses.children.get_mut(&number) else {
            return;
        };
        let oldest = child.messages.front().copied();
        let limit = match oldest {
            Some(_) => timeout,
            // It has nothing to do but to end.
            None if child.is_input_closed => timeout.or(grace),
            None => None,
        };
        let deadline = limit.and_then(|limit| self.now.checked_add(limit));
        child.job = child.job.until(deadline);
        if let Some(id) = oldest {
            self.act(Action::Begin(id));
        }
    }

    pub(super) fn on_answered(&mut self, number: ChildNumber, answers: Vec<Answer>) {
        self.quiet_since = self.now;
        let mut done = Vec::new();
        for answer in answers {
            let Some(child) = self.coprocesses.children.get_mut(&number) else {
                break;
            };
            if !child.is_heard() {
                break;
            }
            match answer {
                Answer::Nonsense(line) => self.break_child(number, Notice::BadAnswer(number, line)),
                Answer::Status(status, output) => match child.messages.pop_front() {
                    Some(id) => self.take_answer(number, id, status, output, &mut done),
                    None => self.break_child(number, Notice::NothingToAnswer(number)),
                },
            }
        }
        self.finish_all_succeeded(&done);
    }

    /// A child has answered a message. What is to be acknowledged at once goes to `done`.
    fn take_answer(
        &mut self,
        number: ChildNumber,
        id: DeliveryId,
        status: Status,
        output: usize,
        done: &mut Vec<DeliveryId>,
    ) {
        if let Some(child) = self.coprocesses.children.get(&number)
            && let Some(slot) = self.coprocesses.slots.get_mut(child.slot)
        {
            slot.ends = 0;
        }
        if let Some(runs) = self.end_of_run(id, output) {
            self.log(id, status, 0);
            if self.is_delivery_lost(id) {
                self.forget(id);
            } else if !status.is_success() {
                self.note_failure(id, CommandEnd::Exited(status));
                self.retry_or_fail(id, status, runs);
            } else if self.options.publishes_output || self.options.replies {
                self.succeed(id);
            } else {
                self.failures_in_a_row = 0;
                done.push(id);
            }
        }
        self.begin_oldest(number);
    }

    /// How often the message has been worked on now.
    fn end_of_run(&mut self, id: DeliveryId, output: usize) -> Option<u32> {
        let message = self.in_hand.get_mut(&id)?;
        message.runs += 1;
        message.output = output;
        Some(message.runs)
    }

    pub(super) fn is_delivery_lost(&self, id: DeliveryId) -> bool {
        self.in_hand
            .get(&id)
            .is_some_and(|message| message.delivery_state == DeliveryState::Lost)
    }

    /// A child that does not answer as it should is told to end.
    fn break_child(&mut self, number: ChildNumber, notice: Notice) {
        self.say(notice);
        let Some(child) = self.coprocesses.children.get_mut(&number) else {
            return;
        };
        match child.job {
            Job::Running(_) | Job::Signalled(_) => {
                self.terminate_child(number, StopReason::Broken);
            }
            Job::Stopping(_, kill_at) => child.job = Job::Stopping(StopReason::Broken, kill_at),
            Job::Killed(_) => child.job = Job::Killed(StopReason::Broken),
        }
    }

    /// A child that ends closes the descriptor a little earlier.
    pub(super) fn on_answers_closed(&mut self, number: ChildNumber) {
        if let Some(child) = self.coprocesses.children.get_mut(&number) {
            let is_over = child.is_input_closed && child.messages.is_empty();
            child.broken_at = (!is_over).then(|| self.now.saturating_add(PATIENCE));
        }
    }

    pub(super) fn on_child_ended(&mut self, number: ChildNumber, status: Status, signal: i32) {
        self.quiet_since = self.now;
        let Some(mut child) = self.coprocesses.children.remove(&number) else {
            return;
        };
        let oldest = child.messages.pop_front();
        let is_over = child.is_input_closed && oldest.is_none();
        if let Some(slot) = self.coprocesses.slot_of(&child) {
            slot.child = None;
            if !is_over {
                slot.pause(self.now);
            }
        }
        match oldest {
            Some(id) => self.end_without_answer(id, child.job, status, signal),
            None if child.job.stop_reason().is_none() && !status.is_success() => {
                self.say(Notice::ChildEnded(number, status));
            }
            None => {}
        }
        self.take_back(child.messages);
    }

    /// A child has ended that was working on this message.
    fn end_without_answer(&mut self, id: DeliveryId, job: Job, status: Status, signal: i32) {
        let has_failed = !status.is_success() || job.stop_reason() == Some(StopReason::TimedOut);
        let (verdict, status) = job.verdict_without_answer(status);
        let Some(runs) = self.end_of_run(id, 0) else {
            return;
        };
        self.log(id, status, signal);
        match verdict {
            _ if self.is_delivery_lost(id) => self.forget(id),
            Verdict::Failed(status) => {
                let end = if has_failed {
                    self.end_of(job, status, signal)
                } else {
                    CommandEnd::WithoutAnswer
                };
                self.note_failure(id, end);
                self.retry_or_fail(id, status, runs);
            }
            Verdict::Succeeded | Verdict::Interrupted => self.give_up(id),
        }
    }

    /// A child has ended that had these messages and had not begun them.
    fn take_back(&mut self, messages: VecDeque<DeliveryId>) {
        for id in messages {
            if self.is_delivery_lost(id) {
                self.forget(id);
            } else {
                self.put(id, MessageState::Postponed(self.now));
            }
        }
    }

    /// Ends the run: every other child would fail in the same way.
    pub(super) fn on_child_cannot_start(
        &mut self,
        number: ChildNumber,
        status: Status,
        reason: String,
    ) {
        self.quiet_since = self.now;
        let Some(child) = self.coprocesses.children.remove(&number) else {
            return;
        };
        if let Some(slot) = self.coprocesses.slot_of(&child) {
            slot.child = None;
        }
        self.say(Notice::CannotStart(reason));
        if let Some(id) = child.messages.front().copied()
            && self.end_of_run(id, 0).is_some()
        {
            self.log(id, status, 0);
        }
        for id in child.messages {
            self.give_up(id);
        }
        if self.phase.lies_in_the_work() {
            self.phase = Phase::Draining(Cause::CannotStart(status));
        }
    }

    /// How many messages children have whose connection is gone.
    pub(super) fn lost_with_children(&self) -> u64 {
        let is_lost = |message: &&MessageInHand| {
            matches!(message.state, MessageState::With(_))
                && message.delivery_state == DeliveryState::Lost
        };
        self.in_hand.values().filter(is_lost).count() as u64
    }

    /// Nothing more is given to any child.
    pub(super) fn close_inputs(&mut self) {
        for number in self.coprocesses.all(|child| !child.is_input_closed) {
            self.close_input(number);
            let has_none = |child: &Child| child.messages.is_empty();
            if self.coprocesses.children.get(&number).is_some_and(has_none) {
                self.begin_oldest(number);
            }
        }
    }

    fn close_input(&mut self, number: ChildNumber) {
        if let Some(child) = self.coprocesses.children.get_mut(&number)
            && !child.is_input_closed
        {
            child.is_input_closed = true;
            self.act(Action::CloseInput(number));
        }
    }

    pub(super) fn enforce_deadlines_of_children(&mut self) {
        let now = self.now;
        for number in self
            .coprocesses
            .all(|child| child.deadline().is_some_and(|due| due <= now))
        {
            let Some(child) = self.coprocesses.children.get(&number) else {
                continue;
            };
            match child.job {
                Job::Stopping(..) | Job::Killed(_) => self.kill_child(number),
                _ if child.broken_at.is_some_and(|due| due <= now) => {
                    self.break_child(number, Notice::CannotAnswer(number));
                }
                _ => self.terminate_child(number, StopReason::TimedOut),
            }
        }
    }

    fn terminate_child(&mut self, number: ChildNumber, reason: StopReason) {
        self.close_input(number);
        if let Some(child) = self.coprocesses.children.get_mut(&number) {
            child.job = Job::stopped(reason, self.now);
            self.act(Action::SignalChild(number, ToCommand::Terminate));
        }
    }

    fn kill_child(&mut self, number: ChildNumber) {
        if let Some(child) = self.coprocesses.children.get_mut(&number) {
            child.job = child.job.killed();
            self.act(Action::SignalChild(number, ToCommand::Kill));
        }
    }

    /// Sends SIGTERM to all children. One whose time is over has failed, also where the run noticed that late.
    pub(super) fn terminate_children(&mut self) {
        let is_running = |child: &Child| matches!(child.job, Job::Running(_) | Job::Signalled(_));
        let now = self.now;
        let is_overdue = |child: &Child| child.job.deadline().is_some_and(|due| due <= now);
        for number in self.coprocesses.all(is_running) {
            let child = self.coprocesses.children.get(&number);
            let reason = if child.is_some_and(is_overdue) {
                StopReason::TimedOut
            } else {
                StopReason::Interrupted
            };
            self.terminate_child(number, reason);
        }
    }

    pub(super) fn kill_children(&mut self) {
        for number in self.coprocesses.all(|_| true) {
            self.kill_child(number);
        }
    }

    /// Passes a signal of the terminal on to all children.
    pub(super) fn pass_on_to_children(&mut self, signal: i32) {
        for number in self.coprocesses.all(|_| true) {
            self.act(Action::SignalChild(number, ToCommand::Pass(signal)));
            if let Some(child) = self.coprocesses.children.get_mut(&number)
                && let Job::Running(deadline) = child.job
            {
                child.job = Job::Signalled(deadline);
            }
        }
    }
}

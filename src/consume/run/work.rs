//! Messages are begun as jobs become free, and commands end.

use super::event::{Action, Id, Notice, Settlement, Time, ToCommand};
use super::link::Question;
use super::message::{Claim, Delivery, Job, Message, Place, StopReason, Verdict};
use super::phase::{Cause, Phase};
use super::{Answer, Run};
use crate::consume::options::Acknowledgement;
use crate::status::Status;

/// How long a queue may deliver nothing while failed messages are held to the end.
const LONGEST_FRUITLESS: Time = Time::from_secs(5);

impl Run {
    /// Begins what can be begun and gives back what is due.
    pub(super) fn keep_busy(&mut self) {
        self.give_back_due();
        self.begin_rested();
        while self.has_free_job() && self.may_begin_another() {
            let postponed =
                self.first(|place| matches!(place, Place::Postponed(due) if *due <= self.now));
            if let Some(id) = postponed {
                self.begin_in_hand(id);
            } else if let Some((id, delivery)) = self.waiting.pop_first() {
                self.take_in_hand(id, delivery, Place::Postponed(self.now));
                self.begin_in_hand(id);
            } else {
                break;
            }
        }
        if !self.may_begin_another() && self.link.is_open() && self.link.subscriptions.is_empty() {
            self.give_back_waiting();
        }
        if self.withholds_at().is_some_and(|at| at <= self.now) {
            self.link.question = Some(Question::DoesItWithhold);
            self.act(Action::CountReady);
        }
    }

    fn first(&self, is_it: impl Fn(&Place) -> bool) -> Option<Id> {
        self.in_hand
            .iter()
            .find(|(_, message)| is_it(&message.place))
            .map(|(id, _)| *id)
    }

    /// All messages in such a place.
    pub(super) fn all(&self, is_it: impl Fn(&Place) -> bool) -> Vec<Id> {
        self.in_hand
            .iter()
            .filter(|(_, message)| is_it(&message.place))
            .map(|(id, _)| *id)
            .collect()
    }

    /// A delivery is not waiting any more.
    pub(super) fn take_in_hand(&mut self, id: Id, delivery: Delivery, place: Place) {
        if let Place::Copying(copy, _) = place {
            self.act(Action::Copy(id, copy));
        }
        let message = Message {
            delivery,
            claim: Claim::Unsettled,
            runs: 0,
            place,
        };
        self.in_hand.insert(id, message);
    }

    fn begin_in_hand(&mut self, id: Id) {
        if self.options.acknowledgement == Acknowledgement::OnArrival {
            self.settle(id, Settlement::Ack);
            if let Some(message) = self.in_hand.get_mut(&id) {
                message.claim = Claim::Acknowledged(self.link.latest_command());
            }
        }
        self.start(id);
    }

    fn begin_rested(&mut self) {
        let now = self.now;
        for id in self.all(|place| matches!(place, Place::Resting(due) if *due <= now)) {
            self.start(id);
        }
    }

    fn start(&mut self, id: Id) {
        let deadline = self
            .options
            .timeout()
            .and_then(|timeout| self.now.checked_add(timeout));
        let counts = match self.counts_deliveries {
            Answer::Known(counts) => counts,
            Answer::NotAsked | Answer::Asked => None,
        };
        let Some(message) = self.in_hand.get_mut(&id) else {
            return;
        };
        message.place = Place::Working(Job::Running(deadline));
        let attempt = message.delivery.earlier_failures(counts) + u64::from(message.runs) + 1;
        self.act(Action::Start { id, attempt });
    }

    pub(super) fn has_free_job(&self) -> bool {
        self.in_hand
            .values()
            .filter(|message| message.is_working())
            .count()
            < self.options.jobs()
    }

    /// How many messages count towards the limit: done, failed, or being worked on.
    fn begun(&self) -> u64 {
        let ours = |message: &&Message| message.is_working() && message.claim != Claim::Lost;
        let working = self.in_hand.values().filter(ours).count();
        self.succeeded + self.failed + self.link.uncertain.successes + working as u64
    }

    pub(super) fn may_begin_another(&self) -> bool {
        self.options.limit.is_none_or(|limit| self.begun() < limit)
    }

    pub(super) fn on_command_ended(&mut self, id: Id, status: Status, signal: i32) {
        self.quiet_since = self.now;
        let Some(message) = self.in_hand.get_mut(&id) else {
            return;
        };
        let Place::Working(job) = message.place else {
            return;
        };
        message.runs += 1;
        let (runs, claim) = (message.runs, message.claim);
        let (verdict, status) = job.verdict(status);
        self.act(Action::Log(id, status, signal));
        if claim == Claim::Lost {
            self.say(Notice::ResultDropped(status));
            self.forget(id);
            return;
        }
        match verdict {
            Verdict::Succeeded => self.succeed(id),
            Verdict::Interrupted => self.give_up(id),
            Verdict::Failed(status) => match self.options.retry_pause(runs) {
                Some(pause) if self.phase.lies_in_the_work() => {
                    self.put(id, Place::Resting(self.now.saturating_add(pause)));
                }
                _ => self.on_failed(id, status),
            },
        }
    }

    pub(super) fn put(&mut self, id: Id, place: Place) {
        if let Some(message) = self.in_hand.get_mut(&id) {
            message.place = place;
        }
    }

    fn succeed(&mut self, id: Id) {
        self.failures_in_a_row = 0;
        self.settle(id, Settlement::Ack);
        self.count_success(id);
    }

    fn count_success(&mut self, id: Id) {
        match self.in_hand.get(&id).map(|message| message.claim) {
            Some(Claim::Acknowledged(command)) if self.link.is_certain(command) => {
                self.succeeded += 1;
            }
            Some(Claim::Unsettled | Claim::Acknowledged(_)) => {
                self.link.uncertain.successes += 1;
            }
            Some(Claim::Lost) | None => {}
        }
        self.forget(id);
    }

    /// Gives a message back that was not tried to the end.
    pub(super) fn give_up(&mut self, id: Id) {
        let is_gone = |message: &Message| matches!(message.claim, Claim::Acknowledged(_));
        if self.in_hand.get(&id).is_some_and(is_gone) {
            self.say(Notice::LostUnacknowledged);
        }
        self.settle(id, Settlement::Return);
        self.forget(id);
    }

    /// No message can be blamed for that: every other would fail so.
    pub(super) fn on_cannot_start(&mut self, id: Id, status: Status, reason: String) {
        self.quiet_since = self.now;
        self.act(Action::Log(id, status, 0));
        self.say(Notice::CannotStart(reason));
        self.give_up(id);
        if self.phase.lies_in_the_work() {
            self.phase = Phase::Draining(Cause::CannotStart(status));
        }
    }

    pub(super) fn on_written(&mut self, last: Id) {
        self.quiet_since = self.now;
        let is_written = |(id, message): &(&Id, &Message)| **id <= last && message.is_working();
        let written: Vec<Id> = self
            .in_hand
            .iter()
            .filter(is_written)
            .map(|(id, _)| *id)
            .collect();
        let is_lost = |id: &Id| {
            self.in_hand
                .get(id)
                .is_some_and(|message| message.claim == Claim::Lost)
        };
        let (others, ours): (Vec<Id>, Vec<Id>) = written.into_iter().partition(is_lost);
        if !others.is_empty() {
            self.say(Notice::WrittenTwice);
        }
        if self.may_settle() {
            self.acknowledge_up_to(&ours);
        }
        for id in ours.into_iter().chain(others) {
            self.count_success(id);
        }
    }

    pub(super) fn on_cannot_write(&mut self, reason: &str) {
        self.fail(format!(
            "writing the message to standard output (it stays in the queue): {reason}"
        ));
        for id in self.all(|place| matches!(place, Place::Working(_))) {
            self.give_up(id);
        }
    }

    /// When the queue has withheld messages for too long, perhaps because failed ones are held.
    pub(super) fn withholds_at(&self) -> Option<Time> {
        let since = self
            .link
            .fruitless_since
            .filter(|_| self.options.limit.is_some())?;
        let waits = self.link.active_count() > 0
            && !self.link.is_subscribing()
            && self.link.question.is_none()
            && self.waiting.is_empty();
        let holds = self
            .in_hand
            .values()
            .any(|message| matches!(message.place, Place::Held(..)));
        (waits && holds && !self.is_working()).then(|| since + LONGEST_FRUITLESS)
    }

    /// Ends commands that have run too long, and kills those that did not listen.
    pub(super) fn enforce_job_deadlines(&mut self) {
        let now = self.now;
        let due = |place: &Place| matches!(place, Place::Working(job) if job.deadline().is_some_and(|due| due <= now));
        for id in self.all(due) {
            let Some(Message {
                place: Place::Working(job),
                ..
            }) = self.in_hand.get(&id)
            else {
                continue;
            };
            let job = *job;
            match job {
                Job::Running(_) | Job::Signalled(_) => self.terminate(id, StopReason::TimedOut),
                Job::Stopping(..) | Job::Killed(_) => self.kill(id, job),
            }
        }
    }

    fn terminate(&mut self, id: Id, reason: StopReason) {
        self.put(id, Place::Working(Job::stopped(reason, self.now)));
        self.act(Action::Signal(id, ToCommand::Terminate));
    }

    fn kill(&mut self, id: Id, job: Job) {
        self.put(id, Place::Working(job.killed()));
        self.act(Action::Signal(id, ToCommand::Kill));
    }

    /// Tells every command to end; lines that are not written are not waited for.
    pub(super) fn terminate_all(&mut self) {
        if self.prints() {
            self.act(Action::StopWriting);
            for id in self.all(|place| matches!(place, Place::Working(_))) {
                self.give_up(id);
            }
        }
        for id in
            self.all(|place| matches!(place, Place::Working(Job::Running(_) | Job::Signalled(_))))
        {
            self.terminate(id, StopReason::Interrupted);
        }
    }

    pub(super) fn kill_all(&mut self) {
        for (id, job) in self.jobs() {
            self.kill(id, job);
        }
    }

    /// Passes on a signal that the tool got from its terminal.
    pub(super) fn pass_on(&mut self, signal: i32) {
        if self.prints() {
            return;
        }
        for (id, job) in self.jobs() {
            self.act(Action::Signal(id, ToCommand::Pass(signal)));
            if let Job::Running(deadline) = job {
                self.put(id, Place::Working(Job::Signalled(deadline)));
            }
        }
    }

    fn jobs(&self) -> Vec<(Id, Job)> {
        let job = |(id, message): (&Id, &Message)| match message.place {
            Place::Working(job) => Some((*id, job)),
            _ => None,
        };
        self.in_hand.iter().filter_map(job).collect()
    }

    /// What is due for messages while there is work to be done.
    pub(super) fn work_deadlines(&self) -> [Option<Time>; 3] {
        let may_begin = self.has_free_job() && self.may_begin_another();
        let of_message = |message: &Message| match message.place {
            Place::Resting(due) => Some(due),
            Place::Postponed(due) => may_begin.then_some(due),
            Place::Held(due, ..) | Place::Refused(due, ..) => due,
            _ => None,
        };
        let messages = self.in_hand.values().filter_map(of_message).min();
        [messages, self.idle_deadline(), self.withholds_at()]
    }
}

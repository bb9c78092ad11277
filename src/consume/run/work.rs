//! Messages are begun when jobs are free, and commands end.

use std::time::Duration;

use super::connection::Question;
use super::event::{
    Action, Copy, DeliveryId, DeliveryInfo, Fate, Notice, Outcome, Settlement, ToCommand,
};
use super::message::{
    CopyState, DeliveryState, Job, MessageInHand, MessageState, StopReason, Verdict,
};
use super::phase::{Cause, Phase};
use super::{CountsDeliveries, Run};
use crate::status::Status;

/// How long a queue may deliver nothing while failed messages are held to the end of the run.
const LONGEST_FRUITLESS: Duration = Duration::from_secs(5);

impl Run {
    /// Begins messages while jobs are free, and returns messages to the queue whose pause is over.
    pub(super) fn keep_busy(&mut self) {
        self.give_back_due();
        self.begin_rested();
        self.begin_halves();
        // A message that cannot be framed fails at once, and a failure may end the run.
        while self.phase.is_consuming()
            && self.has_free_job()
            && self.may_begin_another()
            && self.may_start_now()
        {
            let has_begun = match self.options.batch() {
                Some(_) => self.begin_batch(),
                None => self.begin_next(),
            };
            if !has_begun {
                break;
            }
        }
        if !self.may_begin_another()
            && self.connection.is_open()
            && self.connection.subscriptions.is_empty()
        {
            self.give_back_waiting();
        }
        if self.withholds_at().is_some_and(|at| at <= self.now) {
            self.connection.question = Some(Question::DoesItWithhold);
            self.act(Action::CountReady);
        }
    }

    /// Begins the next message. False: there is none.
    fn begin_next(&mut self) -> bool {
        let postponed =
            self.first(|state| matches!(state, MessageState::Postponed(due) if *due <= self.now));
        if let Some(id) = postponed {
            self.begin_in_hand(id);
        } else if let Some((id, delivery)) = self.waiting.pop_first() {
            self.take_in_hand(id, delivery, MessageState::Postponed(self.now));
            self.begin_in_hand(id);
        } else {
            return false;
        }
        true
    }

    fn first(&self, is_it: impl Fn(&MessageState) -> bool) -> Option<DeliveryId> {
        self.in_hand
            .iter()
            .find(|(_, message)| is_it(&message.state))
            .map(|(id, _)| *id)
    }

    /// All messages in such a state.
    pub(super) fn all(&self, is_it: impl Fn(&MessageState) -> bool) -> Vec<DeliveryId> {
        self.in_hand
            .iter()
            .filter(|(_, message)| is_it(&message.state))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Puts a delivery in hand.
    pub(super) fn take_in_hand(
        &mut self,
        id: DeliveryId,
        delivery: DeliveryInfo,
        state: MessageState,
    ) {
        if let MessageState::Copying(copy, _) = state {
            self.act(Action::Copy(id, copy));
        }
        let message = MessageInHand {
            delivery,
            delivery_state: DeliveryState::Unsettled,
            runs: 0,
            output: 0,
            batch: None,
            attempt: 0,
            is_outcome_due: false,
            untold: None,
            state,
        };
        self.in_hand.insert(id, message);
    }

    fn begin_in_hand(&mut self, id: DeliveryId) {
        self.acknowledge_on_arrival(&[id]);
        self.start(id);
    }

    fn begin_rested(&mut self) {
        let now = self.now;
        for id in self.all(|state| matches!(state, MessageState::Resting(due, _) if *due <= now)) {
            if self.may_start_now() && (self.options.coprocess().is_none() || self.has_place()) {
                self.start(id);
            }
        }
    }

    pub(super) fn start(&mut self, id: DeliveryId) {
        for id in self.batch(id) {
            self.conclude_repeated(id);
            self.count_attempt(id);
        }
        if self.options.coprocess().is_some() {
            return self.feed(id);
        }
        let job = self.job_from_now();
        let Some(message) = self.in_hand.get_mut(&id) else {
            return;
        };
        message.state = MessageState::Working(job);
        let attempt = message.attempt;
        let is_batch = message.batch.is_some();
        self.keep_pace();
        self.act(if is_batch {
            Action::StartBatch(self.batch(id))
        } else {
            Action::Start { id, attempt }
        });
    }

    /// Notes which attempt at the message follows.
    pub(super) fn count_attempt(&mut self, id: DeliveryId) {
        let counts = match self.counts_deliveries {
            CountsDeliveries::Known(counts) => counts,
            CountsDeliveries::NotAsked | CountsDeliveries::Asked => None,
        };
        if let Some(message) = self.in_hand.get_mut(&id) {
            message.attempt =
                message.delivery.earlier_failures(counts) + u64::from(message.runs) + 1;
        }
    }

    pub(super) fn has_free_job(&self) -> bool {
        self.in_hand
            .values()
            .filter(|message| message.has_job())
            .count()
            < self.options.places()
            && (self.options.coprocess().is_none() || self.has_place())
    }

    /// How many messages count towards the limit: succeeded, failed, running, or succeeded with an output that is not confirmed.
    pub(super) fn begun(&self) -> u64 {
        let ours = |(id, message): &(&DeliveryId, &MessageInHand)| {
            (message.is_working() || message.is_output_on_its_way())
                && message.delivery_state != DeliveryState::Lost
                && !self.was_done_before(**id)
        };
        let working = self.in_hand.iter().filter(ours).count();
        self.succeeded + self.failed + self.connection.uncertain.successes + working as u64
    }

    pub(super) fn may_begin_another(&self) -> bool {
        self.options.limit.is_none_or(|limit| self.begun() < limit)
    }

    pub(super) fn on_command_ended(
        &mut self,
        id: DeliveryId,
        status: Status,
        signal: i32,
        output: usize,
    ) {
        self.quiet_since = self.now;
        let Some(message) = self.in_hand.get_mut(&id) else {
            return;
        };
        let MessageState::Working(job) = message.state else {
            return;
        };
        message.output = output;
        let (runs, delivery_state) = (message.runs + 1, message.delivery_state);
        let (verdict, status) = job.verdict(status);
        for id in self.batch(id) {
            if let Some(message) = self.in_hand.get_mut(&id) {
                message.runs += 1;
            }
            self.log(id, status, signal);
        }
        if delivery_state == DeliveryState::Lost {
            self.say(Notice::ResultDropped(status));
            for id in self.dissolve(id) {
                self.forget(id);
            }
            return;
        }
        match verdict {
            Verdict::Succeeded => self.succeed(id),
            Verdict::Interrupted => self.give_up_together(id),
            Verdict::Failed(status) => {
                let end = self.end_of(job, status, signal);
                self.note_failure(id, end);
                self.retry_or_fail(id, status, runs);
            }
        }
    }

    /// A command failed, for the time of this number on its delivery.
    pub(super) fn retry_or_fail(&mut self, id: DeliveryId, status: Status, runs: u32) {
        match self.options.retry_pause(runs) {
            Some(pause) if self.phase.is_consuming() => {
                let due = self.now.saturating_add(pause);
                self.tell_all(id, Fate::RunsAgain(pause));
                self.put(id, MessageState::Resting(due, status));
            }
            retry => {
                if self.split(id, status) {
                    return;
                }
                for id in self.dissolve(id) {
                    if retry.is_some() {
                        self.tell_if_lost(id); // the run ends before the retries are used up
                    }
                    self.on_failed(id, status);
                }
            }
        }
    }

    pub(super) fn put(&mut self, id: DeliveryId, state: MessageState) {
        if let Some(message) = self.in_hand.get_mut(&id) {
            message.state = state;
        }
    }

    /// A command has succeeded.
    pub(super) fn succeed(&mut self, id: DeliveryId) {
        self.failures_in_a_row = 0;
        if !self.options.publishes_output && !self.options.replies {
            return self.finish_succeeded(id);
        }
        self.copy(id, Copy::Output, None);
        // One publication is the output of a whole batch.
        for id in self.batch(id).into_iter().skip(1) {
            self.put(
                id,
                MessageState::Copying(Copy::Output, CopyState::default()),
            );
        }
    }

    /// A message that is done leaves the queue, and its batch with it.
    pub(super) fn finish_succeeded(&mut self, id: DeliveryId) {
        let ids = self.dissolve(id);
        self.finish_all_succeeded(&ids);
    }

    fn count_success(&mut self, id: DeliveryId) {
        if self.was_done_before(id) {
            return self.forget(id);
        }
        match self.in_hand.get(&id).map(|message| message.delivery_state) {
            Some(DeliveryState::Acknowledged(command)) if self.connection.is_certain(command) => {
                self.succeeded += 1;
            }
            Some(DeliveryState::Acknowledged(command)) => {
                self.connection.succeeded_earlier(command);
            }
            Some(DeliveryState::Unsettled) => self.connection.uncertain.successes += 1,
            Some(DeliveryState::Lost) | None => {}
        }
        self.forget(id);
    }

    /// Requeues a message whose command did not come to its own end.
    pub(super) fn give_up(&mut self, id: DeliveryId) {
        self.tell_if_lost(id);
        self.conclude_acknowledged(id, Outcome::Ignored);
        let was_begun = |message: &MessageInHand| {
            message.runs > 0
                || matches!(
                    message.state,
                    MessageState::Working(_) | MessageState::Behind
                )
        };
        if !self.prints() && self.in_hand.get(&id).is_some_and(was_begun) {
            self.conclude(id, Settlement::Return, Outcome::Requeued);
        } else {
            self.settle(id, Settlement::Return);
        }
        self.forget(id);
    }

    /// The same for a whole batch.
    pub(super) fn give_up_together(&mut self, id: DeliveryId) {
        for id in self.dissolve(id) {
            self.give_up(id);
        }
    }

    /// Says that a message is lost which was acknowledged on arrival and will not be worked on again.
    pub(super) fn tell_if_lost(&mut self, id: DeliveryId) {
        if self.is_acknowledged(id) {
            self.say(Notice::LostUnacknowledged);
        }
    }

    pub(super) fn is_acknowledged(&self, id: DeliveryId) -> bool {
        let is_gone = |message: &MessageInHand| {
            matches!(message.delivery_state, DeliveryState::Acknowledged(_))
        };
        self.in_hand.get(&id).is_some_and(is_gone)
    }

    /// Ends the run: every other message would fail in the same way.
    pub(super) fn on_cannot_start(&mut self, id: DeliveryId, status: Status, reason: String) {
        self.quiet_since = self.now;
        for id in self.batch(id) {
            self.log(id, status, 0);
        }
        self.say(Notice::CannotStart(reason));
        self.give_up_together(id);
        if self.phase.lies_in_the_work() {
            self.phase = Phase::Draining(Cause::CannotStart(status));
        }
    }

    pub(super) fn on_written(&mut self, last: DeliveryId) {
        self.quiet_since = self.now;
        let is_written =
            |(id, message): &(&DeliveryId, &MessageInHand)| **id <= last && message.is_working();
        let written: Vec<DeliveryId> = self
            .in_hand
            .iter()
            .filter(is_written)
            .map(|(id, _)| *id)
            .collect();
        if written.iter().any(|id| self.is_delivery_lost(*id)) {
            self.say(Notice::WrittenTwice);
        }
        self.finish_all_succeeded(&written);
    }

    /// Messages that are done leave the queue together.
    pub(super) fn finish_all_succeeded(&mut self, done: &[DeliveryId]) {
        if self.may_settle() {
            self.acknowledge_up_to(done);
        }
        for &id in done {
            if !self.is_delivery_lost(id) {
                self.decide_outcome(id, Outcome::Succeeded);
            }
            self.count_success(id);
        }
    }

    pub(super) fn on_cannot_write(&mut self, reason: &str) {
        self.fail(format!(
            "writing the message to standard output (it stays in the queue): {reason}"
        ));
        for id in self.all(|state| matches!(state, MessageState::Working(_))) {
            self.give_up(id);
        }
    }

    /// When the queue will have delivered nothing for too long while failed messages are held.
    pub(super) fn withholds_at(&self) -> Option<Duration> {
        let since = self
            .connection
            .fruitless_since
            .filter(|_| self.options.limit.is_some())?;
        let waits = self.connection.active_count() > 0
            && !self.connection.is_subscribing()
            && self.connection.question.is_none()
            && self.waiting.is_empty();
        let holds = self
            .in_hand
            .values()
            .any(|message| matches!(message.state, MessageState::Held(..)));
        (waits && holds && !self.is_working()).then(|| since + LONGEST_FRUITLESS)
    }

    /// Sends SIGTERM to commands that have run too long, and SIGKILL to those that ignored it.
    pub(super) fn enforce_job_deadlines(&mut self) {
        let now = self.now;
        let due = |state: &MessageState| matches!(state, MessageState::Working(job) if job.deadline().is_some_and(|due| due <= now));
        for id in self.all(due) {
            let Some(MessageInHand {
                state: MessageState::Working(job),
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

    fn terminate(&mut self, id: DeliveryId, reason: StopReason) {
        self.put(id, MessageState::Working(Job::stopped(reason, self.now)));
        self.act(Action::Signal(id, ToCommand::Terminate));
    }

    fn kill(&mut self, id: DeliveryId, job: Job) {
        self.put(id, MessageState::Working(job.killed()));
        self.act(Action::Signal(id, ToCommand::Kill));
    }

    /// Sends SIGTERM to every command, and stops writing lines.
    pub(super) fn terminate_all(&mut self) {
        if self.prints() {
            self.act(Action::StopWriting);
            for id in self.all(|state| matches!(state, MessageState::Working(_))) {
                self.give_up(id);
            }
        }
        for id in self.all(|state| {
            matches!(
                state,
                MessageState::Working(Job::Running(_) | Job::Signalled(_))
            )
        }) {
            self.terminate(id, StopReason::Interrupted);
        }
        self.terminate_children();
    }

    pub(super) fn kill_all(&mut self) {
        for (id, job) in self.jobs() {
            self.kill(id, job);
        }
        self.kill_children();
    }

    /// Passes a signal of the terminal on to all commands.
    pub(super) fn pass_on(&mut self, signal: i32) {
        if self.prints() {
            return;
        }
        for (id, job) in self.jobs() {
            self.act(Action::Signal(id, ToCommand::Pass(signal)));
            if let Job::Running(deadline) = job {
                self.put(id, MessageState::Working(Job::Signalled(deadline)));
            }
        }
        self.pass_on_to_children(signal);
    }

    fn jobs(&self) -> Vec<(DeliveryId, Job)> {
        let job = |(id, message): (&DeliveryId, &MessageInHand)| match message.state {
            MessageState::Working(job) => Some((*id, job)),
            _ => None,
        };
        self.in_hand.iter().filter_map(job).collect()
    }

    /// When messages and the end are due while the run is consuming.
    pub(super) fn work_deadlines(&self) -> [Option<Duration>; 5] {
        let may_begin = self.has_free_job() && self.may_begin_another();
        let may_start_rested = self.options.coprocess().is_none() || self.has_place();
        let of_message = |message: &MessageInHand| match message.state {
            MessageState::Resting(due, _) => may_start_rested.then(|| self.paced(due)),
            MessageState::Split(_) => self.has_free_job().then_some(self.next_start),
            MessageState::Postponed(due) if self.options.batch().is_none() || due > self.now => {
                may_begin.then(|| self.paced(due))
            }
            MessageState::Held(due, ..) | MessageState::Refused(due, ..) => due,
            _ => None,
        };
        let messages = self.in_hand.values().filter_map(of_message).min();
        let waiting = match self.options.batch() {
            Some(_) => self.batch_due().map(|due| self.paced(due)),
            None => (!self.waiting.is_empty()).then_some(self.next_start),
        };
        let waiting = waiting.filter(|_| may_begin);
        let restart = self.coprocesses.restart_at(self.now);
        [
            messages,
            waiting,
            restart,
            self.idle_deadline(),
            self.withholds_at(),
        ]
    }
}

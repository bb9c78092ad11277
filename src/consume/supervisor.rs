//! The loop: takes messages, starts commands, and settles messages as their commands end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, at, bounded, never, select};

use super::command::{self, StartFailure};
use super::console::{reason, say};
use super::crew::{Crew, Job};
use super::ending::{Ending, Verdict};
use super::environment::Telling;
use super::failed::Failed;
use super::held::Until;
use super::joblog::{Joblog, Start};
use super::link::{Answer, Link};
use super::options::{Acknowledgement, ConsumeOptions};
use super::outbox::Report;
use super::outcome::{self, Account, End, Tally};
use super::signals::{self, Notice};
use super::task::{Claim, Task};
use crate::broker::{self, Arrival, ConnectOptions, Error, Session};
use crate::status::Status;

/// How long nothing must come before the broker is asked whether the queue is empty.
const LULL: Duration = Duration::from_millis(50);

/// The running tool. It outlives a connection; what belongs to one is in its [`Link`].
pub(super) struct Supervisor {
    options: ConsumeOptions,
    notices: Receiver<Notice>,
    joblog: Option<Joblog>,
    stage: Stage,
    /// When `--grace` is over.
    grace_ends: Option<Instant>,
    /// Delivered, and waiting for a free job.
    waiting: VecDeque<Task>,
    /// The running commands.
    crew: Crew,
    /// Failed, and to be run again; each keeps its job.
    resting: Vec<(Instant, Task)>,
    /// Failed, and not settled yet.
    failed: Failed,
    tally: Tally,
    /// What the first of the messages failed with that were held to the end.
    unfinished: Option<Status>,
    commands_started: u64,
    /// Since when nothing has come or run.
    quiet_since: Instant,
}

/// How far the tool is from its end.
enum Stage {
    /// Messages are taken and commands started.
    Consuming,
    /// No more are; running commands end by themselves.
    Draining(Cause),
    /// Running commands have been told to end.
    Stopping(Cause),
}

/// Why the tool is to end.
enum Cause {
    /// An orderly end.
    Orderly(End),
    /// The broker, or the machine, lets it go on no longer.
    Trouble(anyhow::Error),
}

/// What the loop wakes up for.
enum Event {
    Arrival(Arrival),
    Notice(Notice),
    Opened(broker::Result<Box<Session>>),
    Report(Report),
    Deadline,
}

impl Supervisor {
    pub(super) fn new(
        options: ConsumeOptions,
        notices: Receiver<Notice>,
        connect: &ConnectOptions,
    ) -> anyhow::Result<Supervisor> {
        let joblog = match &options.joblog {
            Some(path) => Some(
                Joblog::open(path)
                    .with_context(|| format!("opening the job log {}", path.display()))?,
            ),
            None => None,
        };
        let until = match options.limit {
            Some(_) => Until::TheEnd,
            None => Until::Paused,
        };
        let failed = Failed::new(options.failure.clone(), until, connect.clone());
        Ok(Supervisor {
            options,
            notices,
            joblog,
            stage: Stage::Consuming,
            grace_ends: None,
            waiting: VecDeque::new(),
            crew: Crew::default(),
            resting: Vec::new(),
            failed,
            tally: Tally::default(),
            unfinished: None,
            commands_started: 0,
            quiet_since: Instant::now(),
        })
    }

    /// Consumes until there is a reason to end, on one connection after the other.
    pub(super) fn run(mut self, connect: &ConnectOptions) -> anyhow::Result<Status> {
        while let Some(session) = self.open_session(connect)? {
            let error = match self.serve(&session) {
                Ok(()) => match session.close() {
                    Ok(()) => break,
                    Err(error) => error,
                },
                Err(Error::Lost { .. }) => session.autopsy("basic.consume"),
                Err(error) => error,
            };
            self.lose_session();
            let goes_on = matches!(self.stage, Stage::Consuming)
                && error.is_transient()
                && !connect.retry.is_zero();
            if goes_on {
                say(&format!("{error}; connecting anew"));
            } else {
                self.fail(explained(error));
            }
        }
        self.finish_without_broker();
        self.outcome()
    }

    // --- the broker ---

    /// Connects, in a thread of its own: running commands and signals are looked after meanwhile. `None` if the tool is
    /// to end before there is a connection, or needs none any more.
    fn open_session(&mut self, connect: &ConnectOptions) -> anyhow::Result<Option<Session>> {
        if !matches!(self.stage, Stage::Consuming) {
            return Ok(None);
        }
        let (sender, opened) = bounded(1);
        let connect = connect.clone();
        std::thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                let _ = sender.send(Session::open(&connect).map(Box::new));
            })
            .context("starting a thread")?;
        while matches!(self.stage, Stage::Consuming) {
            self.enforce_deadlines();
            match self.next_event(None, &opened) {
                Event::Opened(Ok(session)) => {
                    self.quiet_since = Instant::now();
                    return Ok(Some(*session));
                }
                Event::Opened(Err(error)) => self.fail(error.into()),
                Event::Notice(Notice::Child) => self.reap_without_broker(),
                Event::Notice(Notice::End(signal)) => self.on_signal(signal),
                Event::Arrival(_) | Event::Report(_) | Event::Deadline => {}
            }
        }
        Ok(None)
    }

    /// Works on one connection until the tool is to end and everything is settled.
    fn serve(&mut self, session: &Session) -> broker::Result<()> {
        let mut link = Link::establish(session, &self.options)?;
        loop {
            self.enforce_deadlines();
            self.decide_to_end(&link)?;
            match self.stage {
                Stage::Consuming => self.keep_busy(&mut link)?,
                Stage::Draining(_) | Stage::Stopping(_) => {
                    self.give_back_unstarted(&mut link)?;
                    if self.crew.is_empty() && self.give_back_failed(&mut link)? {
                        return Ok(());
                    }
                }
            }
            match self.next_event(Some(&link), &never()) {
                Event::Arrival(arrival) => self.on_arrival(arrival, &mut link)?,
                Event::Notice(Notice::Child) => {
                    for (job, ending) in self.crew.reap() {
                        self.on_end(job, ending, &mut link)?;
                    }
                }
                Event::Notice(Notice::End(signal)) => self.on_signal(signal),
                Event::Report(report) => self.failed.on_report(report, &mut link)?,
                Event::Opened(_) | Event::Deadline => {}
            }
        }
    }

    fn next_event(
        &self,
        link: Option<&Link>,
        opened: &Receiver<broker::Result<Box<Session>>>,
    ) -> Event {
        let arrivals = link.and_then(Link::arrivals).cloned().unwrap_or_else(never);
        let deadline = self.next_deadline(link.is_some()).map_or_else(never, at);
        let reports = link.map_or_else(never, |_| self.failed.reports().clone());
        select! {
            recv(arrivals) -> wire => Event::Arrival(Arrival::from_wire(wire)),
            recv(self.notices) -> notice => notice.map_or(Event::Deadline, Event::Notice),
            recv(opened) -> session => session.map_or(Event::Deadline, Event::Opened),
            recv(reports) -> report => report.map_or(Event::Deadline, Event::Report),
            recv(deadline) -> _ => Event::Deadline,
        }
    }

    fn on_arrival(&mut self, arrival: Arrival, link: &mut Link) -> broker::Result<()> {
        match arrival {
            Arrival::Delivery(delivery) => {
                let task = link.take(*delivery);
                self.waiting.push_back(task);
                self.quiet_since = Instant::now();
                Ok(())
            }
            Arrival::Ended => Ok(()),
            Arrival::Cancelled => {
                link.subscription_ended();
                let queue = link.queue();
                self.fail(Error::Cancelled(format!("queue '{queue}' is gone")).into());
                Ok(())
            }
            Arrival::Closed(error) => Err(error),
            Arrival::Broken => Err(Error::Lost {
                context: "basic.consume",
                reason: "the connection is closed".to_owned(),
            }),
        }
    }

    /// The connection is gone, and all unsettled messages with it: the broker delivers them again.
    fn lose_session(&mut self) {
        let resting = self.resting.len();
        self.resting
            .retain(|(_, task)| matches!(task.claim, Claim::Settled));
        let lost = self.crew.lose_claims() + (resting - self.resting.len());
        self.tally.begun = self.tally.begun.saturating_sub(lost as u64);
        self.waiting.clear();
        self.failed.forget();
    }

    // --- messages and commands ---

    /// Gives back what is due and starts what can be started.
    fn keep_busy(&mut self, link: &mut Link) -> broker::Result<()> {
        let now = Instant::now();
        if self.failed.give_back_due(link)? {
            self.quiet_since = now;
        }
        let rested: Vec<_> = self
            .resting
            .extract_if(.., |(due, _)| *due <= now)
            .collect();
        for (_, task) in rested {
            self.start(task, link)?;
        }
        while self.has_free_job() && self.may_begin_another() {
            let Some(task) = self.waiting.pop_front() else {
                break;
            };
            self.tally.begun += 1;
            self.start(task, link)?;
        }
        if !self.may_begin_another() {
            return self.take_no_more(link);
        }
        if self.is_starved_by_held_messages(link) {
            let late = link.subscribe_anew()?;
            self.waiting.extend(late);
        }
        Ok(())
    }

    fn has_free_job(&self) -> bool {
        self.crew.len() + self.resting.len() < self.options.work.jobs.get()
    }

    fn may_begin_another(&self) -> bool {
        self.options
            .limit
            .is_none_or(|limit| self.tally.begun < limit)
    }

    /// Whether jobs are free and the broker sends nothing because of messages that are only held.
    fn is_starved_by_held_messages(&self, link: &Link) -> bool {
        self.has_free_job()
            && self.waiting.is_empty()
            && link.is_out_of_credit()
            && !self.failed.is_full()
            && self.failed.cost_credit(link)
    }

    fn start(&mut self, mut task: Task, link: &mut Link) -> broker::Result<()> {
        if self.options.acknowledgement == Acknowledgement::OnArrival {
            link.settle(task.claim, Answer::Done)?;
            task.claim = Claim::Settled;
        }
        let environment = Telling {
            queue: link.queue(),
            message: &task.message,
            redelivered: task.redelivered,
            tag: task.tag,
            attempt: self.failed.attempt(&task),
        }
        .variables();
        self.commands_started += 1;
        let start = Start::now(self.commands_started);
        let work = &self.options.work;
        match command::start(&work.command, &environment, &task.body) {
            Ok(started) => {
                self.crew.enlist(started, start, task, work.timeout);
                Ok(())
            }
            Err(StartFailure::Command(error)) => {
                let program = work.command.program.to_string_lossy();
                say(&format!("{program}: {}", reason(&error)));
                let ending = Ending::of_unstartable(&error);
                self.conclude(task, start, ending, link)
            }
            Err(StartFailure::Machine(error)) => self.put_off(task, &error, link),
        }
    }

    /// The machine has no room for a command. That is no failure of the message, which goes back unharmed.
    fn put_off(
        &mut self,
        task: Task,
        error: &std::io::Error,
        link: &mut Link,
    ) -> broker::Result<()> {
        self.tally.begun = self.tally.begun.saturating_sub(1);
        let fate = match task.claim {
            Claim::Held(_) => "its message goes back to the queue",
            Claim::Settled => "its message was acknowledged already (--no-ack) and is lost",
            Claim::Lost => "its message is delivered again",
        };
        link.settle(task.claim, Answer::NotTried)?;
        self.fail(anyhow::anyhow!(
            "starting a command: {}; {fate}",
            reason(error)
        ));
        Ok(())
    }

    fn on_end(&mut self, job: Job, ending: Ending, link: &mut Link) -> broker::Result<()> {
        self.conclude(job.task, job.start, ending, link)
    }

    /// A command has ended, or could not be started: decides about its message.
    fn conclude(
        &mut self,
        mut task: Task,
        start: Start,
        ending: Ending,
        link: &mut Link,
    ) -> broker::Result<()> {
        self.quiet_since = Instant::now();
        self.log(start, &task, ending);
        task.runs += 1;
        if matches!(task.claim, Claim::Lost) {
            report_dropped(ending);
            return Ok(());
        }
        match ending.verdict {
            Verdict::Succeeded => {
                self.tally.succeeded += 1;
                self.failed.success();
                link.settle(task.claim, Answer::Done)
            }
            Verdict::Interrupted => link.settle(task.claim, Answer::NotTried),
            Verdict::Failed if self.may_run_again(task.runs) => {
                let due = Instant::now() + self.rest_before(task.runs);
                self.resting.push((due, task));
                Ok(())
            }
            Verdict::Failed => {
                self.tally.failure(ending.status);
                self.failed.add(task, ending.status, link)
            }
        }
    }

    fn may_run_again(&self, runs: u32) -> bool {
        let is_stopped = matches!(
            self.stage,
            Stage::Stopping(_)
                | Stage::Draining(Cause::Orderly(End::Signal(_)) | Cause::Trouble(_))
        );
        runs <= self.options.work.retries && !is_stopped
    }

    /// The pause before a command is run again that has failed `runs` times.
    fn rest_before(&self, runs: u32) -> Duration {
        let doublings = runs.saturating_sub(1).min(16);
        self.options.work.retry_delay.saturating_mul(1 << doublings)
    }

    fn log(&mut self, start: Start, task: &Task, ending: Ending) {
        if let Some(joblog) = &mut self.joblog {
            joblog.record(&start, task, ending);
        }
    }

    // --- the end ---

    /// Sees whether it is time to end for one of the reasons that lie in the work itself.
    fn decide_to_end(&mut self, link: &Link) -> broker::Result<()> {
        if !matches!(self.stage, Stage::Consuming) {
            return Ok(());
        }
        let counted = !self.may_begin_another() && self.crew.is_empty() && self.resting.is_empty();
        let stuck = self.options.limit.is_some() && self.failed.is_full();
        if stuck {
            say("too many messages have failed; they go back to the queue");
        }
        if counted || stuck {
            self.stage = Stage::Draining(Cause::Orderly(End::Counted));
        } else if self.is_idle(Instant::now()) {
            let waits_for_empty_queue =
                self.options.idle.is_some_and(|idle| idle.timeout.is_zero());
            if waits_for_empty_queue && !link.queue_is_drained()? {
                self.quiet_since = Instant::now();
            } else {
                self.stage = Stage::Draining(Cause::Orderly(End::Idle));
            }
        }
        Ok(())
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.idle_at().is_some_and(|idle_at| idle_at <= now)
    }

    /// When there will have been nothing to do for long enough, if nothing comes until then.
    fn idle_at(&self) -> Option<Instant> {
        let idle = self.options.idle?;
        let busy = !self.crew.is_empty()
            || !self.resting.is_empty()
            || !self.waiting.is_empty()
            || self.failed.is_busy();
        // With a count, failed messages are held to the end; without a limit to their attempts, they might never be done.
        let unfinished = self.options.limit.is_none() && self.failed.will_be_done();
        if busy || unfinished {
            return None;
        }
        self.quiet_since.checked_add(idle.timeout.max(LULL))
    }

    fn on_signal(&mut self, signal: i32) {
        let now = Instant::now();
        let stage = std::mem::replace(&mut self.stage, Stage::Consuming);
        self.stage = match stage {
            Stage::Consuming | Stage::Draining(Cause::Orderly(End::Counted | End::Idle)) => {
                self.grace_ends = self.options.grace.and_then(|grace| now.checked_add(grace));
                Stage::Draining(Cause::Orderly(End::Signal(signal)))
            }
            Stage::Draining(cause) => {
                self.crew.stop_all(now);
                Stage::Stopping(cause)
            }
            Stage::Stopping(cause) => {
                self.crew.kill_all();
                Stage::Stopping(cause)
            }
        };
        if signals::comes_from_terminal(signal) {
            self.crew.pass_on(signal);
        }
    }

    /// Something came up that the tool can't go on after. What it has begun it brings to an end.
    fn fail(&mut self, trouble: anyhow::Error) {
        match self.stage {
            Stage::Consuming | Stage::Draining(Cause::Orderly(End::Counted | End::Idle)) => {
                self.stage = Stage::Draining(Cause::Trouble(trouble));
            }
            // It ends already, and for a reason that says more.
            _ => say(&format!("{trouble:#}")),
        }
    }

    fn enforce_deadlines(&mut self) {
        let now = Instant::now();
        self.crew.enforce_deadlines(now);
        if self.grace_ends.is_some_and(|end| end <= now) {
            self.grace_ends = None;
            self.stop_commands();
        }
    }

    /// From draining to stopping.
    fn stop_commands(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Consuming);
        self.stage = match stage {
            Stage::Draining(cause) => {
                self.crew.stop_all(Instant::now());
                Stage::Stopping(cause)
            }
            other => other,
        };
    }

    /// When there is something to do though nothing happens.
    fn next_deadline(&self, connected: bool) -> Option<Instant> {
        let ours = [self.crew.next_deadline(), self.grace_ends];
        let mut of_the_work = [None; 3];
        if connected && matches!(self.stage, Stage::Consuming) {
            let resting = self.resting.iter().map(|(due, _)| *due).min();
            of_the_work = [self.failed.next_due(), resting, self.idle_at()];
        }
        ours.into_iter().chain(of_the_work).flatten().min()
    }

    /// Takes no more messages, and gives back those whose command is not running.
    fn give_back_unstarted(&mut self, link: &mut Link) -> broker::Result<()> {
        self.take_no_more(link)?;
        for (_, task) in self.resting.drain(..) {
            link.settle(task.claim, Answer::NotTried)?;
        }
        Ok(())
    }

    /// Takes no more messages, and gives back those that nothing was done about.
    fn take_no_more(&mut self, link: &mut Link) -> broker::Result<()> {
        let late = link.unsubscribe()?;
        for task in self.waiting.drain(..).chain(late) {
            link.settle(task.claim, Answer::NotTried)?;
        }
        Ok(())
    }

    /// Gives back what has failed. True when the broker has been told about all of it.
    fn give_back_failed(&mut self, link: &mut Link) -> broker::Result<bool> {
        self.unfinished = self.unfinished.or(self.failed.first_status());
        if matches!(self.stage, Stage::Stopping(_)) {
            self.failed.give_up(link)?;
        } else {
            self.failed.give_back_all(link)?;
        }
        Ok(!self.failed.is_busy())
    }

    /// Brings running commands to an end whose messages are no longer ours.
    fn finish_without_broker(&mut self) {
        if matches!(self.stage, Stage::Draining(Cause::Trouble(_))) {
            self.stop_commands();
        }
        while !self.crew.is_empty() {
            self.enforce_deadlines();
            match self.next_event(None, &never()) {
                Event::Notice(Notice::Child) => self.reap_without_broker(),
                Event::Notice(Notice::End(signal)) => self.on_signal(signal),
                Event::Arrival(_) | Event::Opened(_) | Event::Report(_) | Event::Deadline => {}
            }
        }
    }

    fn reap_without_broker(&mut self) {
        for (job, ending) in self.crew.reap() {
            self.log(job.start, &job.task, ending);
            match job.task.claim {
                Claim::Held(_) | Claim::Lost => report_dropped(ending),
                Claim::Settled => self.count(ending),
            }
        }
    }

    /// Counts the end of a command whose message is settled already.
    fn count(&mut self, ending: Ending) {
        match ending.verdict {
            Verdict::Succeeded => self.tally.succeeded += 1,
            Verdict::Failed => self.tally.failure(ending.status),
            Verdict::Interrupted => {}
        }
    }

    fn outcome(self) -> anyhow::Result<Status> {
        let end = match self.stage {
            Stage::Draining(Cause::Trouble(error)) | Stage::Stopping(Cause::Trouble(error)) => {
                return Err(error);
            }
            Stage::Draining(Cause::Orderly(end)) | Stage::Stopping(Cause::Orderly(end)) => end,
            Stage::Consuming => return Err(anyhow::anyhow!("ended for no reason")),
        };
        Ok(outcome::status(&Account {
            end,
            tally: self.tally,
            limit: self.options.limit,
            unfinished: self.unfinished,
            status_if_unused: self
                .options
                .idle
                .map_or(Status::SUCCESS, |idle| idle.status_if_unused),
        }))
    }
}

fn report_dropped(ending: Ending) {
    say(&format!(
        "a command ended with status {} after its message was lost with the connection; the result is dropped, \
         the broker delivers the message again",
        ending.status.code()
    ));
}

/// The error, with what to do about those that are not self-explanatory.
fn explained(error: Error) -> anyhow::Error {
    match &error {
        Error::Refused { text, .. } if text.contains("delivery acknowledgement") => {
            anyhow::anyhow!(
                "{error}\nThe broker takes a message back that is not acknowledged in time. Raise its consumer_timeout \
                 (30 minutes unless set), or x-consumer-timeout of the queue (RabbitMQ 3.12 or later), both in \
                 milliseconds, above what a command may take, or bound that with --timeout."
            )
        }
        _ => error.into(),
    }
}

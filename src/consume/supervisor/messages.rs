//! What is done about messages: started as jobs become free, settled as commands end.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::end::Cause;
use super::{Stage, Supervisor};
use crate::broker;
use crate::console::say;
use crate::consume::command::{Launcher, StartFailure};
use crate::consume::ending::{Ending, Verdict};
use crate::consume::environment::Telling;
use crate::consume::joblog::Start;
use crate::consume::link::{Answer, Link};
use crate::consume::options::{Acknowledgement, CommandWork, Work};
use crate::consume::outcome::End;
use crate::consume::task::{Claim, Task};
use crate::reason::reason;

impl Supervisor {
    /// Gives back what is due and starts what can be started.
    pub(super) fn keep_busy(&mut self, link: &mut Link) -> broker::Result<()> {
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
        while self.is_open_for_work() {
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

    fn is_open_for_work(&self) -> bool {
        let is_consuming = matches!(self.stage, Stage::Consuming);
        is_consuming && self.has_free_job() && self.may_begin_another()
    }

    fn has_free_job(&self) -> bool {
        match &self.options.work {
            Work::Command(work) => self.crew.len() + self.resting.len() < work.jobs.get(),
            Work::Print => self.printer.len() < self.options.prefetch.get().into(),
        }
    }

    pub(super) fn may_begin_another(&self) -> bool {
        let limit = self.options.limit;
        limit.is_none_or(|limit| self.tally.begun < limit)
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
        let options = Rc::clone(&self.options);
        match &options.work {
            Work::Command(work) => self.start_command(work, task, link),
            Work::Print => {
                if let Err(error) = self.printer.print(task) {
                    self.fail(anyhow::anyhow!("starting a thread: {}", reason(&error)));
                }
                Ok(())
            }
        }
    }

    fn start_command(
        &mut self,
        work: &CommandWork,
        task: Task,
        link: &mut Link,
    ) -> broker::Result<()> {
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
        let started = match self.launcher(work) {
            Ok(launcher) => launcher.start(&environment, &task.body),
            Err(error) => Err(StartFailure::Machine(error)),
        };
        match started {
            Ok(started) => {
                self.crew.enlist(started, start, task, work.timeout);
                Ok(())
            }
            Err(StartFailure::Command(error)) => {
                let program = work.line.program.to_string_lossy();
                say(&format!("{program}: {}", reason(&error)));
                self.conclude(task, start, Ending::of_unstartable(&error), link)
            }
            Err(StartFailure::Machine(error)) => self.put_off(task, &error, link),
        }
    }

    fn launcher(&mut self, work: &CommandWork) -> io::Result<&Launcher> {
        match &mut self.launcher {
            Some(launcher) => Ok(launcher),
            none => Ok(none.insert(Launcher::new(work)?)),
        }
    }

    /// The machine has no room for a command. That is no failure of the message, which goes back unharmed.
    fn put_off(&mut self, task: Task, error: &io::Error, link: &mut Link) -> broker::Result<()> {
        self.tally.begun = self.tally.begun.saturating_sub(1);
        let fate = match task.claim {
            Claim::Held(_) => "its message goes back to the queue",
            Claim::Settled => "its message was acknowledged already (--no-ack) and is lost",
            Claim::Lost => "its message is delivered again",
        };
        link.settle(task.claim, Answer::NotTried)?;
        let reason = reason(error);
        self.fail(anyhow::anyhow!("starting a command: {reason}; {fate}"));
        Ok(())
    }

    /// Children have ended.
    pub(super) fn on_children(&mut self, link: &mut Link) -> broker::Result<()> {
        for (job, ending) in self.crew.reap() {
            self.conclude(job.task, job.start, ending, link)?;
        }
        Ok(())
    }

    /// The same while there is no connection.
    pub(super) fn on_children_without_broker(&mut self) {
        for (job, ending) in self.crew.reap() {
            self.log(job.start, &job.task, ending);
            match job.task.claim {
                Claim::Held(_) | Claim::Lost => report_dropped(ending),
                Claim::Settled => self.tally.count(ending),
            }
        }
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
        if ending.verdict == Verdict::Failed
            && let Some(pause) = self.pause_before_next_run(&task)
        {
            self.resting.push((Instant::now() + pause, task));
            return Ok(());
        }
        self.tally.count(ending);
        match ending.verdict {
            Verdict::Succeeded => {
                self.failed.success();
                link.settle(task.claim, Answer::Done)
            }
            Verdict::Interrupted => link.settle(task.claim, Answer::NotTried),
            Verdict::Failed => self.failed.add(task, ending.status, link),
        }
    }

    /// How long a command that has failed rests before it is run again on the same message; `None` if it is not.
    fn pause_before_next_run(&self, task: &Task) -> Option<Duration> {
        let Work::Command(work) = &self.options.work else {
            return None;
        };
        let is_to_end = match &self.stage {
            Stage::Consuming | Stage::Draining(Cause::Orderly(End::Counted | End::Idle)) => false,
            Stage::Draining(_) | Stage::Stopping(_) => true,
        };
        (task.runs <= work.retries && !is_to_end).then(|| work.pause_after(task.runs))
    }

    /// A line is written, or can't be.
    pub(super) fn on_written(
        &mut self,
        result: io::Result<()>,
        link: &mut Link,
    ) -> broker::Result<()> {
        self.quiet_since = Instant::now();
        match (result, self.printer.next_written()) {
            (Ok(()), Some(task)) => {
                if matches!(task.claim, Claim::Lost) {
                    say(WRITTEN_AGAIN);
                    return Ok(());
                }
                self.tally.succeeded += 1;
                link.settle(task.claim, Answer::Done)
            }
            (Ok(()), None) => Ok(()),
            (Err(error), first) => {
                self.fail_to_write(&error);
                let rest = self.printer.give_up();
                for task in first.into_iter().chain(rest) {
                    link.settle(task.claim, Answer::NotTried)?;
                }
                Ok(())
            }
        }
    }

    /// The same while there is no connection.
    pub(super) fn on_written_without_broker(&mut self, result: io::Result<()>) {
        match (result, self.printer.next_written()) {
            (Ok(()), Some(task)) => match task.claim {
                Claim::Settled => self.tally.succeeded += 1,
                Claim::Held(_) | Claim::Lost => say(WRITTEN_AGAIN),
            },
            (Ok(()), None) => {}
            (Err(error), _) => {
                self.fail_to_write(&error);
                drop(self.printer.give_up());
            }
        }
    }

    fn fail_to_write(&mut self, error: &io::Error) {
        let reason = reason(error);
        self.fail(anyhow::anyhow!(
            "writing the message to standard output (it stays in the queue): {reason}"
        ));
    }

    /// Takes no more messages, and gives back those that nothing was done about.
    pub(super) fn take_no_more(&mut self, link: &mut Link) -> broker::Result<()> {
        let late = link.unsubscribe()?;
        for task in self.waiting.drain(..).chain(late) {
            link.settle(task.claim, Answer::NotTried)?;
        }
        Ok(())
    }

    fn log(&mut self, start: Start, task: &Task, ending: Ending) {
        if let Some(joblog) = &mut self.joblog {
            joblog.record(&start, task, ending);
        }
    }
}

const WRITTEN_AGAIN: &str =
    "a message was written after it was lost with the connection: the broker delivers it again";

fn report_dropped(ending: Ending) {
    say(&format!(
        "a command ended with status {} after its message was lost with the connection; the result is dropped, \
         the broker delivers the message again",
        ending.status.code()
    ));
}

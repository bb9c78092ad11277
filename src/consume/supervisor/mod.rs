//! The loop: takes messages, has them worked on, and settles them. What it does about messages is in `messages`, about its
//! own end in `end`.

mod end;
mod events;
mod messages;

use std::collections::VecDeque;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::Receiver;

use super::command::Launcher;
use super::crew::Crew;
use super::failed::Failed;
use super::held::Until;
use super::joblog::Joblog;
use super::link::Link;
use super::options::ConsumeOptions;
use super::outcome::Tally;
use super::printer::Printer;
use super::signals::{Notice, Notices};
use super::task::{Claim, Task};
use crate::broker::{self, Arrival, ConnectOptions, Error, Session};
use crate::console::say;
use crate::doorbell::{Doorbell, Messenger};
use crate::status::Status;
use end::Stage;
use events::Event;

/// The least time between two attempts to work on a connection.
const BREATHER: Duration = Duration::from_secs(1);

/// How long the tool waits at its end for what the job log is written to.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// The running tool. It outlives a connection; what belongs to one is in its [`Link`].
pub(super) struct Supervisor {
    options: Rc<ConsumeOptions>,
    connect: ConnectOptions,
    notices: Notices,
    /// Rung by whoever else has something for the loop.
    doorbell: Doorbell,
    /// The connection that is being opened.
    opening: Option<Receiver<broker::Result<Box<Session>>>>,
    joblog: Option<Joblog>,
    stage: Stage,
    /// When `--grace` is over.
    grace_ends: Option<Instant>,
    /// Delivered, and waiting for a free job.
    waiting: VecDeque<Task>,
    /// Absent until there is a command to start.
    launcher: Option<Launcher>,
    /// The running commands.
    crew: Crew,
    /// What is being written to standard output.
    printer: Printer,
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

impl Supervisor {
    pub(super) fn new(
        options: ConsumeOptions,
        notices: Notices,
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
        let doorbell = Doorbell::new().context("opening a file to wait on")?;
        Ok(Supervisor {
            failed: Failed::new(options.failure.clone(), until, connect.clone(), &doorbell),
            options: Rc::new(options),
            connect: connect.clone(),
            notices,
            joblog,
            stage: Stage::Consuming,
            grace_ends: None,
            waiting: VecDeque::new(),
            launcher: None,
            crew: Crew::default(),
            printer: Printer::new(doorbell.clone()),
            doorbell,
            opening: None,
            resting: Vec::new(),
            tally: Tally::default(),
            unfinished: None,
            commands_started: 0,
            quiet_since: Instant::now(),
        })
    }

    /// Consumes until there is a reason to end, on one connection after the other.
    pub(super) fn run(mut self) -> anyhow::Result<Status> {
        let mut not_before = Instant::now();
        while let Some(opened) = self.open_session(not_before)? {
            not_before = Instant::now() + BREATHER;
            let Err(error) = opened.and_then(|session| self.use_session(session)) else {
                break;
            };
            self.lose_session();
            let is_consuming = matches!(self.stage, Stage::Consuming);
            // Connecting has had its retries.
            let may_pass = error.is_transient() && !matches!(error, Error::GaveUp { .. });
            if is_consuming && may_pass && self.is_persistent() {
                say(&format!("{error}; connecting anew"));
            } else {
                self.fail(explained(error));
            }
        }
        self.finish_without_broker();
        self.finish_joblog();
        self.outcome()
    }

    fn finish_joblog(&mut self) {
        let missing = self
            .joblog
            .take()
            .map_or(0, |joblog| joblog.finish(LOG_PATIENCE));
        if missing > 0 {
            say(&format!("lines missing in the job log: {missing}"));
        }
    }

    /// Whether the tool outlives its connections.
    fn is_persistent(&self) -> bool {
        !self.connect.retry.is_zero()
    }

    /// Connects, in a thread of its own: running commands and signals are looked after meanwhile. `None` if the tool is
    /// to end before there is a connection, or needs none any more.
    fn open_session(
        &mut self,
        not_before: Instant,
    ) -> anyhow::Result<Option<broker::Result<Session>>> {
        if !matches!(self.stage, Stage::Consuming) {
            return Ok(None);
        }
        let (sender, opened) = Messenger::to(&self.doorbell);
        self.opening = Some(opened);
        let connect = self.connect.clone();
        let prefetch = self.options.prefetch;
        thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                thread::sleep(not_before.saturating_duration_since(Instant::now()));
                let session = Session::open_with_prefetch(&connect, prefetch);
                let _ = sender.send(session.map(Box::new));
            })
            .context("starting a thread")?;
        while matches!(self.stage, Stage::Consuming) {
            self.enforce_deadlines();
            match self.next_event(None) {
                Event::Opened(opened) => {
                    self.quiet_since = Instant::now();
                    return Ok(Some(opened.map(|session| *session)));
                }
                other => self.on_event_without_broker(other),
            }
        }
        Ok(None)
    }

    /// Works on one connection, and closes it or says why it can't be used any more.
    fn use_session(&mut self, session: Session) -> broker::Result<()> {
        match self.serve(&session) {
            Ok(()) => session.close(),
            Err(Error::Lost { .. }) => Err(session.autopsy("basic.consume")),
            Err(error) => Err(error),
        }
    }

    /// Works on one connection until the tool is to end and everything is settled.
    fn serve(&mut self, session: &Session) -> broker::Result<()> {
        session.ring_for_news(&self.doorbell);
        let mut link = Link::establish(session, &self.options)?;
        loop {
            self.enforce_deadlines();
            self.decide_to_end(&link)?;
            match self.stage {
                Stage::Consuming => self.keep_busy(&mut link)?,
                Stage::Draining(_) | Stage::Stopping(_) => {
                    if self.wind_up(&mut link)? {
                        return Ok(());
                    }
                }
            }
            match self.next_event(Some(&link)) {
                Event::Arrival(arrival) => self.on_arrival(arrival, &mut link)?,
                Event::Notice(Notice::Child) => self.on_children(&mut link)?,
                Event::Notice(Notice::End(signal)) => self.on_signal(signal),
                Event::Report(report) => self.failed.on_report(report, &mut link)?,
                Event::Written(result) => self.on_written(result, &mut link)?,
                Event::Opened(_) | Event::Deadline => {}
            }
        }
    }

    fn on_event_without_broker(&mut self, event: Event) {
        match event {
            Event::Notice(Notice::Child) => self.on_children_without_broker(),
            Event::Notice(Notice::End(signal)) => self.on_signal(signal),
            Event::Written(result) => self.on_written_without_broker(result),
            Event::Arrival(_) | Event::Opened(_) | Event::Report(_) | Event::Deadline => {}
        }
    }

    fn on_arrival(&mut self, arrival: Arrival, link: &mut Link) -> broker::Result<()> {
        match arrival {
            Arrival::Delivery(delivery) => {
                let task = link.take(*delivery);
                if task.redelivered || task.is_counted_in_header() {
                    self.failed.came_again();
                }
                self.waiting.push_back(task);
                self.quiet_since = Instant::now();
                Ok(())
            }
            Arrival::Ended => Ok(()),
            Arrival::Cancelled => self.on_cancelled(link),
            Arrival::Closed(error) => Err(error),
            Arrival::Broken => Err(Error::Lost {
                context: "basic.consume",
                reason: "the connection is closed".to_owned(),
            }),
        }
    }

    /// The broker has ended the subscription: the queue is deleted, or has moved to another node.
    fn on_cancelled(&mut self, link: &mut Link) -> broker::Result<()> {
        let mut reason = format!("queue '{}' is gone", link.queue());
        if link.has_unanswered() {
            reason += ", or (RabbitMQ 4.3 or later) a message was not acknowledged within its consumer_timeout";
        }
        let error = Error::Cancelled(reason);
        link.subscription_ended();
        if matches!(self.stage, Stage::Consuming) && self.is_persistent() {
            say(&format!("{error}; subscribing anew"));
            return link.subscribe_again(&self.options.source);
        }
        self.fail(error.into());
        Ok(())
    }

    /// The connection is gone, and all unsettled messages with it: the broker delivers them again.
    fn lose_session(&mut self) {
        let resting = self.resting.len();
        self.resting
            .retain(|(_, task)| matches!(task.claim, Claim::Settled));
        let lost =
            self.crew.lose_claims() + self.printer.lose_claims() + (resting - self.resting.len());
        self.tally.begun = self.tally.begun.saturating_sub(lost as u64);
        self.waiting.clear();
        self.failed.forget();
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
}

/// The error, with what to do about those that are not self-explanatory.
fn explained(error: Error) -> anyhow::Error {
    match &error {
        Error::Refused { text, .. } if text.contains("delivery acknowledgement") => {
            anyhow::anyhow!(
                "{error}\nThe broker takes a message back that is not acknowledged in time. Raise its consumer_timeout \
                 (30 minutes unless set), or x-consumer-timeout of the queue (RabbitMQ 3.12 or later), both in \
                 milliseconds, above what a command may take, or bound that with --timeout. With -c, a failed message \
                 is held until the tool ends: a smaller count, or --idle-timeout, ends it sooner."
            )
        }
        _ => error.into(),
    }
}

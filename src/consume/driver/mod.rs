//! The driver of a [`Run`]: it waits, turns what happened into events, and carries out the actions.
//!
//! One thread, the loop, does that. It polls a file of signals and a waker, which all other threads wake. It never waits for the
//! broker, for standard output or for a file; other threads do.
//!
//! * `commands`: commands are started, and their ends become events.
//! * `copies`: copies of messages and what commands wrote are published, and what becomes of them.
//! * `open_delivery`: a delivery that the core has not forgotten.
//! * `connection`: the thread that uses the connection to the broker.
//! * `connecting`: a connection is begun.
//! * `beginning`: where a subscription to a stream begins, and what is known of the stream.
//! * `own_queue`: the queue, where the tool declares it itself.
//! * `republisher`: the thread that publishes copies, over a connection of its own.
//! * `callers`: whether the callers that replies go to are still there.
//! * `coprocess`: children that get message after message.
//! * `result`: what a command wrote, until all of it is published.
//! * `printer`: the thread that writes lines to standard output.
//! * `notice`: what the person at the terminal is told, in words.
//! * `failed_commands`: the same of failed commands.
//! * `unread_stream`: the same where nothing was read from a stream.

mod beginning;
mod callers;
mod commands;
mod connecting;
mod connection;
mod copies;
mod coprocess;
mod failed_commands;
mod notice;
mod open_delivery;
mod own_queue;
mod printer;
mod republisher;
mod result;
mod unread_stream;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, TryRecvError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGCHLD;

use super::framing;
use super::joblog::{CommandRun, Joblog};
use super::monitor::Monitor;
use super::options::{ConsumeOptions, Form, Framing, JoblogFile, SourceQueue, Work};
use super::output::{Collectors, Wanted};
use super::process::children::{Children, EndedChild};
use super::process::command::Launcher;
use super::run::{
    Action, DeliveryId, DeliveryInfo, Event, FromBroker, Notice, Outcome, Run, RunOptions, RunWork,
    Settlement,
};
use super::signals::SignalQueue;
use crate::broker::ConnectOptions;
use crate::reason::reason;
use crate::status::Status;
use crate::system::stderr::{Entry, enter, warn};
use crate::system::waker::Waker;
use beginning::Beginning;
use connection::{ConnectionHandle, Request};
use coprocess::Conversations;
use failed_commands::Teller;
use open_delivery::{OpenDelivery, info};
use own_queue::OwnQueue;
use printer::Printer;
use republisher::Republisher;

/// After how many messages a long run with a count and `--retry` makes sure of them.
const CERTAIN_EVERY: u64 = 1000;

/// How many failed messages are held at most.
const MOST_HELD: usize = 1000;

/// How long the end of the run waits for the last lines of the job log.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// How long the tool's end may wait for whoever reads its standard error.
const STDERR_PATIENCE: Duration = Duration::from_secs(5);

/// The same, and for standard output, when a signal has asked to end.
const PATIENCE_AFTER_SIGNAL: Duration = Duration::from_secs(1);

/// All that the core has no part in: files, threads, children, and the deliveries themselves.
pub(super) struct Driver {
    options: ConsumeOptions,
    connect: ConnectOptions,
    signals: SignalQueue,
    /// Wakes the loop.
    waker: Waker,
    began: Instant,
    connection: Option<ConnectionHandle>,
    queue: String,
    own_queue: OwnQueue,
    beginning: Beginning,
    deliveries: BTreeMap<DeliveryId, OpenDelivery>,
    latest: DeliveryId,
    children: Children,
    /// The messages of each command that runs for several, by the first of them.
    batches: BTreeMap<DeliveryId, Vec<DeliveryId>>,
    conversations: Conversations,
    commands_started: u64,
    /// Absent until there is a command to start.
    launcher: Option<Launcher>,
    /// Absent where commands write to the tool's own streams.
    collectors: Option<Collectors>,
    printer: Printer,
    republisher: Republisher,
    joblog: Option<Joblog>,
    monitor: Monitor,
    teller: Teller,
    /// Events that the core is told first: commands that ended, actions that failed.
    pending: VecDeque<Event>,
    is_asked_to_end: bool,
}

impl Driver {
    pub(super) fn new(
        options: ConsumeOptions,
        signals: SignalQueue,
        connect: &ConnectOptions,
        monitor: Monitor,
    ) -> anyhow::Result<Driver> {
        let open = |file: &JoblogFile| {
            Joblog::open(&file.path, file.format)
                .with_context(|| format!("opening the job log {}", file.path.display()))
        };
        let joblog = options.joblog.as_ref().map(open).transpose()?;
        let waker = Waker::new().context("opening a file to wait on")?;
        let wanted = wanted(&options);
        let collectors = wanted
            .is_something()
            .then(|| Collectors::new(wanted, &waker));
        Ok(Driver {
            republisher: Republisher::new(connect.clone(), &waker),
            printer: Printer::new(waker.clone()),
            teller: Teller::new(options.quiet),
            connect: connect.clone(),
            signals,
            waker,
            began: Instant::now(),
            connection: None,
            queue: String::new(),
            own_queue: OwnQueue::default(),
            beginning: Beginning::new(&options),
            deliveries: BTreeMap::new(),
            latest: 0,
            children: Children::default(),
            batches: BTreeMap::new(),
            conversations: Conversations::default(),
            commands_started: 0,
            launcher: None,
            collectors,
            joblog,
            monitor,
            pending: VecDeque::new(),
            is_asked_to_end: false,
            options,
        })
    }

    /// Runs until the core says that the run has ended.
    pub(super) fn run(mut self) -> anyhow::Result<Status> {
        let (mut run, actions) = Run::begin(self.run_options());
        self.carry_out(actions);
        loop {
            if let Some(ended) = run.ended() {
                self.teller.finish();
                self.tell_of_unread_stream(&ended);
                self.finish_streams();
                self.finish_joblog();
                return ended.map_err(anyhow::Error::msg);
            }
            let event = self.next_event(run.deadline());
            let actions = run.on(event, self.began.elapsed());
            self.monitor.show(|| run.takes_messages());
            self.carry_out(actions);
        }
    }

    /// What commands wrote is written before the tool ends, unless whoever reads it takes too long.
    fn finish_streams(&mut self) {
        let Some(collectors) = &self.collectors else {
            return;
        };
        let (stdout, stderr) = (collectors.finish_stdout(), collectors.finish_stderr());
        let began = Instant::now();
        loop {
            let limit = if self.is_asked_to_end {
                PATIENCE_AFTER_SIGNAL
            } else {
                STDERR_PATIENCE
            };
            let left = limit.saturating_sub(began.elapsed());
            let is_late = left.is_zero();
            let is_stdout_over = is_done(&stdout) || (is_late && self.is_asked_to_end);
            let is_stderr_over = is_done(&stderr) || is_late;
            if is_stdout_over && is_stderr_over {
                return;
            }
            let is_limited = self.is_asked_to_end || !is_stderr_over;
            self.wait(is_limited.then_some(left));
            while let Some(signal) = self.signals.next() {
                self.is_asked_to_end |= signal != SIGCHLD;
            }
        }
    }

    fn finish_joblog(&mut self) {
        let missing = self
            .joblog
            .take()
            .map_or(0, |joblog| joblog.finish(LOG_PATIENCE));
        if missing > 0 {
            warn(&format!("lines missing in the job log: {missing}"));
        }
    }

    fn run_options(&self) -> RunOptions {
        let options = &self.options;
        let publishing = options.publishing.as_ref();
        RunOptions {
            work: match &options.work {
                Work::Print { .. } => RunWork::Print,
                Work::Command(work) => RunWork::Command {
                    jobs: work.jobs.get(),
                    timeout: work.timeout,
                    retries: work.retries,
                    retry_delay: work.retry_delay,
                    form: work.form,
                },
            },
            limit: options.limit,
            is_stream: options.offset.is_some(),
            prefetch: options.prefetch.get(),
            acknowledgement: options.acknowledgement,
            publishes_output: publishing.is_some_and(|publishing| publishing.target.is_some()),
            replies: publishing.is_some_and(|publishing| publishing.replies),
            failure: options.failure.clone(),
            idle_timeout: options.idle_timeout,
            max_time: options.max_time,
            status_if_unused: options.status_if_unused,
            error_status: options.error_status,
            pace: options.pace,
            grace: options.grace,
            retry: self.connect.retry,
            queue_ends_with_consumer: matches!(options.source, SourceQueue::Declared { .. }),
            certain_every: CERTAIN_EVERY,
            most_held: MOST_HELD,
        }
    }

    /// Waits until something has happened.
    fn next_event(&mut self, deadline: Option<Duration>) -> Event {
        loop {
            if let Some(event) = self.event_at_hand() {
                return event;
            }
            let left = deadline.map(|deadline| deadline.saturating_sub(self.began.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Event::Tick;
            }
            self.conversations.flush();
            let until_told = self.teller.sum_up(Instant::now());
            self.wait(left.into_iter().chain(until_told).min());
        }
    }

    /// Signals come first, so that they do not wait behind a stream of messages.
    fn event_at_hand(&mut self) -> Option<Event> {
        if let Some(failure) = self.pending.pop_front() {
            return Some(failure);
        }
        while let Some(signal) = self.signals.next() {
            match signal {
                SIGCHLD => self.reap(),
                signal => {
                    self.is_asked_to_end = true;
                    return Some(Event::Signal(signal));
                }
            }
        }
        if let Some(ended) = self.pending.pop_front() {
            return Some(ended);
        }
        if let Some(ended) = self.next_complete() {
            self.on_ended(ended);
            return self.pending.pop_front();
        }
        if let Some(answered) = self.next_answers() {
            return Some(answered);
        }
        if let Some(result) = self.printer.next_result() {
            return Some(match result {
                Ok(id) => Event::Written(id),
                Err(error) => Event::CannotWrite(reason(&error)),
            });
        }
        while let Some(report) = self.republisher.next_report() {
            if let Some(event) = self.reported(report) {
                return Some(event);
            }
        }
        self.next_from_broker()
    }

    fn reap(&mut self) {
        for ended in self.children.reap() {
            self.on_ended(ended);
        }
    }

    /// A command that has ended and whose output is complete now.
    fn next_complete(&mut self) -> Option<EndedChild> {
        let collectors = self.collectors.as_ref()?;
        loop {
            let ended = self.children.complete(collectors.next_report()?);
            if ended.is_some() {
                return ended;
            }
        }
    }

    fn on_ended(&mut self, ended: EndedChild) {
        if self.is_with_coprocesses() {
            return self.child_ended(&ended);
        }
        let event = self.command_ended(ended);
        self.pending.push_back(event);
    }

    fn next_from_broker(&mut self) -> Option<Event> {
        let connection = self.connection.as_mut()?;
        let framing = framing(&self.options.work);
        let event = connection.next(|delivery, subscription, frame_max| {
            self.latest += 1;
            let message = &delivery.message;
            let info = info(&delivery, subscription, frame_max);
            let info = DeliveryInfo {
                offset: self.beginning.note_message(message, info.digest),
                is_unfit: framing.is_some_and(|framing| framing::is_unfit(framing, &message.body)),
                ..info
            };
            self.deliveries
                .insert(self.latest, OpenDelivery::new(delivery));
            (self.latest, info)
        })?;
        if matches!(event, FromBroker::Connected { .. }) {
            self.queue.clone_from(&connection.queue);
        }
        let number = connection.number;
        self.monitor.heard(&event, connection.pulse.as_ref());
        if matches!(event, FromBroker::Lost(_) | FromBroker::Closed) {
            self.lose_deliveries();
        }
        Some(Event::Broker(number, event))
    }

    /// The broker does not wait for settlements any more.
    fn lose_deliveries(&mut self) {
        let mut deliveries = self.deliveries.values_mut();
        let lost = deliveries.by_ref().filter_map(|one| one.unsettled.take());
        self.monitor.settled(lost.count());
    }

    /// Waits for a signal, the waker or the deadline. The caller then looks at everything.
    fn wait(&mut self, left: Option<Duration>) {
        let own = [
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.waker, PollFlags::IN),
        ];
        let mut files: Vec<PollFd> = own
            .into_iter()
            .chain(self.conversations.awaited())
            .collect();
        let left = left.map(timespec);
        // A signal that is not blocked makes it fail; there is nothing to clear then.
        if poll(&mut files, left.as_ref()).is_err() {
            return;
        }
        let have_come: Vec<bool> = files
            .iter()
            .map(|file| !file.revents().is_empty())
            .collect();
        if have_come[1] {
            self.waker.clear();
        }
        self.conversations.note(have_come.into_iter().skip(2));
    }

    /// Carries out all actions. What fails becomes an event.
    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Connect(number, pause) => self.connect(number, pause),
            Action::Subscribe(subscription, offset) => {
                self.request(Request::Subscribe(subscription, offset));
            }
            Action::Unsubscribe(subscription) => self.request(Request::Unsubscribe(subscription)),
            Action::Prefetch(count) => self.request(Request::Prefetch(count)),
            Action::CountReady => self.request(Request::CountReady),
            Action::Close => self.request(Request::Close),
            Action::Settle(id, settlement) => self.settle(id, settlement),
            Action::Abandon => {
                if let Some(connection) = self.connection.take() {
                    connection.abandon();
                }
                self.monitor.was_cut();
                self.lose_deliveries();
            }
            Action::Start { id, attempt } => self.start(id, attempt),
            Action::StartBatch(ids) => self.start_batch(ids),
            Action::Signal(id, signal) => self.children.signal(id, signal),
            Action::StartChild(child) => self.start_child(child),
            Action::Feed(child, id) => self.feed(child, id),
            Action::Begin(id) => self.begin(id),
            Action::CloseInput(child) => self.conversations.close_input(child),
            Action::SignalChild(child, signal) => self.children.signal(child, signal),
            Action::StopWriting => self.printer.stop(),
            Action::Copy(id, copy) => self.copy(id, copy),
            Action::AskWhetherDeliveriesAreCounted => {
                self.republisher.learn_delivery_count(&self.queue);
            }
            Action::Log {
                id,
                attempt,
                status,
                signal,
            } => {
                self.leave_child(id);
                self.log(id, attempt, status, signal);
            }
            Action::Conclude(id, outcome) => {
                self.monitor.concluded(outcome);
                self.log_outcome(id, outcome);
            }
            Action::Forget(id) => self.forget(id),
            Action::Say(notice) => self.tell(&notice),
            Action::TellFailed(failed) => self.tell_failed(&failed),
        }
    }

    fn request(&self, request: Request) {
        if let Some(connection) = &self.connection {
            connection.request(request);
        }
    }

    fn settle(&mut self, id: DeliveryId, settlement: Settlement) {
        let unsettled = self
            .deliveries
            .get_mut(&id)
            .and_then(|delivery| delivery.unsettled.take());
        if let Some(unsettled) = unsettled {
            self.monitor.settled(1);
            if let Some(connection) = &self.connection {
                connection.settle(unsettled, settlement);
            }
        }
    }

    fn forget(&mut self, id: DeliveryId) {
        let forgotten = self.deliveries.remove(&id);
        if forgotten.is_some_and(|delivery| delivery.unsettled.is_some()) {
            self.monitor.settled(1);
        }
    }

    fn start(&mut self, id: DeliveryId, attempt: u64) {
        let delivery = self.deliveries.get(&id);
        if let Some(delivery) = delivery.filter(|delivery| delivery.start.is_none()) {
            self.monitor.begun(&delivery.message);
        }
        let started = match &self.options.work {
            Work::Print { lossy } => {
                let is_lossy = *lossy;
                self.print(id, is_lossy)
            }
            Work::Command(work) => {
                let work = Arc::clone(work);
                self.start_command(id, attempt, &work)
            }
        };
        if let Err(failure) = started {
            self.pending.push_back(failure);
        }
    }

    fn print(&mut self, id: DeliveryId, is_lossy: bool) -> Result<(), Event> {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return Ok(());
        };
        let line = delivery.line(is_lossy);
        self.printer
            .print(id, line)
            .map_err(|error| Event::CannotWrite(format!("starting a thread: {}", reason(&error))))
    }

    /// A command has ended. Its line waits for what becomes of the message, where the format tells that.
    fn log(&mut self, id: DeliveryId, attempt: u64, status: Status, signal: i32) {
        let (Some(joblog), Some(delivery)) = (&mut self.joblog, self.deliveries.get_mut(&id))
        else {
            return;
        };
        let Some(start) = &delivery.start else {
            return;
        };
        let end = CommandRun {
            start: *start,
            run_time: start.instant.elapsed(),
            attempt,
            status,
            signal,
        };
        if joblog.tells_outcome() {
            delivery.ended = Some(end);
        } else {
            joblog.record(&end, &delivery.for_joblog(&self.queue), None);
        }
    }

    fn tell(&self, notice: &Notice) {
        enter(&Entry {
            queue: Some(&self.queue)
                .filter(|name| !name.is_empty())
                .map(String::as_str),
            ..Entry::about_nothing(notice::level(notice), &self.words(notice))
        });
    }

    fn log_outcome(&mut self, id: DeliveryId, outcome: Outcome) {
        if let Some(joblog) = &mut self.joblog
            && let Some(delivery) = self.deliveries.get_mut(&id)
            && let Some(end) = delivery.ended.take()
        {
            joblog.record(&end, &delivery.for_joblog(&self.queue), Some(outcome));
        }
    }
}

/// What of commands' streams is taken. The output of a coprocess is in its answers.
fn wanted(options: &ConsumeOptions) -> Wanted {
    let answers =
        matches!(&options.work, Work::Command(work) if matches!(work.form, Form::Coprocess(_)));
    let publishing = options.publishing.as_ref().filter(|_| !answers);
    Wanted {
        output: publishing.map(|one| one.limit),
        tags: options.tags,
        error: options.failure.park.is_some(),
    }
}

/// How messages are framed, where a command gets several.
fn framing(work: &Work) -> Option<Framing> {
    match work {
        Work::Command(work) if work.form != Form::Single => Some(work.framing),
        Work::Command(_) | Work::Print { .. } => None,
    }
}

/// Whether whoever was to tell of an end has done so.
fn is_done(end: &Receiver<()>) -> bool {
    end.try_recv() == Err(TryRecvError::Disconnected)
}

/// A duration as the system takes it, a century at most.
fn timespec(wait: Duration) -> Timespec {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    wait.min(CENTURY).try_into().unwrap_or_default()
}

//! The driver of the core: waits for what happens, tells the core, and does what that says.
//!
//! One thread uses the connection and waits for everything. Others connect and hear of signals; the last also cuts a
//! connection that the first one is stuck on.
//!
//! * `kept`: messages, under the tags that the core knows them by.
//! * `opening`, `wire`, `sources`, `talk`: a connection from its beginning to its end.

mod kept;
mod opening;
mod sources;
mod talk;
mod wire;

use std::collections::VecDeque;
use std::io::{self, BufWriter, Stdout, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, Select, TryRecvError};
use serde_json::json;

use super::copy::Copier;
use super::monitor::Monitor;
use super::options::{Form, MoveOptions};
use super::outcome::{Ending, Outcome};
use super::run::{
    Action, Connection, Ended, Event, FromBroker, Notice, Run, RunOptions, TargetIs, Time, Trouble,
};
use crate::broker::{ConnectOptions, Error};
use crate::message::Message;
use crate::publish::driver::queue_check;
use crate::publish::interrupts::{Caught, Interrupts};
use crate::publish::progress::Progress;
use crate::reason::{chain, reason};
use kept::Kept;
use opening::{Opened, Opening, Unopened};
use wire::Wire;

/// Moves messages. An error means that nothing was moved.
pub(super) fn transfer(
    connect: &ConnectOptions,
    options: &MoveOptions,
    caught: Caught,
    monitor: Monitor,
) -> anyhow::Result<Outcome> {
    Ok(Driver::start(connect, options, caught, monitor)?.drive())
}

/// All that the core has no part in.
struct Driver<'options> {
    run: Run,
    began: Instant,
    /// When it was last looked at the clock.
    now: Time,
    /// What the core is to be told, in order.
    events: VecDeque<Event>,
    kept: Kept,
    copier: Copier,
    report: Report,
    progress: Option<Progress>,
    monitor: Monitor,
    interrupts: Interrupts,
    connect: &'options ConnectOptions,
    options: &'options MoveOptions,
    opening: Option<Opening>,
    /// The number of the present connection, or of the one that is being opened.
    connection: Connection,
    question: Option<Receiver<Option<String>>>,
    /// A message has come, and the source is no stream.
    source_is_queue: bool,
}

impl<'options> Driver<'options> {
    fn start(
        connect: &'options ConnectOptions,
        options: &'options MoveOptions,
        caught: Caught,
        monitor: Monitor,
    ) -> anyhow::Result<Driver<'options>> {
        let mut actions = Vec::new();
        let run = Run::begin(
            RunOptions {
                count: options.count,
                extent: options.extent,
                interval: options.interval,
                retry: connect.retry,
            },
            &mut actions,
        );
        let interrupts = Interrupts::listen(caught).context("listening for signals")?;
        let mut driver = Driver {
            run,
            began: Instant::now(),
            now: Time::ZERO,
            events: VecDeque::new(),
            kept: Kept::new(),
            copier: Copier::new(&options.destination, connect),
            report: Report::new(options.form),
            progress: None,
            monitor,
            interrupts,
            connect,
            options,
            opening: None,
            connection: 0,
            question: None,
            source_is_queue: false,
        };
        for action in actions {
            driver.carry_out(action, None);
        }
        Ok(driver)
    }

    /// One connection after the other, until the core says that it is over.
    fn drive(mut self) -> Outcome {
        let ended = loop {
            if let Some(ended) = self.run.ended() {
                break ended;
            }
            match self.opening.take() {
                Some(opening) => self.wait_for_session(opening),
                // Nothing but a connection and its loss is waited for between two of them, and both are told at once.
                None => {
                    break Ended::Failed("internal error: the run has no connection".to_owned());
                }
            }
        };
        self.show_progress();
        let reported = self.report.flush();
        let ending = match (ended, reported) {
            (Ended::Complete, Err(error)) => {
                Ending::Failed(anyhow::Error::from(error).context(Report::CONTEXT))
            }
            (Ended::Complete, Ok(())) => Ending::Complete,
            (Ended::Failed(reason), _) => Ending::Failed(anyhow::Error::msg(reason)),
            (Ended::Interrupted(signal), _) => Ending::Interrupted(signal),
        };
        Outcome {
            ending,
            tally: self.run.tally(),
        }
    }

    /// Waits until there is a session, and uses it, or until there will be none.
    fn wait_for_session(&mut self, opening: Opening) {
        let result = opening.result.clone();
        self.opening = Some(opening);
        while self.opening.is_some() {
            match result.try_recv() {
                Ok(opened) => {
                    self.opening = None;
                    self.use_opened(opened);
                    return;
                }
                Err(TryRecvError::Disconnected) => {
                    self.opening = None;
                    let reason = "connecting ended without a result".to_owned();
                    self.tell_broker(FromBroker::CannotConnect(reason), None);
                    return;
                }
                Err(TryRecvError::Empty) => {}
            }
            if !self.hear_others(None) {
                let mut select = Select::new();
                select.recv(&result);
                self.wait(select);
            }
        }
    }

    fn use_opened(&mut self, opened: Result<Opened, Unopened>) {
        match opened {
            Ok(opened) => self.use_session(opened),
            Err(Unopened::NotConnected(error)) => {
                self.tell_broker(FromBroker::CannotConnect(error.to_string()), None);
            }
            Err(Unopened::Unusable(error)) => {
                self.tell_broker(FromBroker::Lost(trouble(&error)), None);
            }
            Err(Unopened::SourceIsStream) => {
                let reason = source_is_stream(&self.options.source);
                self.tell_broker(FromBroker::CannotConnect(reason), None);
            }
        }
    }

    /// Takes in what comes neither over the connection nor from the core. False: nothing has come.
    fn hear_others(&mut self, mut wire: Option<&mut Wire<'_>>) -> bool {
        self.look_at_clock();
        let mut has_heard = false;
        while let Some(signal) = self.interrupts.next() {
            self.monitor.is_ending();
            self.tell(Event::Signal(signal), wire.as_deref_mut());
            has_heard = true;
        }
        if let Some(answers) = &self.question {
            let answer = answers.try_recv();
            if answer != Err(TryRecvError::Empty) {
                self.question = None;
                let answer = match answer {
                    Ok(Some(reason)) => TargetIs::Gone(reason),
                    Ok(None) | Err(_) => TargetIs::NotKnownToBeGone,
                };
                self.tell(Event::Target(answer), wire.as_deref_mut());
                has_heard = true;
            }
        }
        if self
            .run
            .deadline()
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.tell(Event::Time, wire);
            has_heard = true;
        }
        has_heard
    }

    /// Waits until one of these is ready, or a signal, an answer or the time for something has come.
    fn wait<'wait>(&'wait self, mut select: Select<'wait>) {
        select.recv(self.interrupts.signals());
        if let Some(answers) = &self.question {
            select.recv(answers);
        }
        match self.run.deadline() {
            Some(deadline) => {
                // Whether something is ready or it is time: everything is looked at.
                let _ = select.ready_deadline(self.began + deadline);
            }
            None => {
                select.ready();
            }
        }
    }

    fn tell_broker(&mut self, event: FromBroker, wire: Option<&mut Wire<'_>>) -> bool {
        self.tell(Event::Broker(self.connection, event), wire)
    }

    /// Tells the core, does what it says, and tells it what came of that. Whether anything was to be done.
    fn tell(&mut self, event: Event, mut wire: Option<&mut Wire<'_>>) -> bool {
        self.events.push_back(event);
        let mut has_acted = false;
        let mut actions = Vec::new();
        while let Some(event) = self.events.pop_front() {
            self.run.on(event, self.now, &mut actions);
            self.monitor.show(|| self.run.tally());
            for action in actions.drain(..) {
                has_acted = true;
                self.carry_out(action, wire.as_deref_mut());
            }
        }
        has_acted
    }

    /// What comes of an action is told afterwards.
    fn answer(&mut self, event: FromBroker) {
        self.events.push_back(Event::Broker(self.connection, event));
    }

    fn carry_out(&mut self, action: Action, wire: Option<&mut Wire<'_>>) {
        match (action, wire) {
            (Action::Connect(connection, pause), _) => self.open(connection, pause),
            (Action::Abandon, None) => self.opening = None,
            (Action::AskForTarget, _) => self.ask_for_target(),
            (Action::Say(notice), _) => self.say(&words(&notice)),
            (action, Some(wire)) => self.carry_out_on(wire, &action),
            // The connection has just been lost, which the core is told next.
            (_, None) => {}
        }
    }

    fn open(&mut self, connection: Connection, pause: Duration) {
        self.connection = connection;
        match Opening::start(self.connect, self.options, pause) {
            Ok(opening) => self.opening = Some(opening),
            Err(error) => {
                let error = anyhow::Error::from(error).context("starting a thread");
                self.answer(FromBroker::CannotConnect(chain(&error)));
            }
        }
    }

    fn ask_for_target(&mut self) {
        match self.options.destination.queue() {
            Some(queue) => self.question = Some(queue_check::ask(self.connect, queue)),
            None => self
                .events
                .push_back(Event::Target(TargetIs::NotKnownToBeGone)),
        }
    }

    /// Says something on standard error, beside the progress.
    fn say(&self, line: &str) {
        let say = || (self.connect.announce)(line);
        match &self.progress {
            Some(progress) => progress.aside(say),
            None => say(),
        }
    }

    fn show_progress(&self) {
        if let Some(progress) = &self.progress {
            let copied = self.run.tally().copied;
            progress.advance_to(copied, copied);
        }
    }

    fn look_at_clock(&mut self) {
        self.now = self.began.elapsed();
    }
}

fn words(notice: &Notice) -> String {
    match notice {
        Notice::ConnectingAnew(reason) => format!("{reason}; connecting again"),
        Notice::NoConfirms(time) => format!(
            "basic.publish: the broker has confirmed nothing for {time:?}; asking whether the queue is there"
        ),
    }
}

fn source_is_stream(source: &str) -> String {
    format!(
        "queue '{source}' is a stream, which nothing can be moved from: its messages stay; amqp-consume reads it, from its \
         beginning with --offset first"
    )
}

fn trouble(error: &Error) -> Trouble {
    Trouble {
        reason: error.to_string(),
        may_pass: error.is_transient(),
    }
}

/// The lines about moved messages.
struct Report(Option<BufWriter<Stdout>>);

impl Report {
    const CONTEXT: &'static str = "writing to standard output";

    fn new(form: Form) -> Report {
        Report(match form {
            Form::Silent => None,
            Form::Json => Some(BufWriter::new(io::stdout())),
        })
    }

    /// The line about a copy.
    fn line_for(&self, copy: &Message) -> Option<String> {
        self.0.as_ref()?;
        let line = json!({
            "message_id": copy.properties.message_id,
            "exchange": copy.exchange,
            "routing_key": copy.routing_key,
        });
        Some(line.to_string())
    }

    fn write(&mut self, lines: &[String]) -> Result<(), String> {
        let Some(output) = &mut self.0 else {
            return Ok(());
        };
        let written = lines.iter().try_for_each(|line| writeln!(output, "{line}"));
        written.map_err(|error| format!("{}: {}", Self::CONTEXT, reason(&error)))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

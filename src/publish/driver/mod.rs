//! The driver of the core: it waits for events, tells the core, and carries out the actions.
//!
//! One thread uses the connection and waits for everything. Other threads read the input, connect, and receive signals. The signal
//! thread also cuts a connection that the first thread is stuck on.
//!
//! * `record_source`: the records.
//! * `unconfirmed`: bodies and locations, under the numbers of the core.
//! * `opening`: connecting.
//! * `session`: a session from its beginning to its end.
//! * `channel`: the channel that messages are published on.
//! * `queue_check`: whether a queue exists.

pub(crate) mod channel;
mod opening;
pub(crate) mod queue_check;
mod record_source;
mod session;
mod unconfirmed;

use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, Select, TryRecvError};

use super::checkpoint::Checkpoint;
use super::input::reader;
use super::interrupts::{Caught, Interrupts};
use super::monitor::Monitor;
use super::preparation::Preparation;
use super::progress::Progress;
use super::run::{
    Action, ConnectionId, Ended, Event, FromBroker, Notice, RecordId, Run, RunOptions, Tally,
};
use crate::broker::ConnectOptions;
use crate::reason::chain;
use channel::{ChannelState, PublishChannel, from_broker};
use opening::Opening;
use record_source::RecordSource;
use unconfirmed::UnconfirmedRecords;

/// Publishes what is prepared. Returns how that ended, the numbers of messages, and the location of the first unconfirmed one. An
/// error means that nothing was published.
pub(super) fn publish(
    connect: &ConnectOptions,
    preparation: Preparation,
    caught: Caught,
    monitor: Monitor,
) -> anyhow::Result<(Ended, Tally, Option<String>)> {
    Ok(Driver::start(connect, preparation, caught, monitor)?.drive())
}

/// All that the core has no part in.
struct Driver<'options> {
    run: Run,
    began: Instant,
    /// The time of the last look at the clock.
    now: Duration,
    /// The core's actions. Empty except while they are carried out.
    actions: Vec<Action>,
    /// Events that actions led to, for the core.
    answers: Vec<Event>,
    unconfirmed: UnconfirmedRecords,
    may_send_again: bool,
    is_confirmed: bool,
    input: RecordSource,
    checkpoint: Option<Checkpoint>,
    progress: Progress,
    monitor: Monitor,
    interrupts: Interrupts,
    connect: &'options ConnectOptions,
    opening: Option<Opening>,
    /// The number of the connection that is open or being opened.
    connection: ConnectionId,
    queue_check: Option<(RecordId, Receiver<Option<String>>)>,
}

impl<'options> Driver<'options> {
    fn start(
        connect: &'options ConnectOptions,
        preparation: Preparation,
        caught: Caught,
        monitor: Monitor,
    ) -> anyhow::Result<Driver<'options>> {
        let began = Instant::now();
        let options = RunOptions {
            max_in_flight: preparation.max_in_flight,
            has_checkpoint: preparation.checkpoint.is_some(),
            retry: connect.retry,
            pace: preparation.pace,
        };
        let mut actions = Vec::new();
        let run = Run::begin(options, &mut actions);
        // The reader reads while this thread connects.
        let chunks =
            reader::start(preparation.source, preparation.start).context("starting to read")?;
        let mut opening = None;
        for action in actions.drain(..) {
            if let Action::Connect(connection, _) = action {
                let first = Opening::first(connect, connection);
                opening = Some(first.context("starting a thread")?);
            }
        }
        let interrupts = Interrupts::listen(caught).context("listening for signals")?;
        Ok(Driver {
            run,
            began,
            now: Duration::ZERO,
            actions,
            answers: Vec::new(),
            unconfirmed: UnconfirmedRecords::new(),
            may_send_again: options.may_send_again(),
            is_confirmed: preparation.max_in_flight.is_some(),
            input: RecordSource::new(preparation.maker, chunks),
            checkpoint: preparation.checkpoint,
            progress: Progress::begin(
                preparation.shows_progress,
                preparation.bytes,
                preparation.bytes_before,
            ),
            monitor,
            interrupts,
            connect,
            connection: opening.as_ref().map_or(0, |opening| opening.connection),
            opening,
            queue_check: None,
        })
    }

    /// Uses one connection after another, until the core says that the run has ended.
    fn drive(mut self) -> (Ended, Tally, Option<String>) {
        let ended = loop {
            if let Some(ended) = self.run.ended() {
                break ended;
            }
            match self.opening.take() {
                Some(opening) => self.wait_for_session(opening),
                // A lost connection is followed by another one, or by the end.
                None => {
                    break Ended::Failed("internal error: the run has no connection".to_owned());
                }
            }
        };
        self.show_progress();
        let unread = || self.input.next_location();
        let first_unconfirmed = self.unconfirmed.first_location().cloned().or_else(unread);
        let first_unconfirmed = first_unconfirmed.map(|location| location.to_string());
        (ended, self.run.tally(), first_unconfirmed)
    }

    /// Waits until the session is open, and uses it, or until opening it has failed.
    fn wait_for_session(&mut self, opening: Opening) {
        let result = opening.result.clone();
        self.opening = Some(opening);
        let opened = self.progress.clone().aside(|| {
            while self.opening.is_some() {
                match result.try_recv() {
                    Ok(opened) => return Some(opened),
                    Err(TryRecvError::Disconnected) => return None,
                    Err(TryRecvError::Empty) => {}
                }
                if !self.hear_others(None) {
                    let mut select = Select::new();
                    select.recv(&result);
                    self.wait(select);
                }
            }
            None
        });
        // A signal may have ended the wait.
        if self.opening.take().is_none() {
            return;
        }
        match opened {
            Some(Ok(session)) => self.use_session(session),
            Some(Err(error)) => {
                self.tell_broker(FromBroker::CannotConnect(error.to_string()), None);
            }
            None => {
                let reason = "connecting ended without a result".to_owned();
                self.tell_broker(FromBroker::CannotConnect(reason), None);
            }
        }
    }

    /// Takes in events that come neither from the broker nor from the input. False: there were none.
    fn hear_others(&mut self, mut channel: Option<&mut PublishChannel<'_>>) -> bool {
        self.look_at_clock();
        let mut has_heard = false;
        while let Some(signal) = self.interrupts.next() {
            self.monitor.is_ending();
            self.tell(Event::Signal(signal), channel.as_deref_mut());
            has_heard = true;
        }
        if let Some((id, answers)) = &self.queue_check {
            let (id, answer) = (*id, answers.try_recv());
            if answer != Err(TryRecvError::Empty) {
                self.queue_check = None;
                self.tell(
                    Event::QueueChecked(id, answer.ok().flatten()),
                    channel.as_deref_mut(),
                );
                has_heard = true;
            }
        }
        if self
            .run
            .deadline()
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.tell(Event::Tick, channel);
            has_heard = true;
        }
        has_heard
    }

    /// Waits until one of these is ready, for a signal, the answer about a queue, or the deadline.
    fn wait<'wait>(&'wait self, mut select: Select<'wait>) {
        select.recv(self.interrupts.signals());
        if let Some((_, answers)) = &self.queue_check {
            select.recv(answers);
        }
        match self.run.deadline() {
            Some(deadline) => {
                // The caller looks at everything, whatever ended the wait.
                let _ = select.ready_deadline(self.began + deadline);
            }
            None => {
                select.ready();
            }
        }
    }

    fn tell_broker(&mut self, event: FromBroker, channel: Option<&mut PublishChannel<'_>>) {
        self.tell(Event::Broker(self.connection, event), channel);
    }

    /// Tells the core an event, carries out its actions, and tells it the events that these led to.
    fn tell(&mut self, event: Event, mut channel: Option<&mut PublishChannel<'_>>) {
        self.run.on(event, self.now, &mut self.actions);
        self.monitor.show(|| self.run.tally());
        if !self.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                self.carry_out(action, channel.as_deref_mut());
            }
            self.actions = actions;
        }
        self.unconfirmed.forget_before(self.run.first_unconfirmed());
        if self.answers.is_empty() {
            return;
        }
        for answer in std::mem::take(&mut self.answers) {
            self.tell(answer, channel.as_deref_mut());
        }
    }

    fn carry_out(&mut self, action: Action, channel: Option<&mut PublishChannel<'_>>) {
        match (action, channel) {
            (Action::Connect(connection, pause), _) => self.open(connection, pause),
            (Action::Publish(id), Some(channel)) => self.publish(id, channel),
            (Action::CatchUp, Some(channel)) => self.catch_up(channel),
            (Action::Close, Some(channel)) => channel.state = ChannelState::Close,
            (Action::Abandon, Some(channel)) => channel.state = ChannelState::Cut,
            // The connection was just lost. The core learns that next.
            (Action::Publish(_) | Action::CatchUp | Action::Close, None) => {}
            (Action::Abandon, None) => self.opening = None,
            (Action::AskForQueue(id), _) => self.ask_for_queue(id),
            (Action::SaveCheckpoint(id), _) => self.save_checkpoint(id),
            (Action::SyncCheckpoint, _) => self.sync_checkpoint(),
            (Action::Say(notice), _) => self.say(&notice),
        }
    }

    fn open(&mut self, connection: ConnectionId, pause: Duration) {
        self.connection = connection;
        match Opening::start(self.connect, connection, pause) {
            Ok(opening) => self.opening = Some(opening),
            Err(error) => {
                let error = anyhow::Error::from(error).context("starting a thread");
                let failed = FromBroker::CannotConnect(chain(&error));
                self.answers.push(Event::Broker(connection, failed));
            }
        }
    }

    fn publish(&mut self, id: RecordId, channel: &mut PublishChannel<'_>) {
        let Some(record) = self.unconfirmed.get_mut(id) else {
            return;
        };
        if let Some(body) = &record.body {
            channel.publish(&record.template, body);
        }
        if !self.may_send_again {
            record.body = None;
        }
    }

    /// Waits until the broker has handled everything. The core learns about returned messages before.
    fn catch_up(&mut self, channel: &mut PublishChannel<'_>) {
        let answered = if self.is_confirmed {
            channel.publisher.wait_for_returns()
        } else {
            channel.publisher.catch_up()
        };
        while let Ok(Some(event)) = channel.answers.try_next() {
            let event = Event::Broker(self.connection, from_broker(event));
            self.answers.push(event);
        }
        match answered {
            Ok(()) => {
                let caught_up = Event::Broker(self.connection, FromBroker::CaughtUp);
                self.answers.push(caught_up);
            }
            Err(error) => channel.has_broken(error),
        }
    }

    fn ask_for_queue(&mut self, id: RecordId) {
        let queue = self
            .unconfirmed
            .get_mut(id)
            .and_then(|record| record.template.queue().map(str::to_owned));
        match queue {
            Some(queue) => self.queue_check = Some((id, queue_check::ask(self.connect, &queue))),
            None => self.answers.push(Event::QueueChecked(id, None)),
        }
    }

    fn save_checkpoint(&mut self, id: RecordId) {
        if let (Some(checkpoint), Some(location)) =
            (&mut self.checkpoint, self.unconfirmed.location(id))
            && let Err(error) = checkpoint.save(location)
        {
            self.answers
                .push(Event::CannotSaveCheckpoint(error.to_string()));
        }
    }

    fn sync_checkpoint(&mut self) {
        let location = self.unconfirmed.location(self.run.first_unconfirmed() - 1);
        let unconfirmed = match &mut self.checkpoint {
            Some(checkpoint) => checkpoint.keep(location),
            None => Ok(()),
        };
        self.answers.push(match unconfirmed {
            Ok(()) => Event::CheckpointSynced,
            Err(error) => Event::CannotSaveCheckpoint(error.to_string()),
        });
    }

    fn say(&self, notice: &Notice) {
        let line = match notice {
            Notice::ConnectingAnew(reason) => format!("{reason}; connecting again"),
            Notice::NoConfirms(time) => format!(
                "basic.publish: the broker has confirmed nothing for {time:?}; asking whether the queue is there"
            ),
        };
        self.progress.aside(|| (self.connect.announce)(&line));
    }

    fn show_progress(&self) {
        let tally = self.run.tally();
        let done = if self.is_confirmed {
            tally.confirmed
        } else {
            tally.published
        };
        self.progress.advance_to(done, self.run.input_bytes());
    }

    fn look_at_clock(&mut self) {
        self.now = self.began.elapsed();
    }
}

//! The loop: records to messages to confirmations, with a bounded number of messages on the way.

use std::num::NonZeroUsize;

use anyhow::anyhow;
use crossbeam_channel::{RecvError, TryRecvError, select};
use signal_hook::consts::SIGTERM;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::interrupts::Interrupts;
use super::options::Confirms;
use super::progress::Progress;
use super::reader::ChunkReceiver;
use super::records::{BadRecord, Place, Record, RecordMaker};
use super::window::{Bodies, Refusal, Tally, Window};
use crate::broker::{Confirmation, Error, Publisher, Session};

/// Publishes records as they come.
pub(super) struct Pump<'run> {
    maker: RecordMaker,
    /// The record that is to be sent next.
    next: Option<Record>,
    chunks: ChunkReceiver,
    input_has_ended: bool,
    confirms: Confirms,
    window: Window,
    checkpoint: Option<Checkpoint>,
    /// So many newly confirmed messages are worth telling the checkpoint.
    save_every: u64,
    progress: &'run Progress,
    interrupts: &'run Interrupts,
}

/// Why not all records were published and confirmed.
pub(super) enum Stop {
    /// The broker refused something, or the input cannot be read on.
    Failed(anyhow::Error),
    /// The connection broke, or the broker closed it for reasons that pass.
    Lost(Error),
    /// A signal came.
    Interrupted(i32),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        if error.is_transient() {
            Stop::Lost(error)
        } else {
            Stop::Failed(error.into())
        }
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Failed(refusal.into())
    }
}

impl From<BadRecord> for Stop {
    fn from(record: BadRecord) -> Self {
        Stop::Failed(record.into())
    }
}

impl From<CheckpointError> for Stop {
    fn from(error: CheckpointError) -> Self {
        Stop::Failed(error.into())
    }
}

impl<'run> Pump<'run> {
    pub(super) fn new(
        maker: RecordMaker,
        chunks: ChunkReceiver,
        confirms: Confirms,
        bodies: Bodies,
        checkpoint: Option<Checkpoint>,
        progress: &'run Progress,
        interrupts: &'run Interrupts,
    ) -> Pump<'run> {
        let (in_flight, unsaved) = match confirms {
            Confirms::Awaited { max_in_flight } if checkpoint.is_some() => halves(max_in_flight),
            Confirms::Awaited { max_in_flight } => (Some(max_in_flight), 1),
            Confirms::Off => (None, 1),
        };
        Pump {
            maker,
            next: None,
            chunks,
            input_has_ended: false,
            confirms,
            window: Window::new(in_flight, bodies),
            checkpoint,
            save_every: unsaved,
            progress,
            interrupts,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.window.tally()
    }

    /// The first record that is not confirmed, if there is one as far as is known.
    pub(super) fn first_unconfirmed(&self) -> Option<Place> {
        let unsent = self.next.as_ref().map(|record| &record.place);
        let known = self.window.first_unconfirmed().or(unsent).cloned();
        known.or_else(|| self.maker.next_place())
    }

    /// Publishes on this session all that is left. If that ends early, what is on the way is waited for all the same.
    pub(super) fn run(&mut self, session: &Session) -> Result<(), Stop> {
        let mut publisher = match self.confirms {
            Confirms::Awaited { .. } => session.publisher()?,
            Confirms::Off => session.unconfirmed_publisher()?,
        };
        let pumped = self.pump(&mut publisher);
        if pumped.is_err() {
            self.settle(&publisher);
        }
        self.show_progress();
        match (pumped, self.interrupts.signals().try_recv()) {
            // The session was cut because of it.
            (Err(Stop::Lost(_)), Ok(signal)) => Err(Stop::Interrupted(signal)),
            (pumped, _) => pumped,
        }
    }

    /// Writes down for good how far it came.
    pub(super) fn save_place(&mut self) -> Result<(), CheckpointError> {
        self.note_place()?;
        self.checkpoint.as_ref().map_or(Ok(()), Checkpoint::sync)
    }

    fn pump(&mut self, publisher: &mut Publisher) -> Result<(), Stop> {
        self.send_again(publisher)?;
        while !self.input_has_ended {
            self.publish_what_is_there(publisher)?;
            self.wait_for_input(publisher)?;
        }
        if self.maker.misses_confirmed_record() {
            return Err(Stop::Failed(anyhow!(
                "the inputs end before the place that the checkpoint calls confirmed"
            )));
        }
        while !self.window.is_settled() {
            self.wait_for_confirmation(publisher)?;
        }
        if self.confirms == Confirms::Off {
            publisher.catch_up()?;
            if let Some(refusal) = self.hear_returns(publisher) {
                return Err(refusal.into());
            }
        }
        Ok(())
    }

    /// Sends what was on its way when the last session broke.
    fn send_again(&mut self, publisher: &mut Publisher) -> Result<(), Stop> {
        self.window.renumber();
        for (template, body) in self.window.kept() {
            publisher.publish_as(template, body)?;
        }
        Ok(())
    }

    fn publish_what_is_there(&mut self, publisher: &mut Publisher) -> Result<(), Stop> {
        loop {
            if self.next.is_none() {
                self.next = self.maker.next()?;
            }
            let Some(record) = &self.next else {
                return Ok(());
            };
            let length = record.body.len();
            self.hear_all(publisher)?;
            while !self.window.has_room_for(length) {
                self.wait_for_confirmation(publisher)?;
            }
            if let Some(record) = self.next.take() {
                self.window.add(&record);
                publisher.publish_as(&record.template, &record.body)?;
            }
        }
    }

    fn wait_for_input(&mut self, publisher: &Publisher) -> Result<(), Stop> {
        if self.chunks.is_empty() {
            self.note_place()?;
        }
        self.show_progress();
        select! {
            recv(self.chunks) -> chunk => match chunk {
                Ok(Ok(chunk)) => self.maker.accept(chunk),
                Ok(Err(unread)) => {
                    if let Some(origin) = &unread.origin {
                        self.maker.get_stuck_at(origin);
                    }
                    return Err(Stop::Failed(unread.error.into()));
                }
                Err(RecvError) => self.input_has_ended = true,
            },
            recv(publisher.confirms()) -> confirm => self.hear(publisher, confirm.map(Confirmation::from))?,
            recv(self.interrupts.signals()) -> signal => return Err(interrupted(signal)),
        }
        Ok(())
    }

    fn wait_for_confirmation(&mut self, publisher: &Publisher) -> Result<(), Stop> {
        self.show_progress();
        select! {
            recv(publisher.confirms()) -> confirm => self.hear(publisher, confirm.map(Confirmation::from)),
            recv(self.interrupts.signals()) -> signal => Err(interrupted(signal)),
        }
    }

    /// Takes in what the broker has said meanwhile.
    fn hear_all(&mut self, publisher: &Publisher) -> Result<(), Stop> {
        loop {
            match publisher.confirms().try_recv() {
                Ok(confirm) => self.hear(publisher, Ok(confirm.into()))?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return self.hear(publisher, Err(RecvError)),
            }
        }
    }

    fn hear(
        &mut self,
        publisher: &Publisher,
        confirmation: Result<Confirmation, RecvError>,
    ) -> Result<(), Stop> {
        let Ok(confirmation) = confirmation else {
            return Err(publisher.failure().into());
        };
        let returned = self.hear_returns(publisher);
        let rejected = self.window.apply(confirmation);
        self.note_place_in_time()?;
        match returned.or(rejected) {
            Some(refusal) => Err(refusal.into()),
            None => Ok(()),
        }
    }

    /// Takes in what came back, and says what came back first.
    fn hear_returns(&mut self, publisher: &Publisher) -> Option<Refusal> {
        let mut first = None;
        for returned in publisher.returned() {
            let refusal = self.window.returned(returned);
            first = first.or(Some(refusal));
        }
        first
    }

    /// Waits until the fate of everything sent is known, or cannot be known any more.
    fn settle(&mut self, publisher: &Publisher) {
        while !self.window.is_settled() {
            let Ok(confirmation) = publisher.next_confirmation() else {
                return;
            };
            self.hear_returns(publisher);
            self.window.apply(confirmation);
        }
    }

    /// Tells the checkpoint before it knows too little: a crash now must not make more than a window of duplicates.
    fn note_place_in_time(&mut self) -> Result<(), CheckpointError> {
        let Some(checkpoint) = &self.checkpoint else {
            return Ok(());
        };
        let unsaved = checkpoint.unsaved(self.window.confirmed_in_order());
        if unsaved >= self.save_every {
            self.note_place()?;
        }
        Ok(())
    }

    fn note_place(&mut self) -> Result<(), CheckpointError> {
        let confirmed = self.window.confirmed_in_order();
        match (&mut self.checkpoint, self.window.confirmed_up_to()) {
            (Some(checkpoint), Some(place)) if checkpoint.unsaved(confirmed) > 0 => {
                checkpoint.save(place, confirmed)
            }
            _ => Ok(()),
        }
    }

    fn show_progress(&self) {
        let Tally {
            published,
            confirmed,
            ..
        } = self.window.tally();
        let done = match self.confirms {
            Confirms::Awaited { .. } => confirmed,
            Confirms::Off => published,
        };
        self.progress.advance_to(done, self.window.input_bytes());
    }
}

/// `signal` is missing only if the thread that hears of signals is gone, which it never is.
pub(super) fn interrupted(signal: Result<i32, RecvError>) -> Stop {
    Stop::Interrupted(signal.unwrap_or(SIGTERM))
}

/// With a checkpoint, a half of the window is for messages on the way, the other for those that are confirmed without
/// the checkpoint's knowing it.
fn halves(window: NonZeroUsize) -> (Option<NonZeroUsize>, u64) {
    let unsaved = window.get() / 2;
    (
        NonZeroUsize::new(window.get() - unsaved),
        unsaved.max(1) as u64,
    )
}

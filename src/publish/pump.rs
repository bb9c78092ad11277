//! The loop: records to messages to confirmations, with a bounded number of messages on the way.

use crossbeam_channel::{RecvError, TryRecvError, select};
use signal_hook::consts::SIGTERM;

use super::interrupts::Interrupts;
use super::options::Confirms;
use super::reader::ChunkReceiver;
use super::records::{Place, Record, RecordMaker};
use super::window::{Refusal, Tally, Window};
use crate::broker::{Confirmation, Error, Publisher, Session};

/// Publishes records as they come.
pub(super) struct Pump<'run> {
    maker: RecordMaker,
    /// The record that is to be sent next.
    next: Option<Record>,
    chunks: ChunkReceiver,
    input_has_ended: bool,
    interrupts: &'run Interrupts,
    confirms: Confirms,
    window: Window,
}

/// Why not all records were published and confirmed.
pub(super) enum Stop {
    /// The broker refused something, or the input cannot be read on.
    Failed(anyhow::Error),
    /// The connection broke.
    Lost,
    /// A signal came.
    Interrupted(i32),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Lost { .. } => Stop::Lost,
            error => Stop::Failed(error.into()),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Failed(refusal.into())
    }
}

impl<'run> Pump<'run> {
    pub(super) fn new(
        maker: RecordMaker,
        chunks: ChunkReceiver,
        interrupts: &'run Interrupts,
        confirms: Confirms,
    ) -> Pump<'run> {
        Pump {
            maker,
            next: None,
            chunks,
            input_has_ended: false,
            interrupts,
            confirms,
            window: Window::new(confirms),
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
        match (pumped, self.interrupts.signals().try_recv()) {
            // The session was cut because of it.
            (Err(Stop::Lost), Ok(signal)) => Err(Stop::Interrupted(signal)),
            (pumped, _) => pumped,
        }
    }

    fn pump(&mut self, publisher: &mut Publisher) -> Result<(), Stop> {
        while !self.input_has_ended {
            self.publish_what_is_there(publisher)?;
            self.wait_for_input(publisher)?;
        }
        while !self.window.is_settled() {
            self.wait_for_confirmation(publisher)?;
        }
        if self.confirms == Confirms::Off {
            publisher.catch_up()?;
            self.hear_returns(publisher).map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    fn publish_what_is_there(&mut self, publisher: &mut Publisher) -> Result<(), Stop> {
        loop {
            self.next = self.next.take().or_else(|| self.maker.next());
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
        select! {
            recv(self.chunks) -> chunk => match chunk {
                Ok(Ok(chunk)) => self.maker.accept(chunk),
                Ok(Err(error)) => return Err(Stop::Failed(error.into())),
                Err(RecvError) => self.input_has_ended = true,
            },
            recv(publisher.confirms()) -> confirm => self.hear(publisher, confirm.map(Confirmation::from))?,
            recv(self.interrupts.signals()) -> signal => return Err(interrupted(signal)),
        }
        Ok(())
    }

    fn wait_for_confirmation(&mut self, publisher: &Publisher) -> Result<(), Stop> {
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
}

/// `signal` is missing only if the thread that hears of signals is gone, which it never is.
fn interrupted(signal: Result<i32, RecvError>) -> Stop {
    Stop::Interrupted(signal.unwrap_or(SIGTERM))
}

//! Whether a caller still waits on its own channel, as direct reply-to has it
//! (<https://www.rabbitmq.com/docs/direct-reply-to#usage>).

use crate::broker::{ConnectOptions, Error, Result, Session};

const NOT_FOUND: u16 = 404;

/// What RabbitMQ 3.10 ends the connection with if an address is none that it has given out.
const INTERNAL_ERROR: u16 = 541;

/// Looks for callers on a connection of its own: the broker closes the channel on which a caller is looked for that is gone.
pub(super) struct Callers {
    connect: ConnectOptions,
    session: Option<Session>,
}

impl Callers {
    pub(super) fn new(connect: &ConnectOptions) -> Callers {
        Callers {
            connect: connect.clone(),
            session: None,
        }
    }

    /// Whether there is one at this address.
    pub(super) fn has(&mut self, address: &str) -> Result<bool> {
        if let Some(session) = self.session.take() {
            match self.look(session, address) {
                // It may have died long ago, unnoticed.
                Err(error) if error.is_transient() => {}
                answer => return answer,
            }
        }
        let session = Session::open(&self.connect)?;
        self.look(session, address)
    }

    fn look(&mut self, mut session: Session, address: &str) -> Result<bool> {
        match session.look_at_queue(address) {
            Ok(_) => {
                self.session = Some(session);
                Ok(true)
            }
            Err(Error::Refused {
                code: NOT_FOUND, ..
            }) => {
                if session.change_channel().is_ok() {
                    self.session = Some(session);
                }
                Ok(false)
            }
            Err(Error::Refused {
                code: INTERNAL_ERROR,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

//! One connection in use: what is sent over it, what comes over it, and what is to become of it.

use super::sources::Sources;
use crate::broker::{
    Answers, BlockedNotices, Error, Publisher, Result, Session, SubscribeOptions,
    Subscription as Subscribed,
};
use crate::transfer::run::Subscription;

/// A connection that messages are moved on.
pub(super) struct Wire<'session> {
    pub(super) session: &'session Session,
    pub(super) publisher: Publisher<'session>,
    pub(super) answers: Answers,
    pub(super) blocked: BlockedNotices,
    pub(super) sources: Sources,
    subscribed: Vec<(Subscription, Subscribed<'session>)>,
    pub(super) fate: Fate,
}

/// What is to become of a connection.
pub(super) enum Fate {
    /// It is used on.
    Used,
    /// It is to be closed.
    Closed,
    /// It is to be cut.
    Cut,
    /// It has ended by itself, or its channel has.
    Broken(Error),
}

impl<'session> Wire<'session> {
    pub(super) fn over(
        session: &'session Session,
        blocked: BlockedNotices,
    ) -> Result<Wire<'session>> {
        let publisher = session.publisher()?;
        Ok(Wire {
            session,
            answers: publisher.answers(),
            publisher,
            blocked,
            sources: Sources::new(),
            subscribed: Vec::new(),
            fate: Fate::Used,
        })
    }

    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.fate, Fate::Used)
    }

    /// Notes that the connection is broken, if nothing else is to become of it.
    pub(super) fn has_broken(&mut self, error: Error) {
        if self.is_in_use() {
            self.fate = Fate::Broken(if is_of_publishing(&error) {
                error.in_context("basic.publish")
            } else {
                error
            });
        }
    }

    /// Does something on the connection, unless it has just broken. Whether that was done.
    pub(super) fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Option<T> {
        if !self.is_in_use() {
            return None;
        }
        match work(self) {
            Ok(done) => Some(done),
            Err(error) => {
                self.has_broken(error);
                None
            }
        }
    }

    pub(super) fn subscribe(
        &mut self,
        number: Subscription,
        queue: &str,
        prefetch: u16,
    ) -> Result<()> {
        self.session.set_prefetch(prefetch)?;
        let subscribed = self
            .session
            .subscribe(queue, &SubscribeOptions::default())?;
        self.sources.add(number, subscribed.deliveries());
        self.subscribed.push((number, subscribed));
        Ok(())
    }

    pub(super) fn cancel(&mut self, number: Subscription) -> Result<()> {
        let position = self
            .subscribed
            .iter()
            .position(|(other, _)| *other == number);
        match position {
            Some(position) => self.subscribed.remove(position).1.cancel(),
            None => Ok(()),
        }
    }
}

/// Whether the broker refused a copy. It has no answer of its own: the channel ends while something else is done on it.
fn is_of_publishing(error: &Error) -> bool {
    const OF_PUBLISHING: [&str; 4] = ["exchange", "message size", "user_id", "expiration"];
    matches!(error, Error::Refused { text, .. } if OF_PUBLISHING.iter().any(|word| text.contains(word)))
}

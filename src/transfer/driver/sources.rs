//! What subscriptions bring, in the order of the deliveries' tags: the core relies on it.

use crossbeam_channel::Select;

use crate::broker::{self, Arrival, Deliveries, Error};
use crate::transfer::run::{Subscription, Tag};

/// The subscriptions of a connection.
pub(super) struct Sources {
    sources: Vec<Source>,
    next: Tag,
}

struct Source {
    number: Subscription,
    deliveries: Deliveries,
    /// What it has brought, while one with a lower tag is to come from another.
    waiting: Option<Box<broker::Delivery>>,
    /// It was cancelled, and brings no more.
    is_over: bool,
}

/// What has come.
pub(super) enum Brought {
    Delivery(Subscription, Box<broker::Delivery>),
    /// The broker ended the subscription.
    Cancelled,
    /// The connection or the channel has ended, and perhaps it is known why.
    Broken(Option<Error>),
}

impl Sources {
    pub(super) fn new() -> Sources {
        Sources {
            sources: Vec::new(),
            next: 1,
        }
    }

    pub(super) fn add(&mut self, number: Subscription, deliveries: Deliveries) {
        self.sources.push(Source {
            number,
            deliveries,
            waiting: None,
            is_over: false,
        });
    }

    /// What comes next, without waiting.
    pub(super) fn next(&mut self) -> Option<Brought> {
        for source in &mut self.sources {
            if source.waiting.is_none() && !source.is_over {
                match source.deliveries.next_arrival() {
                    Some(Arrival::Delivery(delivery)) => source.waiting = Some(delivery),
                    Some(Arrival::Ended) => source.is_over = true,
                    Some(Arrival::Cancelled) => return Some(Brought::Cancelled),
                    Some(Arrival::Closed(error)) => return Some(Brought::Broken(Some(error))),
                    Some(Arrival::Broken) => return Some(Brought::Broken(None)),
                    None => {}
                }
            }
            let waiting = source.waiting.as_ref();
            if waiting.is_some_and(|delivery| delivery.tag == self.next)
                && let Some(delivery) = source.waiting.take()
            {
                self.next += 1;
                return Some(Brought::Delivery(source.number, delivery));
            }
        }
        self.sources
            .retain(|source| !source.is_over || source.waiting.is_some());
        None
    }

    /// Has `select` wait for what comes next.
    pub(super) fn add_to<'select>(&'select self, select: &mut Select<'select>) {
        for source in &self.sources {
            source.deliveries.add_to(select);
        }
    }
}

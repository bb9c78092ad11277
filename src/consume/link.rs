//! The way to the broker while it stands: the queue, the subscription to it, and the answers to what it brings.

use crate::broker::{
    Arrival, Delivery, Lifeline, QueueDeclaration, Result, Session, Subscription, Unsettled,
};

use super::options::{ConsumeOptions, Source};
use super::task::{Claim, Task};
use crate::console::say;

/// The way to the broker while it stands.
pub(super) struct Link<'session> {
    session: &'session Session,
    queue: String,
    subscription: Option<Subscription<'session>>,
    lifeline: Lifeline<'session>,
    /// Counts the subscriptions of this session.
    generation: u64,
    /// How many deliveries of the present subscription are unanswered. Those of earlier ones cost it nothing: without
    /// `global`, the broker counts for each consumer (<https://www.rabbitmq.com/docs/consumer-prefetch>).
    unanswered: usize,
    prefetch: usize,
}

/// A delivery that the broker waits to be answered for.
pub(super) struct Hold {
    unsettled: Unsettled,
    generation: u64,
}

impl Hold {
    pub(super) fn new(unsettled: Unsettled, generation: u64) -> Hold {
        Hold {
            unsettled,
            generation,
        }
    }
}

/// What the broker is told about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Done with.
    Done,
    /// Tried in vain: back to the queue.
    Failed,
    /// Tried in vain, and never again.
    Rejected,
    /// Not tried, or not to its end: back to the queue.
    NotTried,
}

impl<'session> Link<'session> {
    /// Declares the queue, if it is to be, and subscribes to it.
    pub(super) fn establish(
        session: &'session Session,
        options: &ConsumeOptions,
    ) -> Result<Link<'session>> {
        let queue = prepare_queue(session, &options.source)?;
        if let Some(park) = options.failure.parking_queue() {
            // Better now than when the first message is to go there.
            session.look_at_queue(park)?;
        }
        let subscription = if options.limit == Some(0) {
            session.look_at_queue(&queue)?;
            None
        } else {
            Some(session.subscribe(&queue)?)
        };
        Ok(Link {
            session,
            queue,
            subscription,
            lifeline: session.lifeline()?,
            generation: 0,
            unanswered: 0,
            prefetch: options.prefetch.get().into(),
        })
    }

    /// The queue's name.
    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// What has come from the broker, without waiting.
    pub(super) fn next_arrival(&self) -> Option<Arrival> {
        match &self.subscription {
            Some(subscription) => subscription.next_arrival(),
            None => self.lifeline.has_ended().then_some(Arrival::Broken),
        }
    }

    /// Takes a delivery in hand.
    pub(super) fn take(&mut self, delivery: Delivery) -> Task {
        self.unanswered += 1;
        Task::new(delivery, self.generation)
    }

    /// Answers for a delivery.
    pub(super) fn answer(&mut self, hold: Hold, answer: Answer) -> Result<()> {
        if hold.generation == self.generation {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        match answer {
            Answer::Done => hold.unsettled.ack(self.session),
            Answer::Failed => hold.unsettled.return_to_queue(self.session),
            Answer::Rejected => hold.unsettled.reject(self.session),
            Answer::NotTried => hold.unsettled.requeue(self.session),
        }
    }

    /// Answers for a message in hand, if an answer is due.
    pub(super) fn settle(&mut self, claim: Claim, answer: Answer) -> Result<()> {
        match claim {
            Claim::Held(hold) => self.answer(hold, answer),
            Claim::Settled | Claim::Lost => Ok(()),
        }
    }

    /// Whether the broker sends nothing more until the present subscription's deliveries are answered.
    pub(super) fn is_out_of_credit(&self) -> bool {
        self.subscription.is_some() && self.unanswered >= self.prefetch
    }

    /// Whether the broker waits for an answer to a delivery of the present subscription.
    pub(super) fn has_unanswered(&self) -> bool {
        self.unanswered > 0
    }

    /// Whether a hold counts against the present subscription's credit.
    pub(super) fn costs_credit(&self, hold: &Hold) -> bool {
        hold.generation == self.generation
    }

    /// Subscribes anew, for fresh credit, and gives what still came from the old subscription.
    ///
    /// The new one comes first: a queue that ends with its last consumer must not end now.
    pub(super) fn subscribe_anew(&mut self) -> Result<Vec<Task>> {
        let next = self.session.subscribe(&self.queue)?;
        let late = self.unsubscribe()?;
        self.subscription = Some(next);
        self.generation += 1;
        self.unanswered = 0;
        Ok(late)
    }

    /// Ends the subscription and gives what still came from it.
    pub(super) fn unsubscribe(&mut self) -> Result<Vec<Task>> {
        let Some(subscription) = self.subscription.take() else {
            return Ok(Vec::new());
        };
        let late = subscription.cancel()?;
        Ok(late
            .into_iter()
            .map(|delivery| self.take(delivery))
            .collect())
    }

    /// Subscribes after the broker has ended the subscription; the queue is declared again, if it is to be.
    pub(super) fn subscribe_again(&mut self, source: &Source) -> Result<()> {
        self.queue = prepare_queue(self.session, source)?;
        self.subscription = Some(self.session.subscribe(&self.queue)?);
        self.generation += 1;
        self.unanswered = 0;
        Ok(())
    }

    /// Forgets a subscription that the broker has ended.
    pub(super) fn subscription_ended(&mut self) {
        self.subscription = None;
    }

    /// Whether the queue has nothing to deliver, and nothing is on its way.
    ///
    /// A message that the queue handed out just before it was asked may come after the first answer, but not after
    /// the second.
    pub(super) fn queue_is_drained(&self) -> Result<bool> {
        for _ in 0..2 {
            if self.session.look_at_queue(&self.queue)?.messages > 0 {
                return Ok(false);
            }
        }
        Ok(self
            .subscription
            .as_ref()
            .is_none_or(Subscription::has_no_arrivals))
    }
}

/// The queue's name, once it stands as asked.
fn prepare_queue(session: &Session, source: &Source) -> Result<String> {
    let (name, exclusive, bindings) = match source {
        Source::Existing(name) => return Ok(name.clone()),
        Source::Declared {
            name,
            exclusive,
            bindings,
        } => (name, *exclusive, bindings),
    };
    let queue = session.declare_queue(&QueueDeclaration {
        name: name.clone(),
        exclusive,
        auto_delete: true,
        ..QueueDeclaration::default()
    })?;
    if name.is_empty() {
        say(&format!("Server provided queue name: {}", queue.name));
    }
    for binding in bindings {
        session.bind_queue(&queue.name, &binding.exchange, &binding.routing_key)?;
    }
    Ok(queue.name)
}

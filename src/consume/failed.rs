//! Failed messages, from the decision what becomes of each until the broker has been told.

use std::collections::HashMap;
use std::time::Instant;

use super::environment::delivery_count;
use super::failure::{FailurePolicy, Fate};
use super::held::{Held, HeldMessage, Until, WayBack};
use super::link::{Answer, Hold, Link};
use super::outbox::{Outbox, Report};
use super::reissue;
use super::task::{Claim, Task};
use crate::broker::{ConnectOptions, DeliveryCount, Result};
use crate::console::say;
use crate::doorbell::Doorbell;
use crate::message::Message;
use crate::status::Status;

/// The failed messages that are not settled yet.
pub(super) struct Failed {
    policy: FailurePolicy,
    held: Held,
    outbox: Outbox,
    /// Being published, by number; each is acknowledged when that is confirmed.
    in_the_post: HashMap<u64, InThePost>,
    orders: u64,
    count: Knowledge,
    /// How many were given back and have not come again.
    given_back: u64,
    /// Nothing is decided about these until it is known whether the queue counts deliveries.
    undecided: Vec<(Task, Hold, Status)>,
}

struct InThePost {
    hold: Hold,
    status: Status,
}

/// What is known about the queue's way of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    NotAsked,
    Asked,
    Known(DeliveryCount),
}

impl Failed {
    /// The doorbell is rung for each report.
    pub(super) fn new(
        policy: FailurePolicy,
        until: Until,
        connect: ConnectOptions,
        doorbell: &Doorbell,
    ) -> Failed {
        Failed {
            policy,
            held: Held::new(until),
            outbox: Outbox::new(connect, doorbell),
            in_the_post: HashMap::new(),
            orders: 0,
            count: Knowledge::NotAsked,
            given_back: 0,
            undecided: Vec::new(),
        }
    }

    /// Decides about a message whose command failed with `status`.
    pub(super) fn add(&mut self, task: Task, status: Status, link: &mut Link) -> Result<()> {
        let (task, hold) = match task.without_claim() {
            (task, Claim::Held(hold)) => (task, hold),
            (_, Claim::Settled | Claim::Lost) => return Ok(()),
        };
        if let Some(count) = self.delivery_count(&task, link) {
            return self.decide(task, hold, status, count, link);
        }
        self.undecided.push((task, hold, status));
        Ok(())
    }

    /// Which attempt at a message its next command is, from 1.
    pub(super) fn attempt(&self, task: &Task) -> u64 {
        let count = match self.count {
            Knowledge::Known(count) => count,
            Knowledge::NotAsked | Knowledge::Asked => DeliveryCount::Unknown,
        };
        task.earlier_failures(count) + u64::from(task.runs) + 1
    }

    /// A message has come that was in the queue before, or that we published.
    pub(super) fn came_again(&mut self) {
        self.given_back = self.given_back.saturating_sub(1);
    }

    /// Whether some that were given back may come at any moment.
    pub(super) fn expects_some(&self) -> bool {
        self.given_back > 0
    }

    /// A command has succeeded.
    pub(super) fn success(&mut self) {
        self.held.success();
    }

    /// The next report for [`Failed::on_report`], without waiting.
    pub(super) fn next_report(&self) -> Option<Report> {
        self.outbox.next_report()
    }

    pub(super) fn on_report(&mut self, report: Report, link: &mut Link) -> Result<()> {
        match report {
            Report::Learned(count) => {
                self.count = Knowledge::Known(count);
                for (task, hold, status) in std::mem::take(&mut self.undecided) {
                    self.decide(task, hold, status, count, link)?;
                }
                Ok(())
            }
            // One that is not here any more was lost with a connection.
            Report::Published { id, result } => match (self.in_the_post.remove(&id), result) {
                (None, _) => Ok(()),
                (Some(posted), Ok(())) => link.answer(posted.hold, Answer::Done),
                (Some(posted), Err(reason)) => {
                    say(&format!(
                        "basic.publish: {reason}; the failed message goes back to queue '{}' as it is",
                        link.queue()
                    ));
                    self.hold(posted.hold, WayBack::Rejected, posted.status);
                    Ok(())
                }
            },
        }
    }

    /// Gives back what has been held for long enough; says whether there was something.
    pub(super) fn give_back_due(&mut self, link: &mut Link) -> Result<bool> {
        let due = self.held.due(Instant::now());
        let any = !due.is_empty();
        self.give_back(due, link)?;
        Ok(any)
    }

    /// Gives back all that is held.
    pub(super) fn give_back_all(&mut self, link: &mut Link) -> Result<()> {
        let held = self.held.all();
        self.give_back(held, link)
    }

    /// Waits for nothing more: what is not decided or not confirmed goes back as it is, and may then be there twice.
    pub(super) fn give_up(&mut self, link: &mut Link) -> Result<()> {
        let undecided = self.undecided.drain(..).map(|(_, hold, _)| hold);
        let posted = self.in_the_post.drain().map(|(_, posted)| posted.hold);
        let held = self.held.all().into_iter().map(|message| message.hold);
        for hold in undecided.chain(posted).chain(held) {
            link.answer(hold, Answer::Failed)?;
        }
        Ok(())
    }

    /// The connection that they came by is gone: the broker delivers them again.
    pub(super) fn forget(&mut self) {
        self.held.forget();
        self.in_the_post.clear();
        self.undecided.clear();
    }

    /// Whether the fate of some is still open, or not yet confirmed.
    pub(super) fn is_busy(&self) -> bool {
        !self.in_the_post.is_empty() || !self.undecided.is_empty()
    }

    /// Whether some are held that will come to an end, since their attempts are counted.
    pub(super) fn will_be_done(&self) -> bool {
        self.policy.attempts.is_some() && !self.held.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.held.is_full()
    }

    /// Whether some of them cost the present subscription credit.
    pub(super) fn cost_credit(&self, link: &Link) -> bool {
        let waiting = self.undecided.iter().map(|(_, hold, _)| hold);
        let posted = self.in_the_post.values().map(|posted| &posted.hold);
        self.held.cost_credit(link) || waiting.chain(posted).any(|hold| link.costs_credit(hold))
    }

    /// When [`Failed::give_back_due`] has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.next_due()
    }

    /// What the first that is held failed with.
    pub(super) fn first_status(&self) -> Option<Status> {
        self.held.first_status()
    }

    /// Whether the queue counts deliveries, as far as it matters; `None` until that is known.
    fn delivery_count(&mut self, task: &Task, link: &Link) -> Option<DeliveryCount> {
        if self.policy.attempts.is_none() {
            return Some(DeliveryCount::Unknown);
        }
        if delivery_count(&task.message).is_some() {
            self.count = Knowledge::Known(DeliveryCount::Kept);
        }
        if self.count == Knowledge::NotAsked {
            // The broker logs the answer of a classic queue as an error: it is not asked without need.
            if task.is_counted_in_header() {
                return Some(DeliveryCount::NotKept);
            }
            self.count = Knowledge::Asked;
            self.outbox.learn_delivery_count(link.queue());
        }
        match self.count {
            Knowledge::Known(count) => Some(count),
            Knowledge::NotAsked | Knowledge::Asked => None,
        }
    }

    fn decide(
        &mut self,
        task: Task,
        hold: Hold,
        status: Status,
        count: DeliveryCount,
        link: &mut Link,
    ) -> Result<()> {
        let failures = task.earlier_failures(count) + 1;
        match self.policy.fate(status, failures) {
            Fate::GoesBack => {
                let way_back = match &self.policy.attempts {
                    Some(_) if must_be_counted_here(&task, count) => {
                        let message = reissue::for_another_attempt(
                            task.into_message(),
                            link.queue(),
                            failures,
                        );
                        WayBack::Republished(Box::new(message))
                    }
                    _ => WayBack::Rejected,
                };
                self.hold(hold, way_back, status);
                Ok(())
            }
            Fate::Parked(queue) => {
                let message = reissue::for_parking(task.into_message(), &queue, failures, status);
                self.post(hold, Box::new(message), status);
                Ok(())
            }
            Fate::Rejected => link.answer(hold, Answer::Rejected),
            Fate::Forgotten => link.answer(hold, Answer::Done),
        }
    }

    fn hold(&mut self, hold: Hold, way_back: WayBack, status: Status) {
        let message = HeldMessage {
            hold,
            way_back,
            status,
        };
        self.held.hold(message, Instant::now());
    }

    fn give_back(&mut self, messages: Vec<HeldMessage>, link: &mut Link) -> Result<()> {
        for held in messages {
            self.given_back += 1;
            match held.way_back {
                WayBack::Rejected => link.answer(held.hold, Answer::Failed)?,
                WayBack::Republished(message) => self.post(held.hold, message, held.status),
            }
        }
        Ok(())
    }

    fn post(&mut self, hold: Hold, message: Box<Message>, status: Status) {
        self.orders += 1;
        self.outbox.publish(self.orders, message);
        self.in_the_post
            .insert(self.orders, InThePost { hold, status });
    }
}

/// Whether another attempt must be counted in a header. Where it is unknown whether the queue counts, the first
/// redelivery tells.
fn must_be_counted_here(task: &Task, count: DeliveryCount) -> bool {
    match count {
        DeliveryCount::Kept => false,
        DeliveryCount::NotKept => true,
        DeliveryCount::Unknown => task.redelivered || task.is_counted_in_header(),
    }
}

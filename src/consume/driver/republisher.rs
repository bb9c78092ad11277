//! The thread that publishes copies of failed messages, for another attempt or to the parking queue. It has a connection of its
//! own: a broker that runs out of memory or disk stops reading from publishers, and acknowledgements on the same connection would
//! wait (<https://www.rabbitmq.com/docs/alarms>).

use std::collections::HashSet;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::broker::{
    Confirmation, ConnectOptions, DeliveryCount, Error, Publisher, Result, Session, Unconfirmed,
    Unroutable,
};
use crate::consume::run::{DeliveryId, Event};
use crate::message::Message;
use crate::system::stderr::say;
use crate::system::waker::{Waker, WakingSender};

/// The loop's end of the thread.
pub(super) struct Republisher {
    connect: ConnectOptions,
    /// Absent until there is a task: most workers never publish.
    tasks: Option<Sender<Task>>,
    event_sender: WakingSender<Event>,
    events: Receiver<Event>,
}

/// A message to publish, and the delivery that it is a copy of.
type Republication = (DeliveryId, Box<Message>);

enum Task {
    /// Publish a message to the queue that its routing key names.
    Publish(DeliveryId, Box<Message>),
    /// Find out whether a queue counts deliveries.
    Learn(String),
}

impl Republisher {
    /// Each event wakes the loop.
    pub(super) fn new(connect: ConnectOptions, waker: &Waker) -> Republisher {
        let (event_sender, events) = WakingSender::new(waker);
        Republisher {
            connect,
            tasks: None,
            event_sender,
            events,
        }
    }

    /// What came of a task, without waiting: one event for each task.
    pub(super) fn next_event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Has a message published to the queue that its routing key names.
    pub(super) fn publish(&mut self, id: DeliveryId, message: Box<Message>) {
        self.start(Task::Publish(id, message));
    }

    /// Has it found out whether a queue counts deliveries.
    pub(super) fn learn_delivery_count(&mut self, queue: &str) {
        self.start(Task::Learn(queue.to_owned()));
    }

    fn start(&mut self, task: Task) {
        if self.tasks.is_none() {
            self.tasks = self.start_thread();
        }
        let undelivered = match &self.tasks {
            Some(tasks) => tasks.send(task).err().map(|unsent| unsent.0),
            None => Some(task),
        };
        if let Some(task) = undelivered {
            let _ = self.event_sender.send(match task {
                Task::Publish(id, _) => refused(id, "no thread to publish it"),
                Task::Learn(_) => Event::CountsDeliveries(None),
            });
        }
    }

    fn start_thread(&self) -> Option<Sender<Task>> {
        let (sender, tasks) = unbounded();
        let worker = RepublisherThread {
            connect: self.connect.clone(),
            tasks,
            events: self.event_sender.clone(),
        };
        thread::Builder::new()
            .name("republisher".to_owned())
            .spawn(move || worker.work())
            .map_err(|error| say(&format!("starting a thread: {error}")))
            .ok()
            .map(|_| sender)
    }
}

/// The thread.
struct RepublisherThread {
    connect: ConnectOptions,
    tasks: Receiver<Task>,
    events: WakingSender<Event>,
}

impl RepublisherThread {
    fn work(&self) {
        let mut copies = Vec::new();
        while self.collect(&mut copies) {
            match Session::open(&self.connect) {
                Ok(session) => copies = self.deliver(session, copies),
                Err(error) => self.refuse(std::mem::take(&mut copies), &error),
            }
        }
    }

    /// Waits until there are copies and takes all there are. False if there never will be.
    fn collect(&self, copies: &mut Vec<Republication>) -> bool {
        while copies.is_empty() {
            let Ok(first) = self.tasks.recv() else {
                return false;
            };
            for task in std::iter::once(first).chain(self.tasks.try_iter()) {
                match task {
                    Task::Publish(id, message) => copies.push((id, message)),
                    Task::Learn(queue) => self.learn(&queue),
                }
            }
        }
        true
    }

    fn learn(&self, queue: &str) {
        let count = match Session::open(&self.connect) {
            Ok(session) => session.learn_delivery_count(queue),
            Err(_) => DeliveryCount::Unknown,
        };
        self.tell(Event::CountsDeliveries(match count {
            DeliveryCount::Kept => Some(true),
            DeliveryCount::NotKept => Some(false),
            DeliveryCount::Unknown => None,
        }));
    }

    /// Publishes on one session for as long as it lasts. Returns the copies that are to be tried on another.
    fn deliver(&self, session: Session, mut copies: Vec<Republication>) -> Vec<Republication> {
        let mut is_fresh = true;
        let result = session.publisher().and_then(|mut publisher| {
            let mut unconfirmed = Unconfirmed::default();
            while self.collect(&mut copies) {
                for event in publish_all(&mut publisher, &mut unconfirmed, &copies)? {
                    self.tell(event);
                }
                copies.clear();
                is_fresh = false;
            }
            Ok(())
        });
        match result {
            Ok(()) => {
                let _ = session.close();
                Vec::new()
            }
            // The session may have died long ago, unnoticed.
            Err(error) if error.is_transient() && !is_fresh => copies,
            Err(Error::Lost { .. }) => {
                self.refuse(copies, &session.explain_end("basic.publish"));
                Vec::new()
            }
            Err(error) => {
                self.refuse(copies, &error);
                Vec::new()
            }
        }
    }

    fn refuse(&self, copies: Vec<Republication>, error: &Error) {
        for (id, _) in copies {
            self.tell(refused(id, &error.to_string()));
        }
    }

    fn tell(&self, event: Event) {
        // The loop may have ended.
        let _ = self.events.send(event);
    }
}

fn refused(id: DeliveryId, reason: &str) -> Event {
    Event::Copied(id, Err(reason.to_owned()))
}

/// Publishes all copies and waits until the broker has answered for each. `unconfirmed` belongs to the publisher.
fn publish_all(
    publisher: &mut Publisher<'_>,
    unconfirmed: &mut Unconfirmed<DeliveryId>,
    copies: &[Republication],
) -> Result<Vec<Event>> {
    for (id, message) in copies {
        publisher.publish(message, Unroutable::Return)?;
        unconfirmed.add(*id);
    }
    let mut rejected = HashSet::new();
    while !unconfirmed.is_empty() {
        match publisher.next_confirmation()? {
            Confirmation::Acked(numbers) => drop(unconfirmed.answered(numbers)),
            Confirmation::Nacked(numbers) => rejected.extend(unconfirmed.answered(numbers)),
        }
    }
    // A message that reached no queue was returned before it was confirmed. A broker may also reject it first; then the broker is
    // asked for it. Where that fails, the next message tells that the connection is gone.
    if !rejected.is_empty() {
        let _ = publisher.wait_for_returns();
    }
    let missing: HashSet<String> = publisher
        .returned()
        .map(|returned| returned.message.routing_key)
        .collect();
    let result = |(id, message): &Republication| {
        let queue = &message.routing_key;
        if missing.contains(queue) {
            refused(*id, &format!("no queue '{queue}'"))
        } else if rejected.contains(id) {
            refused(*id, &format!("queue '{queue}' does not take it"))
        } else {
            Event::Copied(*id, Ok(()))
        }
    };
    Ok(copies.iter().map(result).collect())
}

//! What a worker publishes: failed messages, for another attempt or to be parked. By a thread with a connection of its own:
//! the broker stops reading from publishers when it runs out of memory or disk, and would not hear acknowledgements then
//! (<https://www.rabbitmq.com/docs/alarms>).

use std::collections::HashSet;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::broker::{
    Confirmation, ConnectOptions, DeliveryCount, Error, Numbers, Publisher, Result, Session,
    Unroutable,
};
use crate::message::Message;
use crate::system::stderr::say;
use crate::system::waker::{Waker, WakingSender};

/// The way into the thread, and back.
pub(super) struct Republisher {
    connect: ConnectOptions,
    /// Absent until there is something to do: most workers never publish.
    tasks: Option<Sender<Task>>,
    report_sender: WakingSender<Report>,
    reports: Receiver<Report>,
}

enum Task {
    Publish(Copy),
    Learn(String),
}

struct Copy {
    id: u64,
    message: Box<Message>,
}

/// What has become of an order.
pub(super) enum Report {
    /// A message was published and the broker has confirmed that, or not.
    Published {
        /// The number that it was ordered with.
        id: u64,
        /// Why not.
        result: std::result::Result<(), String>,
    },
    /// Whether the queue counts deliveries.
    Learned(DeliveryCount),
}

impl Republisher {
    /// The waker is rung for each report.
    pub(super) fn new(connect: ConnectOptions, waker: &Waker) -> Republisher {
        let (report_sender, reports) = WakingSender::new(waker);
        Republisher {
            connect,
            tasks: None,
            report_sender,
            reports,
        }
    }

    /// What has become of the orders, one report for each, without waiting.
    pub(super) fn next_report(&self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    /// Has a message published to the queue that its routing key names.
    pub(super) fn publish(&mut self, id: u64, message: Box<Message>) {
        self.task(Task::Publish(Copy { id, message }));
    }

    /// Has it found out whether a queue counts deliveries.
    pub(super) fn learn_delivery_count(&mut self, queue: &str) {
        self.task(Task::Learn(queue.to_owned()));
    }

    fn task(&mut self, task: Task) {
        if self.tasks.is_none() {
            self.tasks = self.start_thread();
        }
        let undelivered = match &self.tasks {
            Some(tasks) => tasks.send(task).err().map(|unsent| unsent.0),
            None => Some(task),
        };
        if let Some(task) = undelivered {
            let _ = self.report_sender.send(match task {
                Task::Publish(copy) => failed(&copy, "no thread to publish it"),
                Task::Learn(_) => Report::Learned(DeliveryCount::Unknown),
            });
        }
    }

    fn start_thread(&self) -> Option<Sender<Task>> {
        let (sender, tasks) = unbounded();
        let worker = RepublisherThread {
            connect: self.connect.clone(),
            tasks,
            reports: self.report_sender.clone(),
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
    reports: WakingSender<Report>,
}

impl RepublisherThread {
    fn work(&self) {
        let mut copies = Vec::new();
        while self.collect(&mut copies) {
            match Session::open(&self.connect) {
                Ok(session) => copies = self.deliver(session, copies),
                Err(error) => self.fail(std::mem::take(&mut copies), &error),
            }
        }
    }

    /// Waits until there are copies and takes all there are. False if there never will be.
    fn collect(&self, copies: &mut Vec<Copy>) -> bool {
        while copies.is_empty() {
            let Ok(first) = self.tasks.recv() else {
                return false;
            };
            for task in std::iter::once(first).chain(self.tasks.try_iter()) {
                match task {
                    Task::Publish(copy) => copies.push(copy),
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
        let _ = self.reports.send(Report::Learned(count));
    }

    /// Publishes on one session for as long as it lasts. Gives back what is to be tried on another.
    fn deliver(&self, session: Session, mut copies: Vec<Copy>) -> Vec<Copy> {
        let mut is_fresh = true;
        let result = session.publisher().and_then(|mut publisher| {
            while self.collect(&mut copies) {
                let unroutable = publish_all(&mut publisher, &copies)?;
                for copy in copies.drain(..) {
                    self.report(&copy, &unroutable);
                }
                is_fresh = false;
            }
            Ok(())
        });
        match result {
            Ok(()) => {
                let _ = session.close();
                Vec::new()
            }
            // It may have died long ago, unnoticed.
            Err(error) if error.is_transient() && !is_fresh => copies,
            Err(Error::Lost { .. }) => {
                self.fail(copies, &session.autopsy("basic.publish"));
                Vec::new()
            }
            Err(error) => {
                self.fail(copies, &error);
                Vec::new()
            }
        }
    }

    fn report(&self, copy: &Copy, unroutable: &Undelivered) {
        let queue = &copy.message.routing_key;
        let report = if unroutable.no_such_queue.contains(queue) {
            failed(copy, &format!("no queue '{queue}'"))
        } else if unroutable.refused.contains(&copy.id) {
            failed(copy, &format!("queue '{queue}' does not take it"))
        } else {
            Report::Published {
                id: copy.id,
                result: Ok(()),
            }
        };
        let _ = self.reports.send(report);
    }

    fn fail(&self, copies: Vec<Copy>, error: &Error) {
        for copy in copies {
            let _ = self.reports.send(failed(&copy, &error.to_string()));
        }
    }
}

fn failed(copy: &Copy, reason: &str) -> Report {
    Report::Published {
        id: copy.id,
        result: Err(reason.to_owned()),
    }
}

/// What the broker has not taken of what was published.
#[derive(Default)]
struct Undelivered {
    /// Queues that are not there.
    no_such_queue: HashSet<String>,
    /// The numbers of messages that a queue has refused (it is full).
    refused: HashSet<u64>,
}

/// Publishes all copies and waits until the broker has answered for each.
fn publish_all(publisher: &mut Publisher<'_>, copies: &[Copy]) -> Result<Undelivered> {
    let mut open = Vec::new();
    for copy in copies {
        let number = publisher.publish(&copy.message, Unroutable::Return)?;
        open.push((number, copy.id));
    }
    let mut undelivered = Undelivered::default();
    while !open.is_empty() {
        let (numbers, taken) = match publisher.next_confirmation()? {
            Confirmation::Acked(numbers) => (numbers, true),
            Confirmation::Nacked(numbers) => (numbers, false),
        };
        let answered = open.extract_if(.., |(number, _)| match numbers {
            Numbers::One(one) => *number == one,
            Numbers::UpTo(last) => *number <= last,
        });
        let answered = answered.map(|(_, id)| id).collect::<Vec<_>>();
        if !taken {
            undelivered.refused.extend(answered);
        }
    }
    // What no queue got was returned before it was confirmed. A broker may also reject it first; then it is asked for. Where
    // that fails, the next message tells that the connection is gone.
    if !undelivered.refused.is_empty() {
        let _ = publisher.wait_for_returns();
    }
    let returned = publisher
        .returned()
        .map(|returned| returned.message.routing_key);
    undelivered.no_such_queue.extend(returned);
    Ok(undelivered)
}

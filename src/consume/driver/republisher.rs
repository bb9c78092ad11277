//! The thread that publishes copies of failed messages, for another attempt or to the parking queue, and the output of commands. It
//! has a connection of its own: a broker that runs out of memory or disk stops reading from publishers, and acknowledgements on the
//! same connection would wait (<https://www.rabbitmq.com/docs/alarms>).

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, unbounded};

use super::callers::Callers;
use crate::broker::{
    Answer, Answers, Confirmation, ConnectOptions, DeliveryCount, Error, Numbers, Publisher,
    QueueDeclaration, Result, Returned, Session, Template, Unconfirmed, Unroutable,
};
use crate::consume::publication::{Publication, Recipient};
use crate::message::Message;
use crate::system::stderr::{complain, warn};
use crate::system::waker::{Waker, WakingSender};

/// The loop's end of the thread.
pub(super) struct Republisher {
    connect: ConnectOptions,
    /// Absent until there is a task: most workers never publish.
    tasks: Option<Sender<Task>>,
    report_sender: WakingSender<Report>,
    reports: Receiver<Report>,
}

/// The broker is expected to confirm something within this time.
const SILENCE: Duration = Duration::from_secs(30);

enum Task {
    Publish(Copy),
    Learn(String),
    Declare(Box<QueueDeclaration>),
}

/// Something to be published for a delivery.
struct Copy {
    id: u64,
    publication: Publication,
}

/// What has become of a task.
pub(super) enum Report {
    /// A message was published and the broker has confirmed that, or not.
    Published {
        /// The number that it was ordered with.
        id: u64,
        /// Why not.
        result: std::result::Result<(), Refusal>,
    },
    /// Whether the queue counts deliveries; `None`: the broker does not say.
    Learned(Option<bool>),
}

/// A message that was not taken.
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) publication: Publication,
}

impl Republisher {
    /// Each report wakes the loop.
    pub(super) fn new(connect: ConnectOptions, waker: &Waker) -> Republisher {
        let (report_sender, reports) = WakingSender::new(waker);
        Republisher {
            connect,
            tasks: None,
            report_sender,
            reports,
        }
    }

    /// What has become of the tasks, one report for each, without waiting.
    pub(super) fn next_report(&self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    /// Has a message published.
    pub(super) fn publish(&mut self, id: u64, publication: Publication) {
        self.task(Task::Publish(Copy { id, publication }));
    }

    /// Has it found out whether a queue counts deliveries.
    pub(super) fn learn_delivery_count(&mut self, queue: &str) {
        self.task(Task::Learn(queue.to_owned()));
    }

    /// Has a queue declared that copies are published to. Whether it is there is told by what becomes of the next copy.
    pub(super) fn declare(&mut self, queue: QueueDeclaration) {
        self.task(Task::Declare(Box::new(queue)));
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
            let _ = match task {
                Task::Publish(copy) => {
                    let report = copy.refused("basic.publish: no thread to do it");
                    self.report_sender.send(report)
                }
                Task::Learn(_) => self.report_sender.send(Report::Learned(None)),
                Task::Declare(_) => Ok(()),
            };
        }
    }

    fn start_thread(&self) -> Option<Sender<Task>> {
        let (sender, tasks) = unbounded();
        let worker = RepublisherThread {
            callers: Callers::new(&self.connect),
            connect: self.connect.clone(),
            tasks,
            reports: self.report_sender.clone(),
        };
        thread::Builder::new()
            .name("republisher".to_owned())
            .spawn(move || worker.work())
            .map_err(|error| complain(&format!("starting a thread: {error}")))
            .ok()
            .map(|_| sender)
    }
}

/// The thread.
struct RepublisherThread {
    connect: ConnectOptions,
    callers: Callers,
    tasks: Receiver<Task>,
    reports: WakingSender<Report>,
}

/// What is under way on a session.
#[derive(Default)]
struct UnderWay {
    /// Not sent.
    waiting: VecDeque<Copy>,
    /// Sent and not confirmed.
    unconfirmed: Unconfirmed<Copy>,
    /// Came back, and their confirms have not come.
    returned: Vec<Message>,
    /// Whether the broker has confirmed something.
    is_proven: bool,
}

impl RepublisherThread {
    fn work(mut self) {
        let mut copies = Vec::new();
        loop {
            while copies.is_empty() {
                let Ok(task) = self.tasks.recv() else {
                    return;
                };
                copies.extend(self.take(task));
            }
            match Session::open(&self.connect) {
                Ok(session) => copies = self.deliver(session, copies),
                Err(error) => self.refuse(std::mem::take(&mut copies), &error),
            }
        }
    }

    /// The copy that is to be published, if the task is one and its recipient is there.
    fn take(&mut self, task: Task) -> Option<Copy> {
        match task {
            Task::Learn(queue) => {
                self.learn(&queue);
                None
            }
            Task::Declare(queue) => {
                // On a session of its own: a refusal ends the channel.
                let _ = Session::open_declaring(&self.connect, &queue)
                    .and_then(|(session, _)| session.close());
                None
            }
            Task::Publish(copy) if copy.publication.recipient == Recipient::DirectCaller => {
                self.look_for_caller(copy)
            }
            Task::Publish(copy) => Some(copy),
        }
    }

    fn learn(&self, queue: &str) {
        let count = match Session::open(&self.connect) {
            Ok(session) => session.learn_delivery_count(queue),
            Err(_) => DeliveryCount::Unknown,
        };
        self.report(Report::Learned(match count {
            DeliveryCount::Kept => Some(true),
            DeliveryCount::NotKept => Some(false),
            DeliveryCount::Unknown => None,
        }));
    }

    /// What is published to a caller that is gone is confirmed as if it had come there.
    fn look_for_caller(&mut self, copy: Copy) -> Option<Copy> {
        match self.callers.has(&copy.publication.message.routing_key) {
            Ok(true) => Some(copy),
            Ok(false) => {
                self.report(copy.caller_is_gone());
                None
            }
            Err(error) => {
                self.report(copy.refused(&error.to_string()));
                None
            }
        }
    }

    /// Publishes on one session for as long as it lasts. Gives back what is to be tried on another.
    fn deliver(&mut self, session: Session, copies: Vec<Copy>) -> Vec<Copy> {
        let mut under_way = UnderWay {
            waiting: copies.into(),
            ..UnderWay::default()
        };
        let result = session
            .publisher()
            .and_then(|mut publisher| self.publish_all(&mut publisher, &mut under_way));
        let is_proven = under_way.is_proven;
        let copies = under_way.into_copies();
        match result {
            Ok(()) => {
                let _ = session.close();
                Vec::new()
            }
            // It may have died long ago, unnoticed.
            Err(error) if error.is_transient() && is_proven => copies,
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

    /// Publishes whatever is ordered, and hears what is confirmed, until nothing more will be ordered.
    fn publish_all(
        &mut self,
        publisher: &mut Publisher<'_>,
        under_way: &mut UnderWay,
    ) -> Result<()> {
        let tasks = self.tasks.clone();
        let mut answers = publisher.answers();
        let mut silence = Silence::begins();
        let mut is_over = false;
        loop {
            while let Some(copy) = under_way.waiting.pop_front() {
                self.publish(copy, publisher, under_way)?;
            }
            match answers.try_next() {
                Ok(Some(Answer::Returned(returned))) => under_way.note_returned(*returned),
                Ok(Some(Answer::Confirmed(confirmation))) => {
                    silence = Silence::begins();
                    self.hear(&confirmation, publisher, under_way);
                }
                Ok(None) if is_over && under_way.unconfirmed.is_empty() => return Ok(()),
                Ok(None) => match tasks.try_recv() {
                    Ok(task) => under_way.waiting.extend(self.take(task)),
                    Err(TryRecvError::Disconnected) if !is_over => is_over = true,
                    Err(_) => silence.wait(&answers, (!is_over).then_some(&tasks), under_way),
                },
                Err(_) => return Err(publisher.failure()),
            }
        }
    }

    fn publish(
        &self,
        copy: Copy,
        publisher: &mut Publisher<'_>,
        under_way: &mut UnderWay,
    ) -> Result<()> {
        let message = &copy.publication.message;
        let unroutable = match copy.publication.recipient {
            Recipient::Copied | Recipient::Queue | Recipient::Caller => Unroutable::Return,
            Recipient::DirectCaller => Unroutable::Drop,
        };
        let template = Template::new(
            &message.exchange,
            &message.routing_key,
            &message.properties,
            unroutable,
        );
        let template = match template {
            Ok(template) => template,
            Err(error) => {
                self.report(copy.refused(&error.to_string()));
                return Ok(());
            }
        };
        match publisher.publish_as(&template, &Bytes::copy_from_slice(&message.body)) {
            Ok(_) => {
                under_way.unconfirmed.add(copy);
                Ok(())
            }
            Err(error) => {
                under_way.waiting.push_front(copy);
                Err(error)
            }
        }
    }

    /// A message that reached no queue was returned before it was confirmed. A broker may also reject it first; then the broker is
    /// asked for it. Where that fails, the next message tells that the connection is gone.
    fn hear(
        &self,
        confirmation: &Confirmation,
        publisher: &Publisher<'_>,
        under_way: &mut UnderWay,
    ) {
        under_way.is_proven = true;
        let (numbers, is_taken) = match confirmation {
            Confirmation::Acked(numbers) => (*numbers, true),
            Confirmation::Nacked(numbers) => (*numbers, false),
        };
        if !is_taken {
            let _ = publisher.wait_for_returns();
        }
        for returned in publisher.returned() {
            under_way.note_returned(returned);
        }
        for copy in under_way.unconfirmed.answered(numbers) {
            let is_returned = under_way.take_returned(&copy, is_taken);
            self.report(copy.answered(is_taken, is_returned));
        }
    }

    fn report(&self, report: Report) {
        // If the loop has ended, nobody wants to know.
        let _ = self.reports.send(report);
    }

    fn refuse(&self, copies: Vec<Copy>, error: &Error) {
        for copy in copies {
            self.report(copy.refused(&error.to_string()));
        }
    }
}

/// How long the broker has confirmed nothing.
struct Silence {
    since: Instant,
    is_told: bool,
}

impl Silence {
    fn begins() -> Silence {
        Silence {
            since: Instant::now(),
            is_told: false,
        }
    }

    /// Waits for an answer of the broker or a task. Tells once when a confirm does not come.
    fn wait(&mut self, answers: &Answers, tasks: Option<&Receiver<Task>>, under_way: &UnderWay) {
        let mut select = Select::new();
        answers.add_to(&mut select);
        if let Some(tasks) = tasks {
            select.recv(tasks);
        }
        if under_way.unconfirmed.is_empty() {
            select.ready();
            *self = Silence::begins();
        } else if self.is_told {
            select.ready();
        } else if select.ready_deadline(self.since + SILENCE).is_err() {
            self.is_told = true;
            warn(&format!(
                "basic.publish: the broker has confirmed nothing for {SILENCE:?}; messages wait for their copies to be confirmed"
            ));
        }
    }
}

impl UnderWay {
    fn into_copies(mut self) -> Vec<Copy> {
        let sent = self.unconfirmed.answered(Numbers::UpTo(u64::MAX));
        sent.into_iter().chain(self.waiting).collect()
    }

    fn note_returned(&mut self, returned: Returned) {
        let mut unconfirmed = self.unconfirmed.iter();
        if unconfirmed.any(|copy| copy.is_like(&returned.message)) {
            self.returned.push(returned.message);
        }
    }

    /// Whether the copy, which is answered now, has come back. The confirm of a returned message follows its return: of copies
    /// with the same content, the next one that is confirmed is taken for it. A rejected one is, if there is no other.
    fn take_returned(&mut self, copy: &Copy, is_taken: bool) -> bool {
        let index = self
            .returned
            .iter()
            .position(|returned| copy.is_like(returned));
        let Some(index) = index else {
            return false;
        };
        let returned = &self.returned[index];
        if !is_taken && self.unconfirmed.iter().any(|other| other.is_like(returned)) {
            return false;
        }
        self.returned.swap_remove(index);
        true
    }
}

impl Copy {
    /// What the broker's answer means.
    fn answered(self, is_taken: bool, is_returned: bool) -> Report {
        let message = &self.publication.message;
        let (exchange, key) = (&message.exchange, &message.routing_key);
        if is_taken && !is_returned {
            return self.done();
        }
        if is_returned && self.publication.recipient == Recipient::Caller {
            return self.caller_is_gone();
        }
        let refusal = match (exchange.is_empty(), is_returned) {
            (true, true) => format!("no queue '{key}'"),
            (true, false) => format!("queue '{key}' does not take it"),
            (false, true) => format!("exchange '{exchange}' has no queue for key '{key}'"),
            (false, false) => format!("a queue of exchange '{exchange}' does not take it"),
        };
        self.refused(&format!("basic.publish: {refusal}"))
    }

    fn is_like(&self, message: &Message) -> bool {
        let ours = &self.publication.message;
        let id = |message: &Message| {
            let properties = &message.properties;
            (
                properties.message_id.clone(),
                properties.correlation_id.clone(),
            )
        };
        (&ours.exchange, &ours.routing_key) == (&message.exchange, &message.routing_key)
            && id(ours) == id(message)
            && ours.body == message.body
    }

    fn done(self) -> Report {
        Report::Published {
            id: self.id,
            result: Ok(()),
        }
    }

    fn refused(self, reason: &str) -> Report {
        Report::Published {
            id: self.id,
            result: Err(Refusal {
                reason: reason.to_owned(),
                publication: self.publication,
            }),
        }
    }

    /// Nobody waits for the reply any more, and nobody is to blame.
    fn caller_is_gone(self) -> Report {
        let caller = &self.publication.message.routing_key;
        warn(&format!(
            "the reply has nobody to go to: no queue '{caller}'"
        ));
        self.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(id: u64) -> Copy {
        Copy {
            id,
            publication: Publication {
                message: Box::default(),
                recipient: Recipient::Copied,
            },
        }
    }

    #[test]
    fn of_copies_alike_as_many_are_refused_as_come_back() {
        // The first of three is rejected, and another one comes back: whichever confirm comes first.
        for rejected_first in [true, false] {
            let mut under_way = UnderWay::default();
            (1..=3).for_each(|id| under_way.unconfirmed.add(copy(id)));
            under_way.returned.push(Message::default());
            let mut answer = |number, is_taken| {
                let copies = under_way.unconfirmed.answered(Numbers::One(number));
                under_way.take_returned(&copies[0], is_taken)
            };
            if rejected_first {
                assert!(!answer(1, false));
                assert!(answer(2, true));
                assert!(!answer(3, true));
            } else {
                assert!(answer(2, true));
                assert!(!answer(1, false));
                assert!(!answer(3, true));
            }
            assert!(under_way.returned.is_empty());
        }
    }

    #[test]
    fn a_rejected_copy_that_comes_back_is_told_as_returned() {
        let mut under_way = UnderWay::default();
        under_way.returned.push(Message::default());
        assert!(under_way.take_returned(&copy(1), false));
    }
}

//! A connection to the broker, used by a thread of its own: amiquip's calls wait for their answers, and the loop must hear of
//! signals and commands meanwhile.
//!
//! The loop sends [`Request`]s and gets [`Reply`]s; what subscriptions bring it reads itself.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::broker::{
    self, Arrival, ConnectOptions, Cutter, Deliveries, Error, Lifeline, QueueDeclaration, Server,
    Session, Subscription, Unsettled,
};
use crate::consume::options::{ConsumeOptions, SourceQueue};
use crate::consume::run::{ConnectionId, Settlement, SubscriptionId, Trouble};
use crate::system::stderr::say;
use crate::system::waker::{Waker, WakingSender};

/// What the thread is to do.
pub(super) enum Request {
    Subscribe(SubscriptionId),
    Unsubscribe(SubscriptionId),
    Prefetch(u16),
    CountReady,
    Settle(Unsettled, Settlement),
    Close,
    /// The connection has fallen silent, or this was heard on it: say why it ended.
    Explain(Option<Error>),
}

/// What it has to tell.
pub(super) enum Reply {
    Connected(Opened),
    Subscribed(SubscriptionId, Deliveries),
    Unsubscribed(SubscriptionId),
    Ready(u32),
    Closed,
    Lost(Trouble),
}

/// A connection that stands.
pub(super) struct Opened {
    pub(super) queue: String,
    pub(super) server: Server,
    /// Taken by the loop's end.
    lifeline: Option<Lifeline>,
    cutter: Cutter,
}

/// What the loop hears.
pub(super) enum Heard {
    Connected(Opened),
    Subscribed(SubscriptionId),
    Unsubscribed(SubscriptionId),
    Delivered(SubscriptionId, Box<broker::Delivery>),
    Cancelled(SubscriptionId),
    Ready(u32),
    Closed,
    Lost(Trouble),
}

/// The loop's end of a connection.
pub(super) struct ConnectionHandle {
    pub(super) number: ConnectionId,
    requests: Sender<Request>,
    replies: Receiver<Reply>,
    sources: BTreeMap<SubscriptionId, Deliveries>,
    lifeline: Option<Lifeline>,
    cutter: Option<Cutter>,
    has_asked_why: bool,
    /// The answer behind what must be heard first.
    next_reply: Option<Reply>,
}

impl ConnectionHandle {
    /// Begins to connect, after a pause.
    pub(super) fn begin(
        number: ConnectionId,
        pause: Duration,
        connect: &ConnectOptions,
        options: &ConsumeOptions,
        waker: &Waker,
    ) -> io::Result<ConnectionHandle> {
        let (requests, to_do) = unbounded();
        let (replies, heard) = WakingSender::new(waker);
        let worker = ConnectionThread {
            connect: connect.clone(),
            options: options.clone(),
            waker: waker.clone(),
            requests: to_do,
            replies,
        };
        thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || worker.work(pause))?;
        Ok(ConnectionHandle {
            number,
            requests,
            replies: heard,
            sources: BTreeMap::new(),
            lifeline: None,
            cutter: None,
            has_asked_why: false,
            next_reply: None,
        })
    }

    pub(super) fn request(&self, request: Request) {
        // If the thread has ended, it has said why.
        let _ = self.requests.send(request);
    }

    /// Ends the connection at once, whatever its thread waits for.
    pub(super) fn abandon(self) {
        if let Some(cutter) = self.cutter {
            cutter.cut_at(Instant::now());
        }
    }

    /// The next thing that has come, without waiting.
    pub(super) fn next(&mut self) -> Option<Heard> {
        if self.next_reply.is_none() {
            self.next_reply = self.replies.try_recv().ok();
        }
        // What a subscription brought came before the answer to its cancel.
        if let Some(heard) = self.next_arrival() {
            return Some(heard);
        }
        match self.next_reply.take()? {
            Reply::Connected(mut opened) => {
                self.cutter = Some(opened.cutter.clone());
                self.lifeline = opened.lifeline.take();
                Some(Heard::Connected(opened))
            }
            Reply::Subscribed(number, deliveries) => {
                self.sources.insert(number, deliveries);
                Some(Heard::Subscribed(number))
            }
            Reply::Unsubscribed(number) => {
                self.sources.remove(&number);
                Some(Heard::Unsubscribed(number))
            }
            Reply::Ready(count) => Some(Heard::Ready(count)),
            Reply::Closed => Some(Heard::Closed),
            Reply::Lost(trouble) => Some(Heard::Lost(trouble)),
        }
    }

    fn next_arrival(&mut self) -> Option<Heard> {
        let mut ended = None;
        let mut heard = None;
        self.sources.retain(|number, source| {
            if heard.is_some() {
                return true;
            }
            match source.next_arrival() {
                Some(Arrival::Delivery(delivery)) => {
                    heard = Some(Heard::Delivered(*number, delivery));
                }
                Some(Arrival::Cancelled) => heard = Some(Heard::Cancelled(*number)),
                Some(Arrival::Closed(error)) => ended = Some(Some(error)),
                Some(Arrival::Broken) => ended = Some(None),
                Some(Arrival::Ended) => return false, // nothing follows
                None => {}
            }
            ended.is_none() && !matches!(heard, Some(Heard::Cancelled(_)))
        });
        if heard.is_some() {
            return heard;
        }
        if ended.is_none() && self.lifeline.as_ref().is_some_and(Lifeline::has_ended) {
            ended = Some(None);
        }
        if let Some(error) = ended
            && !self.has_asked_why
        {
            self.has_asked_why = true;
            self.request(Request::Explain(error));
        }
        None
    }
}

/// The thread.
struct ConnectionThread {
    connect: ConnectOptions,
    options: ConsumeOptions,
    waker: Waker,
    requests: Receiver<Request>,
    replies: WakingSender<Reply>,
}

/// How the use of a session ended.
enum SessionEnd {
    Close,
    Abandoned,
    Broken(Error),
}

impl ConnectionThread {
    fn work(&self, pause: Duration) {
        thread::sleep(pause);
        match Session::open_with_prefetch(&self.connect, self.options.prefetch) {
            Ok(session) => self.use_session(session),
            Err(error) => self.tell(Reply::Lost(trouble(&error))),
        }
    }

    fn tell(&self, reply: Reply) {
        // If the loop has gone on, nobody wants to know.
        let _ = self.replies.send(reply);
    }

    fn use_session(&self, session: Session) {
        let prepared = self.prepare(&session);
        let end = prepared.map_or_else(SessionEnd::Broken, |queue| self.obey(&session, &queue));
        match end {
            SessionEnd::Abandoned => {}
            SessionEnd::Close => match session.close() {
                Ok(()) => self.tell(Reply::Closed),
                Err(error) => self.tell(Reply::Lost(trouble(&error))),
            },
            SessionEnd::Broken(Error::Lost { context, .. }) => {
                let error = session.autopsy(context);
                self.tell(Reply::Lost(trouble(&error)));
            }
            SessionEnd::Broken(error) => self.tell(Reply::Lost(trouble(&error))),
        }
    }

    fn prepare(&self, session: &Session) -> broker::Result<String> {
        session.ring_for_news(&self.waker);
        let queue = prepare_queue(session, &self.options.source)?;
        if let Some(park) = self.options.failure.parking_queue() {
            // Better now than when the first message is to go there.
            session.look_at_queue(park)?;
        }
        if self.options.limit == Some(0) {
            session.look_at_queue(&queue)?;
        }
        self.tell(Reply::Connected(Opened {
            queue: queue.clone(),
            server: session.server(),
            lifeline: Some(session.lifeline()?),
            cutter: session.cutter(),
        }));
        Ok(queue)
    }

    fn obey(&self, session: &Session, queue: &str) -> SessionEnd {
        let mut subscriptions = BTreeMap::new();
        for request in &self.requests {
            let result = match request {
                Request::Close => return SessionEnd::Close,
                Request::Explain(error) => Err(error.unwrap_or_else(broken)),
                request => self.carry_out(request, session, queue, &mut subscriptions),
            };
            if let Err(error) = result {
                return SessionEnd::Broken(error);
            }
        }
        SessionEnd::Abandoned
    }

    fn carry_out<'session>(
        &self,
        request: Request,
        session: &'session Session,
        queue: &str,
        subscriptions: &mut BTreeMap<SubscriptionId, Subscription<'session>>,
    ) -> broker::Result<()> {
        match request {
            Request::Subscribe(number) => {
                let subscribed = session.subscribe(queue)?;
                self.tell(Reply::Subscribed(number, subscribed.deliveries()));
                subscriptions.insert(number, subscribed);
            }
            Request::Unsubscribe(number) => {
                if let Some(subscribed) = subscriptions.remove(&number) {
                    subscribed.cancel()?;
                }
                self.tell(Reply::Unsubscribed(number));
            }
            Request::Prefetch(count) => session.set_prefetch(count)?,
            Request::CountReady => self.tell(Reply::Ready(session.look_at_queue(queue)?.messages)),
            Request::Settle(unsettled, settlement) => settle(session, unsettled, settlement)?,
            Request::Close | Request::Explain(_) => {}
        }
        Ok(())
    }
}

fn settle(session: &Session, unsettled: Unsettled, settlement: Settlement) -> broker::Result<()> {
    match settlement {
        Settlement::Ack => unsettled.ack(session),
        Settlement::AckUpTo => unsettled.ack_up_to(session),
        Settlement::Return => unsettled.requeue(session),
        Settlement::ReturnUpTo => unsettled.requeue_up_to(session),
        Settlement::Requeue => unsettled.return_to_queue(session),
        Settlement::Reject => unsettled.reject(session),
    }
}

/// The queue's name, once it stands as asked.
fn prepare_queue(session: &Session, source: &SourceQueue) -> broker::Result<String> {
    let (name, exclusive, bindings) = match source {
        SourceQueue::Existing(name) => return Ok(name.clone()),
        SourceQueue::Declared {
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

fn broken() -> Error {
    Error::Lost {
        context: "basic.consume",
        reason: "the connection is closed".to_owned(),
    }
}

/// The error, with what to do about those that do not explain themselves.
fn trouble(error: &Error) -> Trouble {
    let is_too_late = is_delivery_timeout(error);
    let reason = if is_too_late {
        format!(
            "{error}\nThe broker takes a message back that is not acknowledged in time. Raise its consumer_timeout \
             (30 minutes unless set), or x-consumer-timeout of the queue (RabbitMQ 3.12 or later), both in \
             milliseconds, above what a command may take, or bound that with --timeout. With -c, a failed message \
             is held until the tool ends: a smaller count, or --idle-timeout, ends it sooner."
        )
    } else {
        error.to_string()
    };
    // Connecting has had its retries.
    let may_pass = error.is_transient() && !matches!(error, Error::GaveUp { .. });
    Trouble {
        reason,
        may_pass: may_pass || is_too_late,
    }
}

/// Whether the broker took a delivery back that was not settled in time, by closing the channel. RabbitMQ 4.3 does so where the
/// consumer was cancelled already.
fn is_delivery_timeout(error: &Error) -> bool {
    matches!(error, Error::Refused { text, .. } if text.contains("delivery acknowledgement"))
}

//! The connection to the broker. A thread of its own uses it, since amiquip's calls wait for their answers, and the loop must
//! react to signals and commands meanwhile.
//!
//! The loop sends [`Request`]s and gets [`Reply`]s. It reads the deliveries itself.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::beginning::Beginning;
use super::own_queue::OwnQueue;
use crate::broker::{
    self, Acknowledger, Arrival, ChannelEnd, ConnectOptions, Cutter, Deliveries, Error, Pulse,
    Server, Session, Subscription, Unsettled,
};
use crate::consume::options::{ConsumeOptions, SourceQueue};
use crate::consume::publication::OutputTarget;
use crate::consume::run::{
    ConnectionId, DeliveryId, DeliveryInfo, FromBroker, Settlement, SubscriptionId,
};
use crate::consume::waiting_queue;
use crate::reason::ConnectionFailure;
use crate::system::waker::{Waker, WakingSender};

/// The delivery limit of quorum queues unless they say otherwise, since RabbitMQ 4.0
/// (<https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>).
const DELIVERY_LIMIT: u64 = 20;

/// What the thread is to do.
pub(super) enum Request {
    /// In a stream from this offset, if there is one.
    Subscribe(SubscriptionId, Option<u64>),
    Unsubscribe(SubscriptionId),
    Prefetch(u16),
    CountReady,
    Settle(Unsettled, Settlement),
    /// Find out whether the queue is a stream.
    FindOut,
    Close,
    /// The connection has ended, perhaps with this error: find out why.
    Explain(Option<Error>),
}

/// What the thread reports.
enum Reply {
    /// The connection is open, and this queue is consumed from.
    Connected {
        queue: String,
        server: Server,
        channel_end: ChannelEnd,
        acknowledger: Acknowledger,
        cutter: Cutter,
        pulse: Pulse,
    },
    /// A subscription is active.
    Subscribed(SubscriptionId, Deliveries),
    /// A subscription is cancelled.
    Unsubscribed(SubscriptionId),
    /// It is known whether the queue is a stream.
    FoundOut,
    /// Any other event for the core.
    Other(FromBroker),
}

/// The loop's end of a connection.
pub(super) struct ConnectionHandle {
    pub(super) number: ConnectionId,
    /// The queue that is consumed from; empty until the connection is open.
    pub(super) queue: String,
    /// What the broker says about itself, once the connection is open.
    pub(super) server: Option<Server>,
    requests: Sender<Request>,
    replies: Receiver<Reply>,
    sources: BTreeMap<SubscriptionId, Deliveries>,
    channel_end: Option<ChannelEnd>,
    acknowledger: Option<Acknowledger>,
    cutter: Option<Cutter>,
    /// The broker's signs of life, once the connection is open.
    pub(super) pulse: Option<Pulse>,
    has_asked_why: bool,
    beginning: Beginning,
    /// A delivery that waits until it is known what the queue is. All replies wait behind it.
    in_question: Option<(SubscriptionId, Box<broker::Delivery>)>,
    /// Replies that wait until all deliveries before them are taken in.
    next_replies: VecDeque<Reply>,
}

impl ConnectionHandle {
    /// Begins to connect, after a pause.
    pub(super) fn begin(
        number: ConnectionId,
        pause: Duration,
        connect: &ConnectOptions,
        options: &ConsumeOptions,
        (own_queue, beginning): (&OwnQueue, &Beginning),
        waker: &Waker,
    ) -> io::Result<ConnectionHandle> {
        let (requests, to_do) = unbounded();
        let (replies, heard) = WakingSender::new(waker);
        let worker = ConnectionThread {
            connect: connect.clone(),
            options: options.clone(),
            own_queue: own_queue.clone(),
            beginning: beginning.clone(),
            waker: waker.clone(),
            requests: to_do,
            replies,
        };
        thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || worker.work(pause))?;
        Ok(ConnectionHandle {
            number,
            queue: String::new(),
            server: None,
            requests,
            replies: heard,
            sources: BTreeMap::new(),
            channel_end: None,
            acknowledger: None,
            cutter: None,
            pulse: None,
            has_asked_why: false,
            beginning: beginning.clone(),
            in_question: None,
            next_replies: VecDeque::new(),
        })
    }

    pub(super) fn request(&self, request: Request) {
        // A thread that has ended has already said why.
        let _ = self.requests.send(request);
    }

    /// Answers a delivery. An acknowledgement goes out at once. Other answers keep their place among the requests: a message that
    /// is requeued before its subscription is cancelled comes again.
    pub(super) fn settle(&self, unsettled: Unsettled, settlement: Settlement) {
        match (settlement, &self.acknowledger) {
            (Settlement::Ack, Some(acknowledger)) => unsettled.ack_by(acknowledger),
            _ => self.request(Request::Settle(unsettled, settlement)),
        }
    }

    /// Ends the connection at once, whatever its thread waits for.
    pub(super) fn abandon(self) {
        if let Some(cutter) = self.cutter {
            cutter.cut_at(Instant::now());
        }
    }

    /// The next thing that has come, without waiting. `accept` takes a delivery in and returns its id and what the core needs to
    /// know about it.
    pub(super) fn next(
        &mut self,
        accept: impl FnOnce(broker::Delivery, SubscriptionId, usize) -> (DeliveryId, DeliveryInfo),
    ) -> Option<FromBroker> {
        self.next_replies.extend(self.replies.try_iter());
        if self.waits_for_finding() {
            return None;
        }
        // What a subscription brought came before the answer to its cancel.
        match self.next_arrival() {
            Some((id, Arrival::Delivery(delivery))) => {
                if self.beginning.is_in_question(&delivery.message) {
                    self.in_question = Some((id, delivery));
                    self.request(Request::FindOut);
                    return None;
                }
                let frame_max = self.server.map_or(0, |server| server.frame_max);
                let (delivery, info) = accept(*delivery, id, frame_max);
                return Some(FromBroker::Delivered(delivery, info));
            }
            Some((id, _)) => return Some(FromBroker::CancelledByBroker(id)),
            None => {}
        }
        let next = self.next_replies.pop_front()?;
        Some(match next {
            Reply::Connected {
                queue,
                server,
                channel_end,
                acknowledger,
                cutter,
                pulse,
            } => {
                self.queue = queue;
                self.server = Some(server);
                self.channel_end = Some(channel_end);
                self.acknowledger = Some(acknowledger);
                self.cutter = Some(cutter);
                self.pulse = Some(pulse);
                connected(server)
            }
            Reply::Subscribed(id, deliveries) => {
                self.sources.insert(id, deliveries);
                FromBroker::Subscribed(id)
            }
            Reply::Unsubscribed(id) => {
                self.sources.remove(&id);
                FromBroker::Unsubscribed(id)
            }
            Reply::FoundOut => return self.next(accept),
            Reply::Other(event) => event,
        })
    }

    /// Whether a delivery waits until it is known what the queue is. It is lost with its connection.
    fn waits_for_finding(&mut self) -> bool {
        let is_end = |reply: &Reply| {
            matches!(
                reply,
                Reply::Other(FromBroker::Lost(_) | FromBroker::Closed)
            )
        };
        if self.next_replies.iter().any(is_end) && !self.beginning.is_known() {
            self.in_question = None;
        }
        self.in_question.is_some() && !self.beginning.is_known()
    }

    /// The next delivery, or the cancel by the broker.
    fn next_arrival(&mut self) -> Option<(SubscriptionId, Arrival)> {
        if let Some((id, delivery)) = self.in_question.take() {
            return Some((id, Arrival::Delivery(delivery)));
        }
        let mut ended = None;
        let mut found = None;
        self.sources.retain(|id, source| {
            if found.is_some() {
                return true;
            }
            match source.next_arrival() {
                Some(Arrival::Closed(error)) => ended = Some(Some(error)),
                Some(Arrival::Broken) => ended = Some(None),
                Some(Arrival::Ended) => return false, // nothing follows
                Some(arrival) => {
                    let is_cancelled = matches!(arrival, Arrival::Cancelled);
                    found = Some((*id, arrival));
                    return !is_cancelled;
                }
                None => {}
            }
            ended.is_none()
        });
        if found.is_some() {
            return found;
        }
        if ended.is_none() && self.channel_end.as_ref().is_some_and(ChannelEnd::has_ended) {
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
    own_queue: OwnQueue,
    beginning: Beginning,
    waker: Waker,
    requests: Receiver<Request>,
    replies: WakingSender<Reply>,
}

impl ConnectionThread {
    fn work(&self, pause: Duration) {
        thread::sleep(pause);
        match Session::open_with_prefetch(&self.connect, self.options.prefetch) {
            Ok(session) => self.use_session(session, None),
            Err(error) => self.tell(Reply::Other(FromBroker::Lost(failure(&error, None)))),
        }
    }

    fn tell(&self, reply: Reply) {
        // The loop may have gone on to another connection.
        let _ = self.replies.send(reply);
    }

    /// Uses a session to its end. `refused`: why the queue was refused before on another session.
    fn use_session(&self, session: Session, refused: Option<Error>) {
        let server = session.server();
        let used = match (self.prepare(&session), refused) {
            (Err(error), None) if self.own_queue.is_to_be_declared_otherwise(&error, server) => {
                drop(session);
                return self.declare_otherwise(error);
            }
            // The first refusal names what was asked for.
            (Err(Error::Refused { .. }), Some(first)) => Err(first),
            (prepared, _) => prepared.and_then(|queue| self.obey(&session, &queue)),
        };
        let closed = match used {
            Ok(is_to_be_closed) if is_to_be_closed => session.close(),
            Ok(_) => return,
            Err(Error::Lost { context, .. }) => Err(session.explain_end(context)),
            Err(error) => Err(error),
        };
        self.tell(Reply::Other(match closed {
            Ok(()) => FromBroker::Closed,
            Err(error) => FromBroker::Lost(failure(&error, Some(server))),
        }));
    }

    /// The broker has closed the session together with its refusal.
    fn declare_otherwise(&self, refused: Error) {
        match Session::open_with_prefetch(&self.connect, self.options.prefetch) {
            Ok(session) => self.use_session(session, Some(refused)),
            Err(error) => self.tell(Reply::Other(FromBroker::Lost(failure(&error, None)))),
        }
    }

    fn prepare(&self, session: &Session) -> broker::Result<String> {
        session.wake_on_arrival(&self.waker);
        let queue = self.own_queue.prepare(session, &self.options.source)?;
        if let Some(park) = &self.options.failure.park {
            // A missing parking queue is an error now, not when the first message is parked.
            session.look_at_queue(park)?;
        }
        for time in self.options.failure.retry_times() {
            let waiting = waiting_queue::declaration(&queue, time, session.server());
            session.declare_queue(&waiting)?;
        }
        if let Some(target) = self.options.output_target() {
            look_at(session, target)?;
        }
        if self.options.limit == Some(0) {
            self.take_nothing(session, &queue)?;
        }
        if let Some(end) = self.beginning.look(&self.connect, &queue)? {
            self.tell(Reply::Other(FromBroker::StreamEndsAt(end)));
        }
        self.tell(Reply::Connected {
            queue: queue.clone(),
            server: session.server(),
            channel_end: session.channel_end()?,
            acknowledger: session.acknowledger(),
            cutter: session.cutter(),
            pulse: session.pulse(),
        });
        Ok(queue)
    }

    /// The run takes no message. A queue of its own is to end with it, and does so with its last consumer.
    fn take_nothing(&self, session: &Session, queue: &str) -> broker::Result<()> {
        match self.options.source {
            SourceQueue::Existing(_) => session.look_at_queue(queue).map(drop),
            SourceQueue::Declared { .. } => session
                .subscribe(queue, &self.options.subscription)?
                .cancel(),
        }
    }

    /// Serves requests. True: the session is to be closed, false: it is abandoned.
    fn obey(&self, session: &Session, queue: &str) -> broker::Result<bool> {
        let mut subscriptions = BTreeMap::new();
        for request in &self.requests {
            match request {
                Request::Close => return Ok(true),
                Request::Explain(error) => return Err(error.unwrap_or_else(broken)),
                request => self.carry_out(request, session, queue, &mut subscriptions)?,
            }
        }
        Ok(false)
    }

    /// What a count of ready messages says.
    fn counted(&self, queue: &str, count: u32) -> FromBroker {
        let is_unread_stream = || {
            let found = self.beginning.find_out(&self.connect, queue);
            found.is_ok_and(|is_stream| is_stream)
        };
        // A stream that was filled lately counts 0 messages for some seconds. If messages have come, it is known what the queue is.
        if count == 0 && !self.beginning.is_known() && is_unread_stream() {
            FromBroker::UnreadStream
        } else {
            FromBroker::Ready(count)
        }
    }

    fn carry_out<'session>(
        &self,
        request: Request,
        session: &'session Session,
        queue: &str,
        subscriptions: &mut BTreeMap<SubscriptionId, Subscription<'session>>,
    ) -> broker::Result<()> {
        match request {
            Request::Subscribe(number, offset) => {
                let how = self.beginning.from(&self.options.subscription, offset);
                let subscribed = session.subscribe(queue, &how)?;
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
            Request::CountReady => {
                let count = session.look_at_queue(queue)?.messages;
                self.tell(Reply::Other(self.counted(queue, count)));
            }
            Request::Settle(unsettled, settlement) => settle(session, unsettled, settlement)?,
            Request::FindOut => {
                self.beginning.find_out(&self.connect, queue)?;
                self.tell(Reply::FoundOut);
            }
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

fn look_at(session: &Session, target: &OutputTarget) -> broker::Result<()> {
    if target.exchange.is_empty() {
        session.look_at_queue(&target.routing_key).map(drop)
    } else {
        session.look_at_exchange(&target.exchange)
    }
}

fn connected(server: Server) -> FromBroker {
    let drops = server.is_rabbitmq && server.major >= 4;
    FromBroker::Connected {
        delivery_limit: drops.then_some(DELIVERY_LIMIT),
        prefetch_of_channel: !server.is_rabbitmq,
    }
}

fn broken() -> Error {
    Error::Lost {
        context: "basic.consume",
        reason: "the connection is closed".to_owned(),
    }
}

/// The failure, with advice where the error does not explain itself.
fn failure(error: &Error, server: Option<Server>) -> ConnectionFailure {
    let is_too_late = is_delivery_timeout(error);
    let reason = if is_too_late {
        format!("{error}\n{}", advice_about_time(server))
    } else {
        error.to_string()
    };
    // Connecting has already been retried.
    let is_transient = error.is_transient() && !matches!(error, Error::GaveUp { .. });
    ConnectionFailure {
        reason,
        is_transient: is_transient || is_too_late,
    }
}

/// What to do where the broker takes deliveries back that are not settled in time
/// (<https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>).
fn advice_about_time(server: Option<Server>) -> String {
    let elsewhere = match server.map(|server| (server.major, server.minor)) {
        Some(release) if release < (3, 12) => "",
        Some(release) if release < (4, 3) => ", or x-consumer-timeout of the queue",
        _ => {
            ", or x-consumer-timeout of the queue, or --consumer-argument x-consumer-timeout=MILLISECONDS"
        }
    };
    format!(
        "The broker takes a message back that is not acknowledged in time. Raise its consumer_timeout (30 minutes unless \
         set){elsewhere}, in milliseconds, above what a command may take, or bound that with --timeout. With -c, a failed \
         message is held until the tool ends: a smaller count, or --idle-timeout, ends it sooner."
    )
}

/// Whether the broker took back a delivery that was not settled in time, by closing the channel. RabbitMQ 4.3 does so where the
/// consumer was cancelled already.
fn is_delivery_timeout(error: &Error) -> bool {
    matches!(error, Error::Refused { text, .. } if text.contains("delivery acknowledgement"))
}

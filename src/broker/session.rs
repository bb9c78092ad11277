//! One connection with one channel. Opening and closing have deadlines.

use std::io::Write;
use std::net::TcpStream;
use std::panic;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use amiquip::{AmqpValue, Channel, Connection, ConnectionBlockedNotification};
use crossbeam_channel::{Receiver, Select};

use super::connect::endpoint::{ConnectOptions, Endpoint};
use super::connect::first_call::FirstCall;
use super::connect::login::log_in;
use super::connect::{resolve, retry};
use super::error::{Error, Result};
use super::pulse::Pulse;
use super::transport::connection_events::ConnectionEvents;
use super::transport::deadline::{Cutter, Deadline, deadline_in};
use super::transport::frame::PROTOCOL_HEADER;
use super::transport::silence::HeartbeatLimit;
use super::transport::socket::Socket;
use super::transport::stream::{BrokerStream, WireSender};
use crate::system::waker::Waker;

/// How long the broker may take to answer the close of a connection or a channel.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

const CLOSING: &str = "closing connection";

/// Whether the broker takes what is published (memory or disk alarm).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockedNotice {
    /// It takes nothing, for this reason (connection.blocked).
    Blocked(String),
    /// It takes messages again (connection.unblocked).
    Unblocked,
}

/// Where [`BlockedNotice`]s arrive.
pub struct BlockedNotices(Receiver<ConnectionBlockedNotification>);

/// What the broker says about itself (connection.start).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Whether it says that it is `RabbitMQ`.
    pub is_rabbitmq: bool,
    /// The first number of its version, or 0.
    pub major: u32,
    /// The second number of its version, or 0.
    pub minor: u32,
    /// The largest frame that can be sent to it, in bytes.
    pub frame_max: usize,
}

/// An open connection to a broker, with one channel that everything is done on.
///
/// A session that is dropped without [`Session::close`] is closed too, but errors are lost.
pub struct Session {
    // Dropped after `connection` has been closed, so that it needs no round trip of its own.
    channel: Channel,
    connection: Option<Connection>,
    deadline: Deadline,
    events: ConnectionEvents,
    sender: WireSender,
    heartbeat_limit: HeartbeatLimit,
    /// The heartbeat interval that was asked for, in seconds.
    heartbeat: u16,
}

impl Session {
    /// Connects to the first node that answers and opens a channel. After a session on one node, the next begins
    /// with another.
    pub fn open(options: &ConnectOptions) -> Result<Session> {
        Session::open_sending(options, None)
    }

    /// The same, with this method sent together with channel.open. Its call must be made next: nothing may come between the
    /// method and the call that its answer belongs to.
    pub(super) fn open_sending(
        options: &ConnectOptions,
        first_call: Option<&FirstCall>,
    ) -> Result<Session> {
        keep_amiquips_panics_quiet();
        retry::connect(options, |endpoint| {
            open_endpoint(endpoint, options.heartbeat_limit(), first_call)
        })
    }

    /// Closes the connection. `Ok` means that the broker has handled all that was sent before, acknowledgements included,
    /// and has refused none of it.
    pub fn close(mut self) -> Result<()> {
        self.shut()?;
        self.last_objection()
    }

    /// Cuts the connection and waits for nothing. amiquip's memory of it stays until the process ends.
    pub fn abandon(self) {
        self.cutter().cut_at(Instant::now());
        std::mem::forget(self);
    }

    /// Why a session ended. Call it when the channel has ended without an error that says why.
    #[must_use]
    pub fn explain_end(mut self, context: &'static str) -> Error {
        let shut = self.shut();
        match self.last_objection().and(shut) {
            Err(Error::Lost { reason, .. }) => Error::Lost { context, reason },
            Err(Error::Refused {
                scope, code, text, ..
            }) => Error::Refused {
                context,
                scope,
                code,
                text,
            },
            Err(error) => error,
            Ok(()) => Error::Lost {
                context,
                reason: "the connection is closed".to_owned(),
            },
        }
    }

    /// The broker's notices that it stops and resumes taking what is published.
    pub fn blocked_notices(&mut self) -> Result<BlockedNotices> {
        self.connection_call("connection.blocked", |connection| {
            connection.listen_for_connection_blocked()
        })
        .map(BlockedNotices)
    }

    /// Has `waker` called whenever something has come from the broker, from here on.
    pub fn wake_on_arrival(&self, waker: &Waker) {
        self.events.wake_on_arrival(waker);
    }

    /// The means to end the connection while this thread is waiting for the broker.
    #[must_use]
    pub fn cutter(&self) -> Cutter {
        self.deadline.cutter()
    }

    /// Converts an error of amiquip's. `context` is what was being done.
    pub(super) fn failure(&self, context: &'static str, error: amiquip::Error) -> Error {
        match error {
            amiquip::Error::ServerClosedChannel { .. }
            | amiquip::Error::ServerClosedConnection { .. } => Error::from_amiquip(context, error),
            _ if self.deadline.has_passed() => Error::Lost {
                context,
                reason: "the broker did not answer in time".to_owned(),
            },
            // amiquip gives the reason only once its thread has been joined.
            error => match (self.events.refusal(context), self.events.disconnect()) {
                (Some(refusal), _) => refusal,
                (None, Some(disconnect)) => Error::Lost {
                    context,
                    reason: disconnect.reason(),
                },
                (None, None) => Error::from_amiquip(context, error),
            },
        }
    }

    /// The broker's signs of life, for another thread.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse {
            events: self.events.clone(),
            heartbeat: self.events.heartbeat(self.heartbeat),
        }
    }

    pub(super) fn events(&self) -> &ConnectionEvents {
        &self.events
    }

    /// Sends past amiquip.
    pub(super) fn sender(&self) -> &WireSender {
        &self.sender
    }

    /// What the broker says about itself.
    #[must_use]
    pub fn server(&self) -> Server {
        let properties = self.connection.as_ref().map(Connection::server_properties);
        let text = |name| match properties.and_then(|properties| properties.get(name)) {
            Some(AmqpValue::LongString(text)) => text.clone(),
            _ => String::new(),
        };
        let version = text("version");
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        Server {
            is_rabbitmq: text("product") == "RabbitMQ",
            major: numbers.next().unwrap_or(0),
            minor: numbers.next().unwrap_or(0),
            frame_max: usize::try_from(self.events.frame_max()).unwrap_or(usize::MAX),
        }
    }

    /// Waits while enough messages wait to be sent.
    pub(super) fn wait_for_room(&self) {
        self.events.wait_for_room();
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Does something on the channel. `context` is the method, as errors name it.
    pub(super) fn call<'session, T>(
        &'session self,
        context: &'static str,
        call: impl FnOnce(&'session Channel) -> amiquip::Result<T>,
    ) -> Result<T> {
        call(&self.channel).map_err(|error| self.failure(context, error))
    }

    fn connection_call<T>(
        &mut self,
        context: &'static str,
        call: impl FnOnce(&mut Connection) -> amiquip::Result<T>,
    ) -> Result<T> {
        let result = match self.connection.as_mut() {
            Some(connection) => call(connection),
            None => Err(amiquip::Error::ClientClosedConnection),
        };
        result.map_err(|error| self.failure(context, error))
    }

    /// Opens a new channel in the place of the present one, which is returned.
    pub(super) fn replace_channel(&mut self) -> Result<Channel> {
        let next =
            self.connection_call("channel.open", |connection| connection.open_channel(None))?;
        Ok(std::mem::replace(&mut self.channel, next))
    }

    /// Makes a call with a deadline. The connection is cut when it passes.
    pub(super) fn bounded<T>(&self, call: impl FnOnce() -> T) -> T {
        self.deadline.bound(deadline_in(CLOSE_LIMIT), call)
    }

    fn shut(&mut self) -> Result<()> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        self.bounded(|| connection.close())
            .map_err(|error| match error {
                _ if self.deadline.has_passed() => Error::Lost {
                    context: CLOSING,
                    reason: format!("no answer within {CLOSE_LIMIT:?}"),
                },
                error => self.failure(CLOSING, error),
            })
    }

    /// The error that the broker closed the channel with, if it did. The connection must be closed already.
    fn last_objection(&self) -> Result<()> {
        // The connection is closed, so nothing is sent. amiquip returns the error that the channel ended with.
        match self.channel.enable_publisher_confirms_nowait() {
            Err(error @ amiquip::Error::ServerClosedChannel { .. }) => {
                Err(Error::from_amiquip("closing channel", error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Session::close reports errors; a drop cannot.
        let _ = self.shut();
        if let Some(silence) = self.events.silence_before_end()
            && !self.deadline.has_passed()
        {
            self.heartbeat_limit.learn(silence);
        }
    }
}

impl BlockedNotices {
    /// The next notice, without waiting.
    #[must_use]
    pub fn try_next(&self) -> Option<BlockedNotice> {
        Some(match self.0.try_recv().ok()? {
            ConnectionBlockedNotification::Blocked(reason) => BlockedNotice::Blocked(reason),
            ConnectionBlockedNotification::Unblocked => BlockedNotice::Unblocked,
        })
    }

    /// Has `select` wait for the next one.
    pub fn add_to<'select>(&'select self, select: &mut Select<'select>) {
        select.recv(&self.0);
    }
}

fn open_endpoint(
    endpoint: &Endpoint,
    heartbeat_limit: &HeartbeatLimit,
    first_call: Option<&FirstCall>,
) -> Result<Session> {
    let limit = deadline_in(endpoint.connect_timeout);
    resolve::open_at_some_address(endpoint, limit, |tcp| {
        open_over(tcp, endpoint, heartbeat_limit, limit, first_call)
    })
}

fn open_over(
    tcp: TcpStream,
    endpoint: &Endpoint,
    heartbeat_limit: &HeartbeatLimit,
    limit: Instant,
    first_call: Option<&FirstCall>,
) -> Result<Session> {
    let broken = |error: std::io::Error| Error::unreachable(endpoint, &error);
    let tls = endpoint.transport.tls();
    // Sent now, so that the broker is at work while amiquip makes itself ready. If it cannot be sent, amiquip finds out how.
    let is_greeted = tls.is_none() && (&tcp).write_all(&PROTOCOL_HEADER).is_ok();
    let deadline = Deadline::unset().map_err(broken)?;
    let events = ConnectionEvents::default();
    let heartbeat = heartbeat_limit.applied_to(endpoint.heartbeat);
    let opened = deadline.bound(limit, || {
        let address = endpoint.to_string();
        let socket = Socket::over(tcp, tls, &endpoint.host, &address, &deadline)?;
        let first_frame = first_call.map(FirstCall::frame);
        let stream = BrokerStream::over(
            socket,
            is_greeted,
            first_frame,
            deadline.clone(),
            events.clone(),
        );
        let sender = stream.sender();
        let opened = log_in(stream, endpoint, heartbeat, &events, first_call)?;
        Ok((opened, sender))
    });
    match opened {
        Ok(((connection, channel), sender)) => Ok(Session {
            channel,
            connection: Some(connection),
            deadline,
            events,
            sender,
            heartbeat_limit: heartbeat_limit.clone(),
            heartbeat,
        }),
        Err(_) if deadline.has_passed() => Err(resolve::timed_out(endpoint)),
        Err(error) => Err(error),
    }
}

/// A panic of amiquip's I/O thread is reported as an error, so its message is not printed too.
fn keep_amiquips_panics_quiet() {
    const IO_THREAD: Option<&str> = Some("amiquip-io");
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if thread::current().name() != IO_THREAD {
                usual(panic);
            }
        }));
    });
}

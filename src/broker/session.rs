//! One connection with one channel: opened within a deadline, closed within another.

use std::net::TcpStream;
use std::panic;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use amiquip::{AmqpValue, Channel, Connection, ConnectionBlockedNotification};
use crossbeam_channel::Receiver;

use super::dial;
use super::endpoint::{ConnectOptions, Endpoint, Transport};
use super::error::{Error, Result};
use super::first_call::EarlyMethod;
use super::head_start::HeadStart;
use super::introduction::Introduction;
use super::login::log_in;
use super::retry;
use super::silence::HeartbeatLimit;
use super::stream::BrokerStream;
use super::watchdog::{Cutter, Watchdog, deadline_in};
use super::witness::Witness;
use crate::doorbell::Doorbell;
use crate::reason::reason;

/// How long the broker may take to answer the end of a connection, or of a subscription.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

const CLOSING: &str = "closing connection";

/// A broker's own account of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Whether it says that it is `RabbitMQ`.
    pub is_rabbitmq: bool,
    /// The first number of its version, or 0.
    pub major: u32,
    /// The largest frame that can be sent to it, in bytes.
    pub frame_max: usize,
}

/// An open connection to a broker, with one channel that everything is done on.
///
/// Dropped without [`Session::close`], it is closed all the same, but nobody learns how that went.
pub struct Session {
    // Dropped after `connection` has been closed, so that it needs no round trip of its own.
    channel: Channel,
    connection: Option<Connection>,
    watchdog: Watchdog,
    witness: Witness,
    heartbeat_limit: HeartbeatLimit,
}

impl Session {
    /// Connects to the first node that answers and opens a channel. After a session on one node, the next begins
    /// with another.
    pub fn open(options: &ConnectOptions) -> Result<Session> {
        Session::open_sending(options, None)
    }

    /// The same, with the `early` method sent together with channel.open. Its call must be made next.
    pub(super) fn open_sending(
        options: &ConnectOptions,
        early: Option<&EarlyMethod>,
    ) -> Result<Session> {
        keep_amiquips_panics_quiet();
        retry::connect(options, |endpoint| {
            open_endpoint(endpoint, options.heartbeat_limit(), early)
        })
    }

    /// Closes the connection. `Ok` means that the broker has taken in all that was sent before, acknowledgements
    /// too, and objected to none of it.
    pub fn close(mut self) -> Result<()> {
        self.shut()?;
        self.last_objection()
    }

    /// Cuts the connection and waits for nothing. What amiquip has of it stays until the process ends.
    pub fn abandon(self) {
        self.cutter().cut_at(Instant::now());
        std::mem::forget(self);
    }

    /// Why a session that no longer works ended. Call it when a channel of the session has fallen silent.
    #[must_use]
    pub fn autopsy(mut self, context: &'static str) -> Error {
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

    /// What the broker says when it stops and resumes taking what is published (memory or disk alarm).
    pub fn blocked_notices(&mut self) -> Result<Receiver<BlockedNotice>> {
        let Some(connection) = self.connection.as_mut() else {
            return Err(Error::from_amiquip(
                "connection.blocked",
                amiquip::Error::ClientClosedConnection,
            ));
        };
        connection
            .listen_for_connection_blocked()
            .map_err(|error| Error::from_amiquip("connection.blocked", error))
    }

    /// Has `doorbell` rung whenever something has come from the broker, from here on.
    pub fn ring_for_news(&self, doorbell: &Doorbell) {
        self.witness.ring_for_news(doorbell);
    }

    /// The means to end the connection while this thread is waiting for the broker.
    #[must_use]
    pub fn cutter(&self) -> Cutter {
        self.watchdog.cutter()
    }

    /// What an error of amiquip's means that came while `context` was being done.
    pub(super) fn failure(&self, context: &'static str, error: amiquip::Error) -> Error {
        match error {
            amiquip::Error::ServerClosedChannel { .. }
            | amiquip::Error::ServerClosedConnection { .. } => Error::from_amiquip(context, error),
            _ if self.watchdog.has_cut() => Error::Lost {
                context,
                reason: "the broker did not answer in time".to_owned(),
            },
            // amiquip knows why only once its thread has been joined.
            error => match (self.witness.refusal(context), self.witness.end()) {
                (Some(refusal), _) => refusal,
                (None, Some(end)) => Error::Lost {
                    context,
                    reason: end.reason(),
                },
                (None, None) => Error::from_amiquip(context, error),
            },
        }
    }

    pub(super) fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Which broker this is, as it says itself.
    #[must_use]
    pub fn server(&self) -> Server {
        let properties = self.connection.as_ref().map(Connection::server_properties);
        let text = |name| match properties.and_then(|properties| properties.get(name)) {
            Some(AmqpValue::LongString(text)) => text.clone(),
            _ => String::new(),
        };
        let version = text("version");
        Server {
            is_rabbitmq: text("product") == "RabbitMQ",
            major: version
                .split('.')
                .next()
                .and_then(|major| major.parse().ok())
                .unwrap_or(0),
            frame_max: usize::try_from(self.witness.frame_max()).unwrap_or(usize::MAX),
        }
    }

    /// Waits while a broker that takes no messages (channel.flow) has enough to take later.
    pub(super) fn wait_for_room(&self) {
        self.witness.wait_for_room();
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Opens a new channel in the place of the present one, which it gives.
    pub(super) fn replace_channel(&mut self) -> Result<Channel> {
        const CONTEXT: &str = "channel.open";
        let Some(connection) = self.connection.as_mut() else {
            return Err(Error::from_amiquip(
                CONTEXT,
                amiquip::Error::ClientClosedConnection,
            ));
        };
        match connection.open_channel(None) {
            Ok(next) => Ok(std::mem::replace(&mut self.channel, next)),
            Err(error) => Err(self.failure(CONTEXT, error)),
        }
    }

    /// Does a call that must not wait for a stalled broker; the connection is cut if it takes too long.
    pub(super) fn bounded<T>(&self, call: impl FnOnce() -> T) -> T {
        self.watchdog.guard_for(CLOSE_LIMIT, call)
    }

    fn shut(&mut self) -> Result<()> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        self.watchdog
            .guard_for(CLOSE_LIMIT, || connection.close())
            .map_err(|error| match error {
                _ if self.watchdog.has_cut() => Error::Lost {
                    context: CLOSING,
                    reason: format!("no answer within {CLOSE_LIMIT:?}"),
                },
                error => self.failure(CLOSING, error),
            })
    }

    /// The error that the broker closed the channel with, if it did. The connection must be closed already.
    fn last_objection(&self) -> Result<()> {
        // Nothing can be sent any more; amiquip answers with the first thing that it was told of the channel's end.
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
        // Whoever wanted to know how it went called close().
        let _ = self.shut();
        if let Some(silence) = self.witness.silence_before_end()
            && !self.watchdog.has_cut()
        {
            self.heartbeat_limit.learn(silence);
        }
    }
}

/// Whether the broker takes what is published.
pub type BlockedNotice = ConnectionBlockedNotification;

fn open_endpoint(
    endpoint: &Endpoint,
    heartbeat_limit: &HeartbeatLimit,
    early: Option<&EarlyMethod>,
) -> Result<Session> {
    let deadline = deadline_in(endpoint.connect_timeout);
    dial::open_at_some_address(endpoint, deadline, |socket| {
        open_over(socket, endpoint, heartbeat_limit, deadline, early)
    })
}

fn open_over(
    socket: TcpStream,
    endpoint: &Endpoint,
    heartbeat_limit: &HeartbeatLimit,
    deadline: Instant,
    early: Option<&EarlyMethod>,
) -> Result<Session> {
    let broken = |error: std::io::Error| Error::Unreachable {
        address: endpoint.to_string(),
        reason: reason(&error),
    };
    let introduction = match endpoint.transport {
        Transport::Tcp => Introduction::begun_on(&socket),
        Transport::Tls(_) => Introduction::default(),
    };
    let watchdog = Watchdog::over(socket.try_clone().map_err(broken)?).map_err(broken)?;
    let witness = Witness::default();
    let opened = watchdog.guard(deadline, || {
        let head_start = HeadStart::with(early.map(EarlyMethod::frame));
        let stream =
            BrokerStream::over(socket, endpoint, introduction, head_start, witness.clone())?;
        let heartbeat = heartbeat_limit.applied_to(endpoint.heartbeat);
        log_in(stream, endpoint, heartbeat, &witness, early)
    });
    match opened {
        Ok((connection, channel)) => Ok(Session {
            channel,
            connection: Some(connection),
            watchdog,
            witness,
            heartbeat_limit: heartbeat_limit.clone(),
        }),
        Err(_) if watchdog.has_cut() => Err(dial::timed_out(endpoint)),
        Err(error) => Err(error),
    }
}

/// A panic of amiquip's I/O thread becomes an error; its message would only stand beside that.
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

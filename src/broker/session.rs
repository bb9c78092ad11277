//! One connection with one channel: opened within a deadline, closed within another.

use std::time::Duration;

use amiquip::{
    Auth, Channel, Connection, ConnectionBlockedNotification, ConnectionOptions, ConnectionTuning,
};
use crossbeam_channel::Receiver;

use super::credentials::Authentication;
use super::dial;
use super::endpoint::{ConnectOptions, Endpoint};
use super::error::{Error, LOGGING_IN, Result, describe};
use super::retry;
use super::stream::BrokerStream;
use super::watchdog::{Cutter, Watchdog, deadline_in};

/// How long the broker may take to answer the end of a connection, or of a subscription.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// How many frames may wait for amiquip's I/O thread; 256 instead of 16 publishes about a tenth faster.
const FRAMES_IN_MEMORY: usize = 256;

const CLOSING: &str = "closing connection";

/// An open connection to a broker, with one channel that everything is done on.
///
/// Dropped without [`Session::close`], it is closed all the same, but nobody learns how that went.
pub struct Session {
    // Dropped after `connection` has been closed, so that it needs no round trip of its own.
    channel: Channel,
    connection: Option<Connection>,
    watchdog: Watchdog,
}

impl Session {
    /// Connects to the first node that answers and opens a channel. After a session on one node, the next begins
    /// with another.
    pub fn open(options: &ConnectOptions) -> Result<Session> {
        retry::connect(options, open_endpoint)
    }

    /// Closes the connection. `Ok` means that the broker has taken in all that was sent before, acknowledgements
    /// too, and objected to none of it.
    pub fn close(mut self) -> Result<()> {
        self.shut()?;
        self.last_objection()
    }

    /// Why a session that no longer works ended. Call it when a channel of the session has fallen silent.
    #[must_use]
    pub fn autopsy(mut self, context: &'static str) -> Error {
        let shut = self.shut();
        match self.last_objection().and(shut) {
            Err(Error::Lost { reason, .. }) => Error::Lost { context, reason },
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

    /// The means to end the connection while this thread is waiting for the broker.
    #[must_use]
    pub fn cutter(&self) -> Cutter {
        self.watchdog.cutter()
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
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
                error => Error::from_amiquip(CLOSING, error),
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
    }
}

/// Whether the broker takes what is published.
pub type BlockedNotice = ConnectionBlockedNotification;

fn open_endpoint(endpoint: &Endpoint) -> Result<Session> {
    let deadline = deadline_in(endpoint.connect_timeout);
    let socket = dial::connect(endpoint, deadline)?;
    let broken = |error: std::io::Error| Error::Unreachable {
        address: endpoint.to_string(),
        reason: error.to_string(),
    };
    let watchdog = Watchdog::over(socket.try_clone().map_err(broken)?).map_err(broken)?;
    let opened = watchdog.guard(deadline, || {
        let stream = BrokerStream::over(socket, endpoint)?;
        log_in(stream, endpoint)
    });
    match opened {
        Ok((connection, channel)) => Ok(Session {
            channel,
            connection: Some(connection),
            watchdog,
        }),
        Err(_) if watchdog.has_cut() => Err(dial::timed_out(endpoint)),
        Err(error) => Err(error),
    }
}

fn log_in(stream: BrokerStream, endpoint: &Endpoint) -> Result<(Connection, Channel)> {
    let auth = match &endpoint.authentication {
        Authentication::Plain(credentials) => Auth::Plain {
            username: credentials.username.clone(),
            password: credentials.password.clone(),
        },
        Authentication::External => Auth::External,
    };
    let options = ConnectionOptions::default()
        .auth(auth)
        .virtual_host(&endpoint.vhost)
        .heartbeat(endpoint.heartbeat);
    let tuning = ConnectionTuning::default().mem_channel_bound(FRAMES_IN_MEMORY);
    let mut connection = Connection::insecure_open_stream(stream, options, tuning)
        .map_err(|error| login_error(endpoint, error))?;
    let channel = connection
        .open_channel(None)
        .map_err(|error| Error::from_amiquip("channel.open", error))?;
    Ok((connection, channel))
}

/// What a failed handshake means. A broker that refuses a password says nothing and hangs up, unless the client
/// asks it to (which amiquip does not): amiquip tells that from the moment at which it happens.
fn login_error(endpoint: &Endpoint, error: amiquip::Error) -> Error {
    match error {
        amiquip::Error::InvalidCredentials => Error::Login(match &endpoint.authentication {
            Authentication::Plain(credentials) => format!(
                "ACCESS_REFUSED - the broker refused user '{}'; check the user name and the password",
                credentials.username
            ),
            Authentication::External => {
                "ACCESS_REFUSED - the broker refused the client certificate's user".to_owned()
            }
        }),
        amiquip::Error::UnsupportedAuthMechanism {
            available,
            requested,
        } => Error::Login(format!(
            "the broker does not offer {requested}, only {available}"
        )),
        error @ amiquip::Error::ServerClosedConnection { .. } => {
            Error::from_amiquip(LOGGING_IN, error)
        }
        other => Error::Unreachable {
            address: endpoint.to_string(),
            reason: describe(&other),
        },
    }
}

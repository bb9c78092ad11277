//! The AMQP handshake over a stream: who we say we are, and what it means when the broker does not like it.

use amiquip::{Auth, Channel, Connection, ConnectionOptions, ConnectionTuning, Sasl};

use super::credentials::{Authentication, Credentials};
use super::endpoint::Endpoint;
use super::first_call::FirstCall;
use crate::broker::error::{Error, LOGGING_IN, Result, describe};
use crate::broker::transport::connection_events::{ConnectionEvents, Disconnect};
use crate::broker::transport::stream::BrokerStream;

const EXTERNAL: &str = "EXTERNAL";

/// Logs in and opens a channel; `first_call` is sent together with that. `heartbeat` is the interval to ask for, in seconds;
/// `events` are the stream's.
pub(in crate::broker) fn log_in(
    stream: BrokerStream,
    endpoint: &Endpoint,
    heartbeat: u16,
    events: &ConnectionEvents,
    first_call: Option<&FirstCall>,
) -> Result<(Connection, Channel)> {
    let login = Login {
        authentication: endpoint.authentication.clone(),
        events: events.clone(),
    };
    let options = ConnectionOptions::default()
        .auth(login)
        .virtual_host(&endpoint.vhost)
        .channel_max(endpoint.channel_max)
        .frame_max(events.limit_frames(endpoint.frame_max))
        .heartbeat(heartbeat)
        // Our client properties take the name from there.
        .information(Some(endpoint.connection_name.clone()));
    let failure = |error| failure(endpoint, events, first_call, error);
    let mut connection =
        Connection::insecure_open_stream(stream, options, ConnectionTuning::default())
            .map_err(failure)?;
    let channel = connection.open_channel(None).map_err(failure)?;
    Ok((connection, channel))
}

/// The SASL exchange, of one message. amiquip asks for it once the events tell what the broker offers.
#[derive(Clone)]
struct Login {
    authentication: Authentication,
    events: ConnectionEvents,
}

impl Login {
    /// What amiquip is to send, in its own terms.
    fn chosen(&self) -> Auth {
        match &self.authentication {
            Authentication::External => Auth::External,
            Authentication::ExternalIfOffered(_) if self.events.is_offered(EXTERNAL) => {
                Auth::External
            }
            Authentication::Plain(credentials) | Authentication::ExternalIfOffered(credentials) => {
                Auth::Plain {
                    username: credentials.username.clone(),
                    password: credentials.password.clone(),
                }
            }
        }
    }
}

impl Default for Login {
    fn default() -> Self {
        Login {
            authentication: Authentication::Plain(Credentials::default()),
            events: ConnectionEvents::default(),
        }
    }
}

impl Sasl for Login {
    fn mechanism(&self) -> String {
        self.chosen().mechanism()
    }

    fn response(&self) -> String {
        self.chosen().response()
    }
}

/// What a failed handshake means.
fn failure(
    endpoint: &Endpoint,
    events: &ConnectionEvents,
    first_call: Option<&FirstCall>,
    error: amiquip::Error,
) -> Error {
    let context = first_call
        .and_then(|first_call| first_call.context_if_refused(events))
        .unwrap_or(LOGGING_IN);
    if let Some(refusal) = events.refusal(context) {
        return refusal;
    }
    let address = endpoint.to_string();
    match (error, events.disconnect()) {
        (_, Some(Disconnect::NotAmqp(reason))) => Error::Unsuitable { address, reason },
        (
            amiquip::Error::UnsupportedAuthMechanism {
                available,
                requested,
            },
            _,
        ) => Error::Login(format!(
            "the broker does not offer {requested}, only {available}"
        )),
        // amiquip's guess, from the moment at which the broker hung up. RabbitMQ says so when it refuses a login.
        (amiquip::Error::InvalidCredentials, Some(Disconnect::Closed { .. })) => {
            Error::Unreachable {
                address,
                reason: "the broker closed the connection during the login, without a reason"
                    .to_owned(),
            }
        }
        (_, Some(Disconnect::Broken(reason) | Disconnect::Closed { reason, .. })) => {
            Error::Unreachable { address, reason }
        }
        (other, None) => Error::Unreachable {
            address,
            reason: describe(&other),
        },
    }
}

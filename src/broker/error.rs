//! Errors of the broker and of the connection to it, in amqp-tools' words, and whether a retry can help.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::reason::reason;

/// The result of asking the broker for something.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done at the broker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: the name does not resolve, the port is closed, the server is silent or hangs up.
    #[error("opening socket to {address}: {reason}")]
    Unreachable {
        /// `HOST:PORT`
        address: String,
        /// Why, for a person.
        reason: String,
    },
    /// There is a server, but not a usable one, and a retry does not help: it does not speak AMQP, or its certificate is not
    /// trusted.
    #[error("opening socket to {address}: {reason}")]
    Unsuitable {
        /// `HOST:PORT`
        address: String,
        /// Why, for a person.
        reason: String,
    },
    /// Several nodes, or addresses of one, were tried. These are their errors.
    #[error("{}", each(.0))]
    NoNode(Vec<Error>),
    /// Retries failed until their time was over.
    #[error("{last} (gave up after {after:?})")]
    GaveUp {
        /// The last error.
        last: Box<Error>,
        /// How long retries lasted.
        after: Duration,
    },
    /// Client and broker have no login mechanism in common. A retry does not help.
    #[error("logging in to AMQP server: {0}")]
    Login(String),
    /// The broker closed the channel or the connection with a reply code (AMQP 0-9-1, section 1.2).
    #[error("{context}: server {scope} error {code}, message: {text}")]
    Refused {
        /// The AMQP method that it answers, or `logging in to AMQP server`.
        context: &'static str,
        /// What the broker closed.
        scope: Scope,
        /// The reply code, such as 404.
        code: u16,
        /// The broker's own words.
        text: String,
    },
    /// The connection broke, or the broker fell silent.
    #[error("{context}: connection lost: {reason}")]
    Lost {
        /// What was being done.
        context: &'static str,
        /// Why, for a person.
        reason: String,
    },
    /// The broker ended the subscription.
    #[error("basic.cancel: the broker cancelled the consumer: {0}")]
    Cancelled(String),
    /// The queue is not the one that was used before.
    #[error("{0}")]
    OtherQueue(String),
    /// A name or a property is longer than AMQP's 255 bytes; nothing was sent.
    #[error("{what} is {length} bytes long; AMQP allows 255")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
    },

    /// A message's properties fill more than a frame, over which the broker would close the connection; nothing was sent.
    #[error(
        "basic.publish: the headers and other properties take {size} bytes, and a frame holds {frame_max}: they are better in the body"
    )]
    HeadersTooLarge {
        /// The size of the frame that they need, in bytes.
        size: usize,
        /// The largest that the broker takes.
        frame_max: u32,
    },
}

/// What the broker closes when it refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The channel: what was asked for cannot be done.
    Channel,
    /// The connection: it may not be asked for, or the broker is going away.
    Connection,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Channel => "channel",
            Scope::Connection => "connection",
        })
    }
}

/// The method that a failed login is reported with.
pub(super) const LOGGING_IN: &str = "logging in to AMQP server";

const SUBSCRIBING: &str = "basic.consume";

/// The broker is shutting down or a node's operator closed the connection (AMQP 0-9-1: connection-forced).
const CONNECTION_FORCED: u16 = 320;
/// The broker itself failed (AMQP 0-9-1: internal-error). RabbitMQ says so where a process that it asks is not there: at login the
/// vhost's, at basic.consume that of a stream or of a quorum queue's leader, while a node starts. RabbitMQ 4.3 also refuses a
/// declaration so, for good.
const INTERNAL_ERROR: u16 = 541;
/// There is no such thing, or RabbitMQ knows the queue and its node is not up.
const NOT_FOUND: u16 = 404;
/// Something is not as asked for, or RabbitMQ knows the stream and its process on the node is not up.
const PRECONDITION_FAILED: u16 = 406;

impl Error {
    /// The same, if the broker refused something, as the answer to this method. The end of a channel is told of whatever is done
    /// on it next.
    #[must_use]
    pub fn in_context(self, context: &'static str) -> Error {
        match self {
            Error::Refused {
                scope, code, text, ..
            } => Error::Refused {
                context,
                scope,
                code,
                text,
            },
            error => error,
        }
    }

    /// There is no connection to `address`, for the system's reason.
    pub(super) fn unreachable(address: impl fmt::Display, error: &io::Error) -> Error {
        Error::Unreachable {
            address: address.to_string(),
            reason: reason(error),
        }
    }

    /// Whether a retry may succeed, on this node or another: the broker is not reachable now, rather than that it refused.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Lost { .. } | Error::GaveUp { .. } => true,
            Error::NoNode(failures) => failures.iter().any(Error::is_transient),
            Error::Refused { scope, code, .. } => {
                let is_forced = (*scope, *code) == (Scope::Connection, CONNECTION_FORCED);
                is_forced || self.is_fault()
            }
            Error::Unsuitable { .. }
            | Error::Login(_)
            | Error::Cancelled(_)
            | Error::OtherQueue(_)
            | Error::TooLong { .. }
            | Error::HeadersTooLarge { .. } => false,
        }
    }

    /// Whether the broker could not do what was asked for now, by a fault of its own. It may be one that stays.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Error::Refused {
                context,
                scope: Scope::Connection,
                code: INTERNAL_ERROR,
                ..
            } => [LOGGING_IN, SUBSCRIBING].contains(context),
            Error::Refused {
                code: NOT_FOUND,
                text,
                ..
            } => text.contains("is down or inaccessible"),
            Error::Refused {
                code: PRECONDITION_FAILED,
                text,
                ..
            } => text.contains("does not have a running replica"),
            _ => false,
        }
    }

    /// Whether what was asked for does not fit what there is.
    #[must_use]
    pub fn says_otherwise(&self) -> bool {
        matches!(
            self,
            Error::Refused {
                code: PRECONDITION_FAILED,
                ..
            }
        ) && !self.is_fault()
    }

    /// Whether another node of the same broker may succeed: this node failed, the request was not refused.
    pub(super) fn is_the_nodes_fault(&self) -> bool {
        self.is_transient() || matches!(self, Error::Unsuitable { .. })
    }

    /// One error for several that happened in turn. Equal ones are named once.
    pub(super) fn of_all(failures: Vec<Error>) -> Error {
        let mut different: Vec<Error> = Vec::new();
        for failure in failures {
            let text = failure.to_string();
            if different.iter().all(|other| other.to_string() != text) {
                different.push(failure);
            }
        }
        match different.pop() {
            Some(only) if different.is_empty() => only,
            last => Error::NoNode(different.into_iter().chain(last).collect()),
        }
    }

    /// What amiquip reported while `context` was being done.
    pub(super) fn from_amiquip(context: &'static str, error: amiquip::Error) -> Error {
        match error {
            amiquip::Error::ServerClosedChannel { code, message, .. } => Error::Refused {
                context,
                scope: Scope::Channel,
                code,
                text: message,
            },
            amiquip::Error::ServerClosedConnection { code, message } => Error::Refused {
                context,
                scope: Scope::Connection,
                code,
                text: message,
            },
            other => Error::Lost {
                context,
                reason: describe(&other),
            },
        }
    }
}

/// amiquip's errors about a broken connection, in words for people who do not know amiquip.
pub(super) fn describe(error: &amiquip::Error) -> String {
    match error {
        amiquip::Error::UnexpectedSocketClose => "the broker closed the connection".to_owned(),
        amiquip::Error::IoErrorReadingSocket { source }
        | amiquip::Error::IoErrorWritingSocket { source } => reason(source),
        amiquip::Error::MissedServerHeartbeats => {
            "no heartbeat from the broker for two intervals".to_owned()
        }
        amiquip::Error::MalformedFrame
        | amiquip::Error::FrameUnexpected
        | amiquip::Error::ReceivedFrameWithBogusChannelId { .. } => {
            "the server sent what AMQP 0-9-1 does not allow".to_owned()
        }
        amiquip::Error::IoThreadPanic => "internal error of the AMQP client".to_owned(),
        amiquip::Error::EventLoopDropped | amiquip::Error::EventLoopClientDropped => {
            "the connection is closed".to_owned()
        }
        other => other.to_string(),
    }
}

fn each(failures: &[Error]) -> String {
    let failures: Vec<String> = failures.iter().map(Error::to_string).collect();
    failures.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(scope: Scope, code: u16, text: &str) -> Error {
        Error::Refused {
            context: "basic.consume",
            scope,
            code,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_fault_of_the_broker_may_pass_and_a_refusal_does_not() {
        let down =
            "NOT_FOUND - home node 'a@b' of durable queue 'q' in vhost '/' is down or inaccessible";
        for fault in [
            refused(Scope::Connection, 541, "INTERNAL_ERROR"),
            refused(Scope::Channel, 404, down),
            refused(
                Scope::Channel,
                406,
                "stream queue 'q' does not have a running replica on the local node",
            ),
        ] {
            assert!(fault.is_fault() && fault.is_transient());
        }
        let missing = "NOT_FOUND - no queue 'q' in vhost '/'";
        for refusal in [
            refused(Scope::Channel, 404, missing),
            refused(
                Scope::Channel,
                406,
                "PRECONDITION_FAILED - inequivalent arg 'durable'",
            ),
            refused(Scope::Connection, 540, "NOT_IMPLEMENTED"),
            refused(Scope::Connection, 541, "INTERNAL_ERROR").in_context("queue.declare"),
        ] {
            assert!(!refusal.is_fault() && !refusal.is_transient());
        }
        let forced = refused(Scope::Connection, 320, "CONNECTION_FORCED");
        assert!(forced.is_transient() && !forced.is_fault());
    }
}

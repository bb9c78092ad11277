//! The edits of amiquip's first frames: what amiquip has no setting for, and what saves round trips.
//!
//! * The protocol header may be sent before amiquip is ready.
//! * connection.start-ok gets client properties of our own: amqp-tools rather than amiquip, the connection's name, and the
//!   capability to be told why a login is refused (<https://www.rabbitmq.com/docs/auth-notification>).
//! * Our one channel is opened together with the connection, and the first call on it may be sent then too. A broker reads
//!   frames in order, so it sees no difference. Its answers are held back until amiquip asks, and what amiquip then sends is
//!   dropped.

use std::collections::VecDeque;

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::AMQPMethod;
use amq_protocol::types::{AMQPValue, FieldTable};

use crate::broker::transport::frame::{self, MethodId, PROTOCOL_HEADER};

/// The channel that everything is done on: the first that amiquip takes.
pub(in crate::broker) const CHANNEL: u16 = 1;

/// What is written in the place of what amiquip writes next.
#[derive(Debug)]
pub(super) enum Edit {
    /// The protocol header: nothing, if it has been sent.
    Greeting { is_sent: bool },
    /// connection.start-ok: the same with our client properties.
    ClientProperties,
    /// connection.tune-ok and connection.open, which amiquip writes as one: the same with these frames behind them.
    Opening { early: Vec<u8> },
    /// One of those frames: nothing.
    SentEarly {
        frame: Vec<u8>,
        /// The answer that amiquip waits for before it writes the frame.
        asked_behind: MethodId,
    },
}

/// All edits of a connection.
pub(super) fn all(is_greeted: bool, first_call: Option<&[u8]>) -> VecDeque<Edit> {
    let channel_open = frame::encode_method(CHANNEL, MethodId::CHANNEL_OPEN, &[0]);
    let first_call = first_call.unwrap_or_default();
    let mut edits = VecDeque::from([
        Edit::Greeting {
            is_sent: is_greeted,
        },
        Edit::ClientProperties,
        Edit::Opening {
            early: [&channel_open, first_call].concat(),
        },
        Edit::SentEarly {
            frame: channel_open,
            asked_behind: MethodId::CONNECTION_OPEN_OK,
        },
    ]);
    if !first_call.is_empty() {
        edits.push_back(Edit::SentEarly {
            frame: first_call.to_vec(),
            asked_behind: MethodId::CHANNEL_OPEN_OK,
        });
    }
    edits
}

impl Edit {
    /// The answer that amiquip waits for before it writes what is edited, where more than that may come in.
    pub(super) fn asked_behind(&self) -> Option<MethodId> {
        match self {
            Edit::SentEarly { asked_behind, .. } => Some(*asked_behind),
            _ => None,
        }
    }

    /// How many of `bytes` are replaced, and by what. `None`: they begin with something else.
    pub(super) fn apply(&self, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        match self {
            Edit::Greeting { is_sent } => bytes.starts_with(&PROTOCOL_HEADER).then(|| {
                let instead: &[u8] = if *is_sent { &[] } else { &PROTOCOL_HEADER };
                (PROTOCOL_HEADER.len(), instead.to_vec())
            }),
            Edit::ClientProperties => {
                let start_ok = first_if(bytes, MethodId::CONNECTION_START_OK)?;
                Some((start_ok.len(), with_our_properties(start_ok)?))
            }
            Edit::Opening { early } => {
                let tune_ok = first_if(bytes, MethodId::CONNECTION_TUNE_OK)?;
                let open = first_if(&bytes[tune_ok.len()..], MethodId::CONNECTION_OPEN)?;
                Some((tune_ok.len() + open.len(), [tune_ok, open, early].concat()))
            }
            Edit::SentEarly { frame, .. } => {
                bytes.starts_with(frame).then(|| (frame.len(), Vec::new()))
            }
        }
    }
}

/// The frame that `bytes` begin with, if it is this method's.
fn first_if(bytes: &[u8], method: MethodId) -> Option<&[u8]> {
    frame::first(bytes).filter(|frame| MethodId::of_frame(frame) == Some(method))
}

/// connection.start-ok with our client properties.
fn with_our_properties(start_ok: &[u8]) -> Option<Vec<u8>> {
    /// More than our properties take.
    const PROPERTIES_MAX: usize = 1024;
    let AMQPFrame::Method(channel, AMQPClass::Connection(AMQPMethod::StartOk(mut arguments))) =
        parse_frame(start_ok).ok()?.1
    else {
        return None;
    };
    arguments.client_properties = client_properties(&arguments.client_properties);
    let method = AMQPClass::Connection(AMQPMethod::StartOk(arguments));
    frame::encode_class(channel, &method, start_ok.len() + PROPERTIES_MAX)
}

/// Our own, and the connection's name, which amiquip has as its `information`.
fn client_properties(amiquips: &FieldTable) -> FieldTable {
    let capabilities = [
        "authentication_failure_close",
        "connection.blocked",
        "consumer_cancel_notify",
    ]
    .map(|capability| (capability.to_owned(), AMQPValue::Boolean(true)));
    let text = |text: &str| AMQPValue::LongString(text.to_owned());
    let mut properties: FieldTable = [
        ("product", text("amqp-tools")),
        ("version", text(env!("CARGO_PKG_VERSION"))),
        ("platform", text(std::env::consts::OS)),
        (
            "capabilities",
            AMQPValue::FieldTable(capabilities.into_iter().collect()),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    if let Some(AMQPValue::LongString(name)) = amiquips.get("information")
        && !name.is_empty()
    {
        properties.insert("connection_name".to_owned(), text(name));
    }
    properties
}

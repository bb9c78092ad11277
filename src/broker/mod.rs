//! Everything that touches the network, and the only folder that names amiquip. The rest of the tree knows sessions,
//! queues, subscriptions, deliveries and publishers.
//!
//! # Files
//!
//! * `session`: one connection with one channel: opening, closing, why it ended;
//! * `queue`: declare, check, bind, purge and delete queues;
//! * `exchange`: check exchanges;
//! * `subscription`: consume from a queue;
//! * `delivery`: a delivered message, and the one answer that the broker waits for;
//! * `pulse`: the broker's signs of life;
//! * `left_channel`: channels that a session no longer uses, with deliveries that are not answered;
//! * `publisher`: publish, and hear of confirms and returns;
//! * `confirms`: which published messages are not confirmed;
//! * `convert`: messages, properties and tables, ours to amiquip's and back;
//! * `error`: what went wrong, and whether a retry can help;
//! * `header_frame`: the size of a content header, which must fit into one frame;
//! * `connect`: endpoints, credentials, name resolution, retry, login;
//! * `transport`: everything between amiquip and the socket.
//!
//! # Threads
//!
//! A session has two threads besides the one that uses it, both amiquip's:
//!
//! * `amiquip-io` owns the stream (`transport::stream`), reads and writes the socket, and sends heartbeats. When a deadline
//!   passes (`transport::deadline`), a timer wakes it; it shuts the socket down, and every call that waits for the broker fails.
//!   Two things are written by other threads too, past amiquip: messages, by the session's own thread, and acknowledgements by
//!   an [`Acknowledger`], whatever the session's thread is waiting for.
//! * one without a name sleeps until the next heartbeat is due.
//!
//! While a name is resolved there is a third, `resolver`: the system's resolver has no deadline.
//!
//! A call such as `queue.declare` blocks the thread that makes it until the broker has answered. Deliveries, confirms and
//! returns come without a call: amiquip puts them into channels without a limit, so their number is limited by the prefetch,
//! or by reading them. A [`Waker`](crate::system::waker::Waker) is called whenever something has been put there.
//!
//! # The way of a byte
//!
//! A call out: `Session` -> amiquip encodes a frame -> its queue -> `amiquip-io` -> `transport::outgoing` -> TLS, if it is
//! used -> the socket. A message out: `Publisher` -> `transport::outgoing` -> TLS -> the socket. In: the socket -> TLS ->
//! `transport::incoming` -> amiquip decodes the frame -> the call that waits, or a channel. What is seen on the way that amiquip does not pass on goes to `transport::connection_events`.
//!
//! # What amiquip lacks
//!
//! | amiquip 0.4.2 | made good in |
//! |---|---|
//! | tries one address, without a deadline and without `TCP_NODELAY` | `connect::resolve` |
//! | never tries again, and knows one node only | `connect::retry` |
//! | speaks TLS through OpenSSL only | `transport::tls` |
//! | waits for ever: for the handshake, for answers, for the close | `transport::deadline` |
//! | sends a message as three, with an allocation each, and copies its body three times | `transport::outgoing`, past amiquip |
//! | has client properties of its own, so the broker does not say why it refuses a login | `transport::outgoing` |
//! | asks for the channel and for the first answer one after the other | `transport::outgoing`, `connect::first_call` |
//! | allocates whatever size a frame or a body announces; fails on names that are not UTF-8 | `transport::incoming` |
//! | takes a proposed heartbeat of 0 for none | `transport::incoming` |
//! | closes the connection over `channel.flow` | `transport::incoming` removes it, `transport::outgoing` obeys it |
//! | takes a server that hangs up behind `connection.close-ok` for a broken connection | `transport::incoming` |
//! | gives up when it cannot write, though the broker's reason may be there to be read | `transport::stream` |
//! | tells only the thread that joins its own why a connection ended | `transport::connection_events` |
//! | does not notice that a proxy closes idle connections | `transport::silence` |
//! | cuts names that are longer than 255 bytes | `convert` |
//!
//! # Round trips
//!
//! One arrow is one wait for the broker, besides those of TCP and TLS:
//!
//! 1. protocol header -> `connection.start`. The header is sent as soon as TCP is connected, before amiquip is ready.
//! 2. `connection.start-ok` -> `connection.tune`.
//! 3. `connection.tune-ok`, `connection.open`, `channel.open`, and the first call's method if it is known -> the answers to
//!    the last three. `transport::incoming` holds each answer back until amiquip has asked for it.
//! 4. one for each further call. Acknowledgements, publishes and `confirm.select` have no answer.
//! 5. `connection.close` -> `connection.close-ok`. The broker has handled everything that was sent before.
//!
//! `tests/it/round_trips.rs` counts them.

mod confirms;
mod connect;
mod convert;
mod delivery;
mod error;
mod exchange;
mod header_frame;
mod left_channel;
mod publisher;
mod pulse;
mod queue;
mod session;
mod subscription;
mod transport;

pub use confirms::{Confirmation, Numbers, Unconfirmed};
pub use connect::credentials::{Authentication, Credentials};
pub use connect::endpoint::{ConnectOptions, Endpoint, Transport};
pub use delivery::{Acknowledger, Delivery, Unsettled};
pub use error::{Error, Result, Scope};
pub use exchange::{Binding, Destination, ExchangeDeclaration};
pub use header_frame::header_frame_size;
pub use left_channel::{CERTAIN_AT_CLOSE, LeftChannel};
pub use publisher::{Answer, Answers, Publisher, Returned, Template, Unroutable};
pub use pulse::Pulse;
pub use queue::{DeleteConditions, DeliveryCount, QueueDeclaration, QueueState};
pub use session::{BlockedNotice, BlockedNotices, Server, Session};
pub use subscription::{Arrival, ChannelEnd, Deliveries, REPLY_TO, SubscribeOptions, Subscription};
pub use transport::deadline::Cutter;
pub use transport::tls::{Identity, SystemAuthorities, TlsClient, TlsError, TlsOptions, Trust};

// For tests, the fuzzer and the benchmarks.
#[doc(hidden)]
pub use transport::{frame, incoming::Incoming};

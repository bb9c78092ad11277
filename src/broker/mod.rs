//! All that touches the network and amiquip: the rest of the house speaks of sessions, deliveries and confirmations.
//!
//! [`url`] and [`credentials`] make an [`Endpoint`]; [`Session::open`] connects to it; queues, deliveries,
//! subscriptions and publishers are what a session can do.

mod credentials;
mod delivery;
mod dial;
mod endpoint;
mod error;
mod first_call;
// Public for the fuzzer alone.
#[doc(hidden)]
pub mod guard;
mod handed_over;
mod head_start;
mod header_frame;
mod introduction;
mod login;
mod message;
mod outbound;
mod publisher;
mod queue;
mod retry;
mod session;
mod silence;
#[cfg(test)]
mod slow_wire;
mod stream;
mod subscription;
mod tls;
pub mod url;
mod watchdog;
mod witness;

pub use credentials::{Authentication, Credentials, parse_authfile};
pub use delivery::{Delivery, Unsettled};
pub use endpoint::{ConnectOptions, Endpoint, Transport};
pub use error::{Error, Result, Scope};
pub use handed_over::{CERTAIN_AT_CLOSE, LeftChannel};
pub use header_frame::header_frame_size;
pub use publisher::{
    Answer, Answers, Confirmation, Numbers, Publisher, Returned, Template, Unroutable,
};
pub use queue::{DeleteConditions, DeliveryCount, QueueDeclaration, QueueState};
pub use session::{BlockedNotice, Server, Session};
pub use subscription::{Arrival, Deliveries, Lifeline, Subscription};
pub use tls::{Identity, SystemAuthorities, TlsClient, TlsError, TlsOptions, Trust};
pub use watchdog::Cutter;

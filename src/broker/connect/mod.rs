//! Which broker to connect to, and how.
//!
//! * [`endpoint`]: one node and how to log in there; the nodes of a broker, and how long to try;
//! * [`credentials`]: name and password, or the client certificate's name;
//! * [`retry`]: the nodes in turn, and again after a pause;
//! * [`resolve`]: a node's addresses in turn;
//! * [`login`]: the AMQP handshake;
//! * [`first_call`]: the first method on the channel, where it is sent ahead.

pub(super) mod credentials;
pub(super) mod endpoint;
pub(super) mod first_call;
pub(super) mod login;
pub(super) mod resolve;
pub(super) mod retry;

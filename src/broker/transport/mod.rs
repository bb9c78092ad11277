//! Everything between amiquip and the socket.
//!
//! * [`frame`]: frame heads, frame types and method ids;
//! * [`stream`]: the stream that amiquip reads from and writes to;
//! * [`outgoing`]: what amiquip writes, changed where the broker is to get something else;
//! * [`incoming`]: what the server sends, checked before amiquip parses it;
//! * [`connection_events`]: what was seen that amiquip does not pass on;
//! * [`silence`]: how long nothing has passed, and the heartbeats that prevent that;
//! * [`deadline`]: has the socket shut down when something takes too long;
//! * [`socket`]: TCP, or [`tls`] over TCP;
//! * [`other_protocol`]: what a server speaks that does not speak AMQP.

pub(super) mod connection_events;
pub(super) mod deadline;
pub mod frame;
pub(super) mod incoming;
mod other_protocol;
pub(super) mod outgoing;
pub(super) mod silence;
pub(super) mod socket;
pub(super) mod stream;
pub(super) mod tls;

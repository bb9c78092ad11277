//! Finding the broker: which nodes, for how long, as whom, and what may come over the wire.

mod credentials;
mod environment;
mod latin;
mod nodes;
mod parameters;
mod retry;

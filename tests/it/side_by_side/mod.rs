//! The reference tools and ours, side by side: one table of scenarios, each run with both.
//!
//! A scenario that is the `same` must print the same, exit with the same status and leave the same on the broker.
//! One that `differs` says why, and what each of the two does; one that `depends_on_release` of the reference says which of
//! its releases ours follows. A folder a command; `connection` is common to all.
//!
//! The reference is this machine's amqp-tools, or those in the folder that `AMQP_TOOLS_REFERENCE` names.

mod connection;
mod consume;
mod facts;
mod get;
mod publish;
mod queues;
mod random;
mod scenario;

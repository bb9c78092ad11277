//! A private RabbitMQ node: own data folder, own ports, own Erlang cookie, and gone when its owner is.
//!
//! [`Broker`] is one node, [`Cluster`] several that form one broker, [`Qpid`] another broker than RabbitMQ. [`Service`] is
//! the one that `AMQP_URL` names, or else a private one. Only the files of an installed RabbitMQ are used; a system-wide
//! service is left alone.
//!
//! `AMQP_TOOLS_BROKER` names what private brokers are: `qpid`, or a release of RabbitMQ, see [`Flavour`]. A release that this
//! machine does not have is run out of a Debian in a folder, which `cargo xtask test` makes.

mod cache;
mod cluster;
mod epmd;
mod flavour;
mod installation;
mod login;
mod node;
mod options;
mod ports;
mod qpid;
mod service;
mod supervised;

pub use cache::cache_folder;
pub use cluster::Cluster;
pub use flavour::{BROKER_VARIABLE, FLAVOURS, Flavour};
pub use installation::Installation;
pub use node::Broker;
pub use options::Options;
pub use ports::free_port;
pub use qpid::{QPID_RELEASE, Qpid};
pub use service::Service;

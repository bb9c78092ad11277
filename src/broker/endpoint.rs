//! Where to connect, as whom, and how long to try: all that opening a session needs to know.

use std::fmt;
use std::time::Duration;

use super::credentials::Authentication;

/// One node of a broker, and how to log in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The virtual host.
    pub vhost: String,
    /// Whether the connection is encrypted; never anything but TLS if so.
    pub transport: Transport,
    /// The SASL mechanism and its credentials.
    pub authentication: Authentication,
    /// The heartbeat interval to ask for, in seconds; 0 turns heartbeats off. The lower of this and the broker's holds.
    pub heartbeat: u16,
    /// How long name resolution, TCP, TLS and AMQP together may take.
    pub connect_timeout: Duration,
}

/// What AMQP is spoken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl fmt::Display for Endpoint {
    /// `HOST:PORT`, as errors name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The nodes to try in turn, and for how long.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The node to try first.
    pub first: Endpoint,
    /// The nodes to try after it.
    pub others: Vec<Endpoint>,
    /// How long to keep trying while no node can be reached; zero: try each node once.
    pub retry: Duration,
}

impl ConnectOptions {
    /// All nodes, in the order in which they are tried.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

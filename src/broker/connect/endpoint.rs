//! Where to connect, as whom, and how long to try: all that opening a session needs to know.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::credentials::Authentication;
use crate::broker::transport::silence::HeartbeatLimit;
use crate::broker::transport::tls::TlsClient;

/// One node of a broker, and how to log in there.
#[derive(Clone, Debug)]
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
    /// The heartbeat interval to ask for, in seconds; 0 turns heartbeats off. The lower of this and the broker's holds,
    /// unless that is 0.
    pub heartbeat: u16,
    /// How long name resolution, TCP, TLS and AMQP together may take.
    pub connect_timeout: Duration,
    /// What the broker lists the connection as; it has no name if this is empty.
    pub connection_name: String,
    /// The most channels to ask for; 0: as many as the broker allows.
    pub channel_max: u16,
    /// The largest frame to ask for, in bytes; 0: the largest that there is here.
    pub frame_max: u32,
}

/// What AMQP is spoken over.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls(TlsClient),
}

impl Transport {
    pub(in crate::broker) fn tls(&self) -> Option<&TlsClient> {
        match self {
            Transport::Tcp => None,
            Transport::Tls(client) => Some(client),
        }
    }
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
///
/// It remembers (its clones too) which node was connected to last: the next session begins with another one; and after how
/// long a silence sessions ended.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    first: Endpoint,
    others: Vec<Endpoint>,
    /// How long to keep trying while no node can be reached; zero: try each node once.
    pub retry: Duration,
    /// Told once that connecting is being tried again, and once that it worked at last.
    pub announce: fn(&str),
    begin_with: Arc<AtomicUsize>,
    heartbeat_limit: HeartbeatLimit,
}

impl ConnectOptions {
    /// The nodes of one broker, each tried once, in this order.
    #[must_use]
    pub fn new(first: Endpoint, others: Vec<Endpoint>) -> ConnectOptions {
        ConnectOptions {
            first,
            others,
            retry: Duration::ZERO,
            announce: |_| {},
            begin_with: Arc::new(AtomicUsize::new(0)),
            heartbeat_limit: HeartbeatLimit::default(),
        }
    }

    /// All nodes, in the order in which they are to be tried now.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        let count = 1 + self.others.len();
        let begin_with = self.begin_with.load(Ordering::Relaxed);
        std::iter::once(&self.first)
            .chain(&self.others)
            .cycle()
            .skip(begin_with % count)
            .take(count)
    }

    /// What sessions learn of the heartbeats that they need.
    pub(in crate::broker) fn heartbeat_limit(&self) -> &HeartbeatLimit {
        &self.heartbeat_limit
    }

    /// Has the next session begin with the node behind the `tried`th of [`ConnectOptions::endpoints`].
    pub(super) fn begin_behind(&self, tried: usize) {
        self.begin_with.fetch_add(tried + 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(in crate::broker) mod tests {
    use super::*;
    use crate::broker::Credentials;

    pub(in crate::broker) fn endpoint(host: &str) -> Endpoint {
        Endpoint {
            host: host.to_owned(),
            port: 5672,
            vhost: "/".to_owned(),
            transport: Transport::Tcp,
            authentication: Authentication::Plain(Credentials::default()),
            heartbeat: 60,
            connect_timeout: Duration::from_secs(10),
            connection_name: String::new(),
            channel_max: 0,
            frame_max: 0,
        }
    }

    fn hosts(options: &ConnectOptions) -> Vec<&str> {
        options
            .endpoints()
            .map(|endpoint| endpoint.host.as_str())
            .collect()
    }

    #[test]
    fn after_a_session_the_next_node_comes_first() {
        let options = ConnectOptions::new(endpoint("a"), vec![endpoint("b"), endpoint("c")]);
        assert_eq!(hosts(&options), ["a", "b", "c"]);
        options.begin_behind(0);
        assert_eq!(hosts(&options), ["b", "c", "a"]);
        options.clone().begin_behind(1);
        assert_eq!(hosts(&options), ["a", "b", "c"]);
    }

    #[test]
    fn a_single_node_is_always_first() {
        let options = ConnectOptions::new(endpoint("a"), Vec::new());
        options.begin_behind(0);
        assert_eq!(hosts(&options), ["a"]);
    }

    #[test]
    fn ipv6_addresses_are_shown_in_brackets() {
        assert_eq!(endpoint("::1").to_string(), "[::1]:5672");
        assert_eq!(endpoint("rabbit").to_string(), "rabbit:5672");
    }
}

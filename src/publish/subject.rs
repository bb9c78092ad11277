//! What a checkpoint is about: places in an input mean nothing for another destination, kind of record or properties.

use super::input::digest::Digest;
use super::options::{PublishOptions, Records};
use crate::broker::ConnectOptions;
use crate::envelope;
use crate::message::Message;

/// One thing that a checkpoint is about, and that an error names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    Server,
    Vhost,
    Exchange,
    RoutingKey,
    Records,
    Properties,
}

impl Aspect {
    pub(super) const ALL: [Aspect; 6] = [
        Aspect::Server,
        Aspect::Vhost,
        Aspect::Exchange,
        Aspect::RoutingKey,
        Aspect::Records,
        Aspect::Properties,
    ];

    /// As errors name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Aspect::Server => "host or port",
            Aspect::Vhost => "virtual host",
            Aspect::Exchange => "exchange",
            Aspect::RoutingKey => "routing key",
            Aspect::Records => "kind of record (files, lines and so on)",
            Aspect::Properties => "set of properties",
        }
    }
}

/// All of them, each as a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) aspects: [Digest; Aspect::ALL.len()],
}

impl Subject {
    pub(super) fn of(
        connect: &ConnectOptions,
        options: &PublishOptions,
        records: Records,
    ) -> Subject {
        let (exchange, routing_key) = options.address.texts();
        Subject {
            aspects: Aspect::ALL.map(|aspect| {
                let text = match aspect {
                    Aspect::Server => servers(connect),
                    Aspect::Vhost => vhosts(connect),
                    Aspect::Exchange => given(exchange),
                    Aspect::RoutingKey => given(routing_key),
                    Aspect::Records => records.name().to_owned(),
                    Aspect::Properties => properties(options),
                };
                Digest::of(text.as_bytes())
            }),
        }
    }

    /// What is not the same.
    pub(super) fn differences(self, other: Subject) -> Vec<Aspect> {
        let pairs = self.aspects.into_iter().zip(other.aspects);
        Aspect::ALL
            .into_iter()
            .zip(pairs)
            .filter(|(_, (one, other))| one != other)
            .map(|(aspect, _)| aspect)
            .collect()
    }
}

/// A text that is not that of one that was not given.
fn given(text: Option<&str>) -> String {
    text.map_or(String::new(), |text| format!("={text}"))
}

/// The nodes of a cluster, whatever their order.
fn servers(connect: &ConnectOptions) -> String {
    let mut nodes: Vec<String> = connect.endpoints().map(ToString::to_string).collect();
    nodes.sort_unstable();
    nodes.join(" ")
}

fn vhosts(connect: &ConnectOptions) -> String {
    let mut vhosts: Vec<&str> = connect
        .endpoints()
        .map(|endpoint| endpoint.vhost.as_str())
        .collect();
    vhosts.sort_unstable();
    vhosts.dedup();
    vhosts.join("\0")
}

fn properties(options: &PublishOptions) -> String {
    let message = Message {
        properties: options.properties.clone(),
        ..Message::default()
    };
    let common = envelope::to_json_line(&message, None);
    format!("{common} {:?}", options.own)
}

//! What all trials stand on: the network, the broker of the manifests, and a debug pod to look at it from.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::image::build::DEBUG;
use crate::image::docker::{Container, Network};
use crate::image::pod::{Cluster, DOMAIN, Pod, RESOLVER};
use crate::manifests::Manifests;

/// The tutorial's URL, and the manifests'.
pub(super) const BROKER_URL: &str = "amqp://guest:guest@rabbitmq-service:5672";

pub(super) struct Ground {
    // Dropped in this order: the network goes when nothing is on it any more.
    debug: Container,
    broker: Pod,
    pub(super) network: Network,
    pub(super) manifests: Manifests,
}

impl Ground {
    pub(super) fn prepare() -> Result<Self> {
        let manifests = Manifests::load()?;
        let network = Network::create()?;
        let broker = start_broker(&manifests, &network)?;
        let debug = on_network(&network, &[], DEBUG, &["sleep", "infinity"])?;
        debug.start()?;
        Ok(Self {
            debug,
            broker,
            network,
            manifests,
        })
    }

    /// The broker's container.
    pub(super) fn broker(&self) -> &Container {
        &self.broker.container
    }

    pub(super) fn cluster(&self) -> Cluster<'_> {
        Cluster {
            manifests: &self.manifests,
            network: &self.network,
        }
    }

    /// A container on the network, not yet started. It knows the broker as `BROKER_URL` and as `AMQP_URL`.
    pub(super) fn container(
        &self,
        options: &[&str],
        image: &str,
        command: &[&str],
    ) -> Result<Container> {
        on_network(&self.network, options, image, command)
    }

    /// Runs a shell script in the debug pod and returns what it printed.
    pub(super) fn sh(&self, script: &str) -> Result<String> {
        self.debug.exec(&["sh", "-euc", script])
    }

    /// How many messages wait in a queue, and how many consumers it has.
    pub(super) fn depth(&self, queue: &str) -> Result<(u64, u64)> {
        let line = self.sh(&format!("amqp-declare-queue --passive --json -q {queue}"))?;
        let state: Value = serde_json::from_str(&line)?;
        let number = |key: &str| {
            state[key]
                .as_u64()
                .with_context(|| format!("no {key} in {line}"))
        };
        Ok((number("messages")?, number("consumers")?))
    }

    /// An empty durable queue of that name; whatever was in it before is gone.
    pub(super) fn fresh_queue(&self, queue: &str) -> Result<()> {
        self.sh(&format!(
            "amqp-delete-queue -q {queue}; amqp-declare-queue -d -q {queue}"
        ))
        .map(drop)
    }

    pub(super) fn is_empty(&self, queue: &str) -> Result<()> {
        let (messages, _) = self.depth(queue)?;
        ensure!(messages == 0, "{messages} messages are left in {queue}");
        Ok(())
    }
}

/// The first pod of the `StatefulSet`, reachable by the Service's name in the cluster's domain and by no shorter one.
fn start_broker(manifests: &Manifests, network: &Network) -> Result<Pod> {
    let set = manifests.get("StatefulSet", "rabbitmq")?;
    let service = set["spec"]["serviceName"]
        .as_str()
        .context("no serviceName")?;
    let options = [
        format!("--network-alias={service}.{DOMAIN}"),
        "--hostname=rabbitmq-0".to_owned(),
    ];
    let pod = Cluster { manifests, network }.pod(&set["spec"]["template"], &options)?;
    pod.container.start()?;
    pod.container.prints("Server startup complete")?;
    Ok(pod)
}

fn on_network(
    network: &Network,
    options: &[&str],
    image: &str,
    command: &[&str],
) -> Result<Container> {
    let named = format!("--network={}", network.name());
    let variables = [
        format!("--env=BROKER_URL={BROKER_URL}"),
        format!("--env=AMQP_URL={BROKER_URL}"),
    ];
    let mut args = vec![
        named.as_str(),
        &variables[0],
        &variables[1],
        "--env=RABBITMQ_SERVICE_SERVICE_HOST=rabbitmq-service",
    ];
    args.extend(RESOLVER);
    Container::create(&[&args, options, &[image], command].concat())
}

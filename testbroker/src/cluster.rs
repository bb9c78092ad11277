//! Several private nodes that form one broker.

use std::sync::Arc;

use anyhow::Result;

use crate::epmd::Epmd;
use crate::installation::Installation;
use crate::node::Broker;
use crate::options::Options;

/// The nodes of one broker, all on this machine.
#[derive(Debug)]
pub struct Cluster {
    /// Each can be stopped, killed and resumed by itself.
    pub nodes: Vec<Broker>,
}

impl Cluster {
    /// Starts `size` nodes with the same options and waits until each of them answers.
    pub fn start(size: usize, options: &Options) -> Result<Self> {
        Self::of(&Installation::from_environment()?, size, options)
    }

    /// The same with nodes of that RabbitMQ.
    pub fn of(installation: &Installation, size: usize, options: &Options) -> Result<Self> {
        let epmd = Arc::new(Epmd::start(installation)?);
        let nodes: Result<Vec<Broker>> = (0..size)
            .map(|_| Broker::prepare(installation.clone(), Arc::clone(&epmd), options))
            .collect();
        let mut cluster = Self { nodes: nodes? };
        cluster.introduce()?;
        for node in &mut cluster.nodes {
            node.launch()?;
        }
        for node in &mut cluster.nodes {
            node.wait_until_ready()?;
        }
        Ok(cluster)
    }

    /// All nodes' URLs, separated by commas.
    #[must_use]
    pub fn url(&self) -> String {
        self.nodes
            .iter()
            .map(Broker::url)
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Gives every node the others' names and the same secret.
    fn introduce(&self) -> Result<()> {
        let mut lines =
            vec!["cluster_formation.peer_discovery_backend = classic_config".to_owned()];
        for (number, node) in (1..).zip(&self.nodes) {
            lines.push(format!(
                "cluster_formation.classic_config.nodes.{number} = {}",
                node.name()
            ));
        }
        let secret = format!(
            "COOKIE{}",
            self.nodes.first().map_or(0, |node| node.address().port())
        );
        for node in &self.nodes {
            node.configure(&lines)?;
            node.set_cookie(&secret)?;
        }
        Ok(())
    }
}

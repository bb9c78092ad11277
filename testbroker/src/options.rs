//! What a private node is started with beyond its defaults.

/// The defaults are those of the RabbitMQ that runs, without any plugin.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub(crate) configuration: Vec<String>,
    pub(crate) plugins: Vec<String>,
}

impl Options {
    /// A node as RabbitMQ configures it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line to the node's `rabbitmq.conf`, for example `listeners.ssl.default = 21005`.
    #[must_use]
    pub fn configure(mut self, line: impl Into<String>) -> Self {
        self.configuration.push(line.into());
        self
    }

    /// Enables a plugin that comes with RabbitMQ, for example `rabbitmq_auth_mechanism_ssl`.
    #[must_use]
    pub fn plugin(mut self, name: impl Into<String>) -> Self {
        self.plugins.push(name.into());
        self
    }
}

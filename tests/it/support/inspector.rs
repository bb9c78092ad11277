//! A look at the broker by AMQP, with a client of its own rather than with the tools under test.

use std::sync::Mutex;

use amiquip::{AmqpProperties, Channel, Connection, QueueDeleteOptions, Result};

/// A connection that is opened when it is first needed, and again when it was lost.
pub(crate) struct Inspector {
    url: String,
    connection: Mutex<Option<Connection>>,
}

/// A message as the broker gave it out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) body: Vec<u8>,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) redelivered: bool,
    pub(crate) properties: AmqpProperties,
}

impl Message {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Inspector {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            connection: Mutex::default(),
        }
    }

    /// Does something on a fresh channel; what the broker refuses closes that channel and is the error.
    pub(crate) fn on_channel<T>(&self, work: impl FnOnce(&Channel) -> Result<T>) -> Result<T> {
        let channel = self.channel()?;
        let result = work(&channel);
        let _ = channel.close();
        result
    }

    /// Deletes the queue and the exchange of that name, where they exist.
    pub(crate) fn delete(&self, name: &str) {
        let _ = self.on_channel(|channel| {
            let options = QueueDeleteOptions {
                if_unused: false,
                if_empty: false,
            };
            channel.queue_delete(name, options)
        });
        let _ = self.on_channel(|channel| channel.exchange_delete(name, false));
    }

    fn channel(&self) -> Result<Channel> {
        let mut connection = self.connection.lock().unwrap();
        if let Some(open) = connection.as_mut()
            && let Ok(channel) = open.open_channel(None)
        {
            return Ok(channel);
        }
        connection
            .insert(Connection::insecure_open(&self.url)?)
            .open_channel(None)
    }
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

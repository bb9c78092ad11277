//! A look at the broker by AMQP, with a client of its own rather than with the tools under test.

use std::sync::Mutex;

use amiquip::{
    AmqpProperties, Channel, ConfirmSmoother, Connection, Publish, QueueDeleteOptions, Result,
};

/// A connection that is opened when it is first needed, and again when it was lost.
pub(crate) struct Inspector {
    url: String,
    connection: Mutex<Option<Connection>>,
    lasting: Mutex<Vec<Channel>>,
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
            lasting: Mutex::default(),
        }
    }

    /// Does something on a fresh channel; what the broker refuses closes that channel and is the error.
    pub(crate) fn on_channel<T>(&self, work: impl FnOnce(&Channel) -> Result<T>) -> Result<T> {
        let channel = self.channel()?;
        let result = work(&channel);
        let _ = channel.close();
        result
    }

    /// Does something on a channel that stays open until the test's end.
    pub(crate) fn on_lasting_channel(
        &self,
        work: impl FnOnce(&Channel) -> Result<()>,
    ) -> Result<()> {
        let channel = self.channel()?;
        work(&channel)?;
        self.lasting.lock().unwrap().push(channel);
        Ok(())
    }

    /// Publishes messages and waits until the broker has them. Tells how many of them it could not route.
    pub(crate) fn publish<B: AsRef<[u8]>>(
        &self,
        (exchange, routing_key): (&str, &str),
        bodies: impl IntoIterator<Item = B>,
        properties: &AmqpProperties,
    ) -> Result<usize> {
        self.on_channel(|channel| {
            let returns = channel.listen_for_returns()?;
            let confirms = channel.listen_for_publisher_confirms()?;
            channel.enable_publisher_confirms()?;
            let mut unconfirmed = 0;
            for body in bodies {
                let message = Publish {
                    body: body.as_ref(),
                    routing_key: routing_key.to_owned(),
                    mandatory: true,
                    immediate: false,
                    properties: properties.clone(),
                };
                channel.basic_publish(exchange, message)?;
                unconfirmed += 1;
            }
            let mut smoother = ConfirmSmoother::new();
            while unconfirmed > 0 {
                let Ok(confirm) = confirms.recv() else {
                    channel.qos(0, 0, false)?; // on a channel that the broker has closed, the error tells why
                    break;
                };
                unconfirmed -= smoother.process(confirm).count();
            }
            Ok(returns.try_iter().count())
        })
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

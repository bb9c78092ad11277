//! The messages that a command's output becomes: one for the next stage, one for whoever sent the message.

use super::republish::EXIT_STATUS;
use crate::message::{HeaderValue, Message, PERSISTENT, Properties};
use crate::status::Status;

/// What addresses a client that waits for its reply on its own channel (<https://www.rabbitmq.com/docs/direct-reply-to>).
const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to.";

/// How the output of commands is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publishing {
    /// Where the output of a command that succeeded goes.
    pub target: Option<OutputTarget>,
    /// Whether whoever sent the message gets the output and the exit status.
    pub replies: bool,
    /// The content type of these messages.
    pub content_type: Option<String>,
    /// How many bytes of output a command may write.
    pub limit: usize,
}

/// Where outputs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputTarget {
    /// The exchange; empty: the default exchange.
    pub exchange: String,
    /// The routing key; to the default exchange, the queue's name.
    pub routing_key: String,
}

/// A message to be published.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Publication {
    pub(super) message: Box<Message>,
    pub(super) recipient: Recipient,
}

/// Who a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recipient {
    /// The queue of a copy. That it does not get it is a failure.
    Copied,
    /// The queue or the exchange of outputs. That nobody gets one is a failure.
    Queue,
    /// A caller with a queue for replies. One that is gone is no failure.
    Caller,
    /// A caller that waits on its own channel. The broker returns every mandatory message to such a one (RabbitMQ 3.10).
    DirectCaller,
}

impl Publishing {
    /// What is to be published when a command has succeeded.
    pub(super) fn of_success(&self, input: &Message, output: Vec<u8>) -> Vec<Publication> {
        let reply = self.reply(input, &output, Status::SUCCESS);
        let target = self.target.as_ref().filter(|_| !output.is_empty());
        let result = target.map(|target| Publication {
            message: Box::new(Message {
                exchange: target.exchange.clone(),
                routing_key: target.routing_key.clone(),
                properties: self.properties(input),
                body: output,
            }),
            recipient: Recipient::Queue,
        });
        result.into_iter().chain(reply).collect()
    }

    /// What is to be published when a message has failed for good.
    pub(super) fn of_failure(
        &self,
        input: &Message,
        output: &[u8],
        status: Status,
    ) -> Vec<Publication> {
        self.reply(input, output, status).into_iter().collect()
    }

    fn reply(&self, input: &Message, output: &[u8], status: Status) -> Option<Publication> {
        let caller = input.properties.reply_to.as_ref();
        let caller = caller.filter(|caller| self.replies && !caller.is_empty())?;
        let status = HeaderValue::Int32(status.code().into());
        let mut properties = self.properties(input);
        properties.headers = Some([(EXIT_STATUS.to_owned(), status)].into());
        let message = Box::new(Message {
            exchange: String::new(),
            routing_key: caller.clone(),
            properties,
            body: output.to_vec(),
        });
        let recipient = if caller.starts_with(DIRECT_REPLY_TO) {
            Recipient::DirectCaller
        } else {
            Recipient::Caller
        };
        Some(Publication { message, recipient })
    }

    fn properties(&self, input: &Message) -> Properties {
        let input = &input.properties;
        let id = input.correlation_id.as_ref().or(input.message_id.as_ref());
        Properties {
            content_type: self.content_type.clone(),
            delivery_mode: Some(PERSISTENT),
            priority: input.priority,
            correlation_id: id.cloned(),
            ..Properties::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(reply_to: Option<&str>) -> Message {
        let text = |text: &str| Some(text.to_owned());
        Message {
            properties: Properties {
                correlation_id: text("correlation"),
                message_id: text("id"),
                priority: Some(7),
                reply_to: reply_to.map(str::to_owned),
                expiration: text("1000"),
                ..Properties::default()
            },
            ..Message::default()
        }
    }

    fn publishing(to_queue: bool, replies: bool) -> Publishing {
        Publishing {
            target: to_queue.then(|| OutputTarget {
                exchange: String::new(),
                routing_key: "next".to_owned(),
            }),
            replies,
            content_type: Some("text/plain".to_owned()),
            limit: 1000,
        }
    }

    #[test]
    fn an_output_has_the_inputs_correlation_id_and_priority() {
        let of = |input: &Message| publishing(true, false).of_success(input, b"out".to_vec());
        let mut request = input(Some("caller"));
        let [one] = &of(&request)[..] else {
            panic!("one message");
        };
        assert_eq!(one.recipient, Recipient::Queue);
        assert_eq!(
            (&*one.message.routing_key, &*one.message.body),
            ("next", &b"out"[..])
        );
        let properties = &one.message.properties;
        assert_eq!(properties.correlation_id.as_deref(), Some("correlation"));
        assert_eq!(properties.priority, Some(7));
        assert_eq!(properties.delivery_mode, Some(PERSISTENT));
        assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
        assert_eq!(
            (&properties.expiration, &properties.reply_to),
            (&None, &None)
        );
        request.properties.correlation_id = None;
        let id = of(&request)[0].message.properties.correlation_id.clone();
        assert_eq!(id.as_deref(), Some("id"));
    }

    #[test]
    fn an_empty_output_is_published_only_as_a_reply() {
        let both = publishing(true, true);
        assert_eq!(both.of_success(&input(None), Vec::new()), []);
        assert_eq!(both.of_success(&input(Some("")), Vec::new()), []);
        let replies = both.of_success(&input(Some("caller")), Vec::new());
        assert_eq!(replies.len(), 1);
        assert_eq!(replies[0].recipient, Recipient::Caller);
        assert_eq!(both.of_success(&input(Some("caller")), vec![1]).len(), 2);
    }

    #[test]
    fn a_reply_says_the_exit_status() {
        let caller = "amq.rabbitmq.reply-to.g1h2";
        let failed = Status::exited(7);
        let replies = publishing(true, true).of_failure(&input(Some(caller)), b"part", failed);
        let [reply] = &replies[..] else {
            panic!("one message");
        };
        assert_eq!(reply.recipient, Recipient::DirectCaller);
        assert_eq!(reply.message.routing_key, caller);
        assert_eq!(reply.message.body, b"part");
        let headers = reply.message.properties.headers.as_ref().unwrap();
        assert_eq!(headers[EXIT_STATUS], HeaderValue::Int32(7));
        let nothing = publishing(true, false).of_failure(&input(Some(caller)), b"part", failed);
        assert_eq!(nothing, []);
    }
}

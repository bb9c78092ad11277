//! What a command is told about its message: the `AMQP_…` variables of its environment.

use std::ffi::OsString;

use crate::consume::republish::original_address;
use crate::envelope::headers_to_json;
use crate::message::Message;

/// The longest string that the kernel lets into an environment, with its name and the NUL behind it (execve(2)).
const LONGEST_VARIABLE: usize = 128 * 1024;

/// A message on its way to a command.
pub(in crate::consume) struct Telling<'a> {
    /// The queue that it came from.
    pub(in crate::consume) queue: &'a str,
    /// The message.
    pub(in crate::consume) message: &'a Message,
    /// Whether it may have been delivered before.
    pub(in crate::consume) redelivered: bool,
    /// The broker's number for the delivery.
    pub(in crate::consume) tag: u64,
    /// Which attempt this is, from 1.
    pub(in crate::consume) attempt: u64,
}

impl Telling<'_> {
    /// Every variable of ours; those without a value are to be absent, also if the tool itself has them.
    pub(in crate::consume) fn variables(&self) -> Vec<(&'static str, Option<OsString>)> {
        let message = self.message;
        let properties = &message.properties;
        let (exchange, routing_key) = original_address(message);
        let headers = properties.headers.as_ref();
        let number = |value: u64| Some(value.to_string());
        [
            ("AMQP_QUEUE", Some(self.queue.to_owned())),
            ("AMQP_EXCHANGE", Some(exchange.to_owned())),
            ("AMQP_ROUTING_KEY", Some(routing_key.to_owned())),
            ("AMQP_REDELIVERED", number(u64::from(self.redelivered))),
            ("AMQP_DELIVERY_TAG", number(self.tag)),
            (
                "AMQP_DELIVERY_COUNT",
                delivery_count(message).and_then(number),
            ),
            ("AMQP_ATTEMPT", number(self.attempt)),
            ("AMQP_CONTENT_TYPE", properties.content_type.clone()),
            ("AMQP_CONTENT_ENCODING", properties.content_encoding.clone()),
            ("AMQP_CORRELATION_ID", properties.correlation_id.clone()),
            ("AMQP_REPLY_TO", properties.reply_to.clone()),
            ("AMQP_MESSAGE_ID", properties.message_id.clone()),
            ("AMQP_TYPE", properties.kind.clone()),
            ("AMQP_APP_ID", properties.app_id.clone()),
            ("AMQP_USER_ID", properties.user_id.clone()),
            (
                "AMQP_PRIORITY",
                properties.priority.map(u64::from).and_then(number),
            ),
            ("AMQP_EXPIRATION", properties.expiration.clone()),
            ("AMQP_TIMESTAMP", properties.timestamp.and_then(number)),
            (
                "AMQP_HEADERS",
                headers.map(|headers| headers_to_json(headers).to_string()),
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.and_then(|value| presentable(name, value))))
        .collect()
    }
}

/// The names of all variables that tell of a message.
pub(in crate::consume) fn names() -> Vec<&'static str> {
    let of_no_message = Telling {
        queue: "",
        message: &Message::default(),
        redelivered: false,
        tag: 0,
        attempt: 0,
    };
    let variables = of_no_message.variables().into_iter();
    variables.map(|(name, _)| name).collect()
}

/// How often the broker has delivered the message before, where it counts (quorum queues:
/// <https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>).
pub(in crate::consume) fn delivery_count(message: &Message) -> Option<u64> {
    message.header_number("x-delivery-count")
}

/// The value, if the kernel takes it: a message must not keep its command from starting.
fn presentable(name: &str, value: String) -> Option<OsString> {
    let fits = name.len() + value.len() + 2 <= LONGEST_VARIABLE;
    (fits && !value.contains('\0')).then(|| value.into())
}

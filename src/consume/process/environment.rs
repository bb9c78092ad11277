//! What a command learns about its message: the `AMQP_…` variables of its environment.

use std::ffi::OsString;

use super::headers_file::HEADERS_FILE;
use crate::consume::republish::original_address;
use crate::envelope::headers_to_json;
use crate::message::Message;

/// The variable that holds the headers.
pub(super) const HEADERS: &str = "AMQP_HEADERS";

/// The variable that holds the number of messages of a batch.
const BATCH_SIZE: &str = "AMQP_BATCH_SIZE";

/// The longest string in an environment, with its name and a NUL at its end (execve(2)).
const LONGEST_VARIABLE: usize = 128 * 1024;

/// The variables for a command about its message, which came from `queue`. `attempt` counts from 1. A variable without a value is
/// to be absent, even if the tool's own environment has it.
pub(in crate::consume) fn variables(
    message: &Message,
    queue: &str,
    redelivered: bool,
    tag: u64,
    attempt: u64,
) -> Vec<(&'static str, Option<OsString>)> {
    let properties = &message.properties;
    let (exchange, routing_key) = original_address(message);
    let headers = properties.headers.as_ref();
    let number = |value: u64| Some(value.to_string());
    [
        ("AMQP_QUEUE", Some(queue.to_owned())),
        ("AMQP_EXCHANGE", Some(exchange.to_owned())),
        ("AMQP_ROUTING_KEY", Some(routing_key.to_owned())),
        ("AMQP_REDELIVERED", number(u64::from(redelivered))),
        ("AMQP_DELIVERY_TAG", number(tag)),
        (
            "AMQP_DELIVERY_COUNT",
            delivery_count(message).and_then(number),
        ),
        ("AMQP_ATTEMPT", number(attempt)),
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
        (HEADERS_FILE, None), // where the next is too large
        (
            HEADERS,
            headers.map(|headers| headers_to_json(headers).to_string()),
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.and_then(|value| presentable(name, value))))
    .collect()
}

/// The variables for a command that gets several messages, which come from `queue`: nothing about a single one.
pub(in crate::consume) fn of_queue(queue: &str) -> Vec<(&'static str, Option<OsString>)> {
    vec![("AMQP_QUEUE", presentable("AMQP_QUEUE", queue.to_owned()))]
}

/// The variables for a command that gets so many messages at once.
pub(in crate::consume) fn of_batch(
    queue: &str,
    size: usize,
) -> Vec<(&'static str, Option<OsString>)> {
    let size = (BATCH_SIZE, Some(size.to_string().into()));
    of_queue(queue).into_iter().chain([size]).collect()
}

/// The names of all variables.
pub(in crate::consume) fn names() -> Vec<&'static str> {
    let variables = variables(&Message::default(), "", false, 0, 0).into_iter();
    variables
        .map(|(name, _)| name)
        .chain([BATCH_SIZE])
        .collect()
}

/// How often the broker has delivered the message before, if it counts (quorum queues:
/// <https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>).
pub(in crate::consume) fn delivery_count(message: &Message) -> Option<u64> {
    message.header_number("x-delivery-count")
}

/// The value, if the kernel accepts it. A message must not keep its command from starting.
fn presentable(name: &str, value: String) -> Option<OsString> {
    let fits = name.len() + value.len() + 2 <= LONGEST_VARIABLE;
    (fits && !value.contains('\0')).then(|| value.into())
}

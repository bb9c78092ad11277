//! Failed messages as they are published again: to the same queue, for another attempt, or to the one for those that were
//! tried in vain. The headers say what happened, and keep the address that the message first had.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::task::Task;
use crate::message::{HeaderValue, Headers, Message};
use crate::status::Status;

/// How often the message has failed.
pub(super) const ATTEMPTS: &str = "x-attempts";
const EXIT_STATUS: &str = "x-exit-status";
const FAILED_AT: &str = "x-failed-at";
const FAILED_ON: &str = "x-failed-on";
/// The exchange that it was first published to, and with which routing key.
const ORIGINAL_EXCHANGE: &str = "x-original-exchange";
const ORIGINAL_ROUTING_KEY: &str = "x-original-routing-key";

/// Headers that must not be published again: the sender's wish for more copies, which it has got
/// (<https://www.rabbitmq.com/docs/sender-selected>), and what the broker counted.
const SPENT: [&str; 4] = ["CC", "BCC", "x-delivery-count", "x-acquired-count"];

/// The message for another attempt, from the tail of `queue`.
pub(super) fn for_another_attempt(task: Task, queue: &str, failures: u64) -> Message {
    readdressed(task, queue, failures)
}

/// The message for `park`, with the reason why it is there.
pub(super) fn for_parking(task: Task, park: &str, failures: u64, status: Status) -> Message {
    let mut message = readdressed(task, park, failures);
    let headers = message.properties.headers.get_or_insert_default();
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    headers.extend(
        [
            (EXIT_STATUS, HeaderValue::Int32(status.code().into())),
            (
                FAILED_AT,
                HeaderValue::Timestamp(since_epoch.unwrap_or_default().as_secs()),
            ),
            (FAILED_ON, HeaderValue::String(host)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    message
}

/// The exchange and the routing key that a message was first published with.
pub(super) fn original_address(message: &Message) -> (&str, &str) {
    let headers = message.properties.headers.as_ref();
    let header = |name| match headers.and_then(|headers| headers.get(name)) {
        Some(HeaderValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match (header(ORIGINAL_EXCHANGE), header(ORIGINAL_ROUTING_KEY)) {
        (Some(exchange), Some(routing_key)) => (exchange, routing_key),
        _ => (&message.exchange, &message.routing_key),
    }
}

fn readdressed(task: Task, queue: &str, failures: u64) -> Message {
    let mut message = task.message;
    let (exchange, routing_key) = original_address(&message);
    let original = [
        (ORIGINAL_EXCHANGE, exchange),
        (ORIGINAL_ROUTING_KEY, routing_key),
    ]
    .map(|(name, value)| (name.to_owned(), HeaderValue::String(value.to_owned())));
    let headers: &mut Headers = message.properties.headers.get_or_insert_default();
    headers.retain(|name, _| !SPENT.contains(&name.as_str()));
    headers.extend(original);
    let failures = i32::try_from(failures).unwrap_or(i32::MAX);
    headers.insert(ATTEMPTS.to_owned(), HeaderValue::Int32(failures));
    // The broker takes no other user's name than that of the connection.
    message.properties.user_id = None;
    message.exchange = String::new();
    queue.clone_into(&mut message.routing_key);
    message.body = Arc::unwrap_or_clone(task.body);
    message
}

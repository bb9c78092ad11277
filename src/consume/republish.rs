//! Republished copies of failed messages: for another attempt, unchanged, or for the parking queue. Headers say what happened, and
//! keep the address that the message was first published to.

use std::time::{SystemTime, UNIX_EPOCH};

use super::offset::STREAM_OFFSET;
use super::run::Obstacle;
use crate::broker::header_frame_size;
use crate::message::{Fidelity, HeaderValue, Headers, Message};
use crate::status::Status;

/// How often the message has failed.
pub(crate) const ATTEMPTS: &str = "x-attempts";
pub(crate) const EXIT_STATUS: &str = "x-exit-status";
pub(crate) const FAILED_AT: &str = "x-failed-at";
pub(crate) const FAILED_ON: &str = "x-failed-on";
pub(crate) const ERROR: &str = "x-error";
/// The exchange and the routing key that the message was first published with.
pub(crate) const ORIGINAL_EXCHANGE: &str = "x-original-exchange";
pub(crate) const ORIGINAL_ROUTING_KEY: &str = "x-original-routing-key";
/// The `expiration` of a message that is parked or waits, which would remove it from the queue there.
pub(crate) const ORIGINAL_EXPIRATION: &str = "x-original-expiration";

/// The header in which `RabbitMQ` keeps a message's dead-letterings.
pub(super) const DEATHS: &str = "x-death";

/// The headers that parking adds about a failure.
pub(crate) const OF_PARKING: [&str; 4] = [EXIT_STATUS, FAILED_AT, FAILED_ON, ERROR];

/// A copy's headers are larger than the message's by at most this many bytes.
const ADDED_MAX: usize = 4096;

/// Headers that must not be published again: `CC` and `BCC`, since those copies were made
/// (<https://www.rabbitmq.com/docs/sender-selected>), and the broker's numbers.
pub(crate) const SPENT: [&str; 5] = [
    "CC",
    "BCC",
    "x-delivery-count",
    "x-acquired-count",
    STREAM_OFFSET,
];

/// How often the message has failed, by its header. The header of a message that was parked and moved back is for people to read,
/// and counts for nothing.
pub(super) fn counted_attempts(message: &Message) -> Option<u64> {
    let was_parked = message
        .properties
        .headers
        .as_ref()
        .is_some_and(|headers| headers.contains_key(FAILED_AT));
    if was_parked {
        return None;
    }
    message.header_number(ATTEMPTS)
}

/// Why the message cannot be copied for a broker that takes frames of so many bytes, if it cannot.
pub(crate) fn obstacle(
    message: &Message,
    fidelity: Fidelity,
    frame_max: usize,
) -> Option<Obstacle> {
    if fidelity != Fidelity::Exact {
        return Some(Obstacle::NotAsItIs);
    }
    message.properties.headers.as_ref()?;
    let size = header_frame_size(&message.properties) + ADDED_MAX;
    (size > frame_max).then_some(Obstacle::HeadersTooLarge)
}

/// An unchanged copy for the tail of `queue`, which the message came from. It keeps its `expiration`, which starts again.
///
/// `attempts` is the number of counted failures, if failures are counted: the queue's own count starts again at 0.
pub(super) fn unchanged(message: Message, queue: &str, attempts: Option<u64>) -> Message {
    let mut message = readdressed(message, queue);
    if let Some(attempts) = attempts {
        count(message.properties.headers.get_or_insert_default(), attempts);
    }
    message
}

/// A copy for another attempt, for the tail of `queue`, which the message came from. It has no headers of an earlier parking.
pub(super) fn for_another_attempt(message: Message, queue: &str, attempts: u64) -> Message {
    let mut message = readdressed(message, queue);
    let headers = message.properties.headers.get_or_insert_default();
    headers.retain(|name, _| !OF_PARKING.contains(&name.as_str()));
    count(headers, attempts);
    message
}

/// A copy for another attempt that waits in the queue `waiting` before. It does not expire there. `x-death` is taken off: where that
/// says that the message expired in its queue before, `RabbitMQ` drops it on the way back
/// (<https://www.rabbitmq.com/docs/dlx#cycles>).
pub(super) fn for_waiting(message: Message, waiting: &str, attempts: u64) -> Message {
    let mut message = for_another_attempt(message, waiting, attempts);
    keep_from_expiring(&mut message);
    let headers = message.properties.headers.get_or_insert_default();
    headers.remove(DEATHS);
    message
}

/// Takes the expiration off, and keeps it in a header.
fn keep_from_expiring(message: &mut Message) {
    if let Some(time) = message.properties.expiration.take() {
        let headers = message.properties.headers.get_or_insert_default();
        headers.insert(ORIGINAL_EXPIRATION.to_owned(), HeaderValue::String(time));
    }
}

/// A copy for the parking queue `park`, with headers that say why it is there. Without `status`, the message was not run: it arrived
/// with too many failures. `error` is the end of what the command wrote to standard error.
pub(super) fn for_parking(
    message: Message,
    park: &str,
    attempts: u64,
    status: Option<Status>,
    error: Option<String>,
) -> Message {
    let mut message = readdressed(message, park);
    keep_from_expiring(&mut message);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let headers = message.properties.headers.get_or_insert_default();
    headers.retain(|name, _| !OF_PARKING.contains(&name.as_str()));
    count(headers, attempts);
    headers.extend(
        [
            (
                FAILED_AT,
                HeaderValue::Timestamp(since_epoch.unwrap_or_default().as_secs()),
            ),
            (FAILED_ON, HeaderValue::String(host)),
        ]
        .into_iter()
        .chain(status.map(|status| (EXIT_STATUS, HeaderValue::Int32(status.code().into()))))
        .chain(error.map(|text| (ERROR, HeaderValue::String(text))))
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

fn count(headers: &mut Headers, attempts: u64) {
    let attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
    headers.insert(ATTEMPTS.to_owned(), HeaderValue::Int32(attempts));
}

fn readdressed(mut message: Message, queue: &str) -> Message {
    let (exchange, routing_key) = original_address(&message);
    let original = [
        (ORIGINAL_EXCHANGE, exchange),
        (ORIGINAL_ROUTING_KEY, routing_key),
    ]
    .map(|(name, value)| (name.to_owned(), HeaderValue::String(value.to_owned())));
    let headers: &mut Headers = message.properties.headers.get_or_insert_default();
    headers.retain(|name, _| !SPENT.contains(&name.as_str()));
    headers.extend(original);
    // The broker accepts no user id but that of the connection.
    message.properties.user_id = None;
    message.exchange = String::new();
    queue.clone_into(&mut message.routing_key);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_MAX: usize = 131_072;

    fn message(headers: &[(&str, HeaderValue)]) -> Message {
        let mut message = Message {
            exchange: "exchange".to_owned(),
            routing_key: "key".to_owned(),
            body: b"body".to_vec(),
            ..Message::default()
        };
        message.properties.user_id = Some("user".to_owned());
        message.properties.expiration = Some("1000".to_owned());
        message.properties.headers = Some(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        );
        message
    }

    fn text(text: &str) -> HeaderValue {
        HeaderValue::String(text.to_owned())
    }

    fn header<'a>(message: &'a Message, name: &str) -> Option<&'a HeaderValue> {
        message.properties.headers.as_ref()?.get(name)
    }

    #[test]
    fn every_copy_is_for_its_queue_and_keeps_the_first_address() {
        let spent = [
            ("CC", text("a")),
            ("x-delivery-count", HeaderValue::Int64(3)),
            ("mine", text("b")),
        ];
        for copy in [
            unchanged(message(&spent), "queue", None),
            for_another_attempt(message(&spent), "queue", 1),
            for_parking(message(&spent), "queue", 1, Some(Status::FAILURE), None),
        ] {
            assert_eq!((&*copy.exchange, &*copy.routing_key), ("", "queue"));
            assert_eq!(original_address(&copy), ("exchange", "key"));
            assert_eq!(header(&copy, "CC"), None);
            assert_eq!(header(&copy, "x-delivery-count"), None);
            assert_eq!(header(&copy, "mine"), Some(&text("b")));
            assert_eq!(copy.properties.user_id, None);
            assert_eq!(copy.body, b"body");
            let again = unchanged(copy, "other", None);
            assert_eq!(original_address(&again), ("exchange", "key"));
        }
    }

    #[test]
    fn only_a_message_that_is_parked_or_waits_does_not_expire() {
        let time = Some("1000".to_owned());
        assert_eq!(
            unchanged(message(&[]), "q", None).properties.expiration,
            time
        );
        let again = for_another_attempt(message(&[]), "q", 1);
        assert_eq!(again.properties.expiration, time);
        let waiting = for_waiting(message(&[]), "q", 1);
        assert_eq!(waiting.properties.expiration, None);
        assert_eq!(header(&waiting, ORIGINAL_EXPIRATION), Some(&text("1000")));
        assert_eq!(counted_attempts(&waiting), Some(1));
        let parked = for_parking(message(&[]), "q", 1, Some(Status::FAILURE), None);
        assert_eq!(parked.properties.expiration, None);
        assert_eq!(header(&parked, ORIGINAL_EXPIRATION), Some(&text("1000")));
        let parked_again = for_parking(parked, "q", 1, Some(Status::FAILURE), None);
        assert_eq!(
            header(&parked_again, ORIGINAL_EXPIRATION),
            Some(&text("1000"))
        );
    }

    #[test]
    fn attempts_are_counted_anew_after_parking() {
        assert_eq!(counted_attempts(&message(&[])), None);
        let second = for_another_attempt(message(&[]), "q", 2);
        assert_eq!(counted_attempts(&second), Some(2));
        let as_it_is = unchanged(second.clone(), "q", None);
        assert_eq!(counted_attempts(&as_it_is), Some(2));
        let parked = for_parking(second, "park", 3, Some(Status::exited(7)), None);
        assert_eq!(header(&parked, ATTEMPTS), Some(&HeaderValue::Int32(3)));
        assert_eq!(counted_attempts(&parked), None);
        assert_eq!(
            counted_attempts(&unchanged(parked.clone(), "q", None)),
            None
        );
        let moved_back = for_another_attempt(parked, "q", 1);
        assert_eq!(counted_attempts(&moved_back), Some(1));
        assert_eq!(header(&moved_back, EXIT_STATUS), None);
    }

    #[test]
    fn what_is_not_what_it_was_is_not_copied() {
        let message = message(&[("header", HeaderValue::Bytes(b"caf\xe9".to_vec()))]);
        for (fidelity, expected) in [
            (Fidelity::Exact, None),
            (Fidelity::TextAsBytes, Some(Obstacle::NotAsItIs)),
            (Fidelity::Lossy, Some(Obstacle::NotAsItIs)),
        ] {
            assert_eq!(obstacle(&message, fidelity, FRAME_MAX), expected);
        }
        let none = Message::default();
        assert_eq!(obstacle(&none, Fidelity::Exact, FRAME_MAX), None);
    }

    #[test]
    fn what_can_be_copied_fits_a_frame() {
        let longest = "x".repeat(255);
        let mut message = message(&[("header", text(""))]);
        message.exchange.clone_from(&longest);
        message.routing_key.clone_from(&longest);
        message.properties.expiration = Some(longest);
        let rest = FRAME_MAX - ADDED_MAX - header_frame_size(&message.properties);
        let mut with_header = |length| {
            let headers = message.properties.headers.get_or_insert_default();
            headers.insert("header".to_owned(), text(&"y".repeat(length)));
            message.clone()
        };
        let too_large = Some(Obstacle::HeadersTooLarge);
        assert_eq!(
            obstacle(&with_header(rest + 1), Fidelity::Exact, FRAME_MAX),
            too_large
        );
        let message = with_header(rest);
        assert_eq!(obstacle(&message, Fidelity::Exact, FRAME_MAX), None);
        for copy in [
            unchanged(message.clone(), "queue", Some(u64::MAX)),
            for_another_attempt(message.clone(), "queue", u64::MAX),
            for_waiting(message.clone(), "queue", u64::MAX),
            for_parking(
                message,
                "queue",
                u64::MAX,
                Some(Status::FAILURE),
                Some("e".repeat(1024)),
            ),
        ] {
            assert!(header_frame_size(&copy.properties) <= FRAME_MAX);
        }
    }
}

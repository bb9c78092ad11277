//! The queues that messages wait in before they are tried again (`retry:DURATION`). Such a queue has a time to live and
//! dead-letters into the queue that the messages came from. So nobody holds the messages meanwhile.

use std::time::Duration;

use crate::broker::{QueueDeclaration, Server};
use crate::message::HeaderValue;

/// The first release of `RabbitMQ` whose quorum queues lose nothing that they dead-letter
/// (<https://www.rabbitmq.com/docs/quorum-queues#dead-lettering>).
const AT_LEAST_ONCE: (u32, u32) = (3, 10);

/// The name of the queue that messages of `queue` wait in for so long.
pub(super) fn name(queue: &str, time: Duration) -> String {
    let milliseconds = time.as_millis();
    if milliseconds.is_multiple_of(1000) {
        format!("{queue}.retry.{}s", milliseconds / 1000)
    } else {
        format!("{queue}.retry.{milliseconds}ms")
    }
}

/// The queue that messages of `queue` wait in for so long. It stays when it is empty: a queue that expires takes its messages
/// along.
pub(super) fn declaration(queue: &str, time: Duration, server: Server) -> QueueDeclaration {
    let text = |value: &str| HeaderValue::String(value.to_owned());
    let milliseconds = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let mut arguments = vec![
        ("x-message-ttl", HeaderValue::Int64(milliseconds)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(queue)),
    ];
    if server.is_rabbitmq && (server.major, server.minor) >= AT_LEAST_ONCE {
        arguments.extend([
            ("x-queue-type", text("quorum")),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ]);
    }
    QueueDeclaration {
        name: name(queue, time),
        durable: true,
        arguments: arguments
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        ..QueueDeclaration::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_whole_seconds_or_milliseconds() {
        for (milliseconds, expected) in [
            (90_000, "q.retry.90s"),
            (500, "q.retry.500ms"),
            (1500, "q.retry.1500ms"),
            (3_600_000, "q.retry.3600s"),
        ] {
            assert_eq!(name("q", Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn nothing_is_lost_on_the_way_back_where_the_broker_can_see_to_it() {
        for (is_rabbitmq, major, minor, is_quorum) in [
            (true, 4, 0, true),
            (true, 3, 10, true),
            (true, 3, 9, false),
            (false, 9, 2, false),
        ] {
            let server = Server {
                is_rabbitmq,
                major,
                minor,
                frame_max: 0,
            };
            let queue = declaration("q", Duration::from_secs(1), server);
            let has = |name| queue.arguments.contains_key(name);
            assert_eq!(has("x-dead-letter-strategy"), is_quorum, "{server:?}");
            assert!(queue.durable && has("x-message-ttl") && !has("x-expires"));
        }
    }
}

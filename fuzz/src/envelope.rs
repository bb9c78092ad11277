//! Envelopes: what is read can be written, and read again as the same.

use amqp_tools::envelope::{from_json_line, to_json_line};
use amqp_tools::message::Message;

pub fn check(line: &[u8]) {
    let Ok(envelope) = from_json_line(line) else {
        return;
    };
    let message = Message {
        exchange: envelope.exchange.unwrap_or_default(),
        routing_key: envelope.routing_key.unwrap_or_default(),
        properties: envelope.properties,
        body: envelope.body,
    };
    let written = to_json_line(&message, None);
    assert!(!written.contains('\n'));
    let again = from_json_line(written.as_bytes()).unwrap();
    assert!(again.body == message.body);
    // Compared as text, since a float that is no number is not equal to itself.
    assert_eq!(
        format!("{:?}", again.properties),
        format!("{:?}", message.properties)
    );
    assert_eq!(again.exchange.unwrap_or_default(), message.exchange);
    assert_eq!(again.routing_key.unwrap_or_default(), message.routing_key);
}

//! The first call on a session's channel, where it is known before there is a connection: its method is sent together
//! with channel.open, and the answer is on its way when the call is made. That saves its round trip.

use amq_protocol::protocol::AMQPClass;

use crate::broker::transport::connection_events::ConnectionEvents;
use crate::broker::transport::frame::{self, MethodId};
use crate::broker::transport::outgoing::CHANNEL;

/// The largest frame that every broker takes (AMQP 0-9-1, section 4.2.3). A larger one is not sent before its time: should
/// the broker object, it would do so at once, perhaps before it has answered channel.open.
const SAFE_FRAME_SIZE: usize = 4096;

/// The method of a call in the form in which it is sent ahead of the call.
#[derive(Debug)]
pub(in crate::broker) struct FirstCall {
    frame: Vec<u8>,
    context: &'static str,
}

impl FirstCall {
    /// `method` is what the call has amiquip send, the same to the byte: the broker's answer goes to whoever asks first. It
    /// may be sent more than once, to one node after the other. `context` is its name in errors. `None`: it is too large.
    pub(in crate::broker) fn new(context: &'static str, method: &AMQPClass) -> Option<FirstCall> {
        let frame = frame::encode_class(CHANNEL, method, SAFE_FRAME_SIZE)?;
        Some(FirstCall { frame, context })
    }

    pub(in crate::broker) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The method's name, if it is what the broker closed the connection over. Where channels are processes of their own,
    /// the close can overtake the answer to channel.open.
    pub(super) fn context_if_refused(&self, events: &ConnectionEvents) -> Option<&'static str> {
        let MethodId(class, _) = MethodId::of_frame(&self.frame)?;
        events.is_closed_over(class).then_some(self.context)
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::protocol::queue::{AMQPMethod, Declare};

    use super::*;

    /// The declaration whose frame has `length` bytes.
    fn declaration(length: usize) -> Option<FirstCall> {
        // Frame 8, method number 4, ticket 2, the lengths of name and table 1 + 4, flags 1; in the table name, type and
        // length of the one value.
        const REST: usize = 20 + (2 + 1 + 4);
        let value = amq_protocol::types::AMQPValue::LongString("x".repeat(length - REST));
        let declare = AMQPClass::Queue(AMQPMethod::Declare(Declare {
            ticket: 0,
            queue: String::new(),
            passive: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: std::iter::once(("a".to_owned(), value)).collect(),
        }));
        FirstCall::new("queue.declare", &declare)
    }

    #[test]
    fn what_any_broker_takes_is_sent_ahead_and_nothing_larger() {
        let largest = declaration(SAFE_FRAME_SIZE).unwrap();
        assert_eq!(largest.frame().len(), SAFE_FRAME_SIZE);
        assert!(declaration(SAFE_FRAME_SIZE + 1).is_none());
    }
}

//! The first call on a session's channel, where it is known before there is a connection: its method is sent together
//! with channel.open, and the answer is on its way when the call is made. That saves its round trip.

use amq_protocol::frame::generation::gen_method_frame;
use amq_protocol::protocol::AMQPClass;

use super::endpoint::ConnectOptions;
use super::error::Result;
use super::head_start::{CHANNEL, HEAD};
use super::session::Session;
use super::witness::Witness;

/// The largest frame that every broker takes (AMQP 0-9-1, section 4.2.3). A larger one is not sent before its time: should
/// the broker object, it would do so at once, perhaps before it has answered channel.open.
const SAFE_FRAME_SIZE: usize = 4096;

/// One call in its two forms, which must be the same to the byte: the broker's answer goes to whoever asks first.
pub(super) trait FirstCall {
    /// What the broker answers.
    type Answer;

    /// The method, as errors name it.
    const CONTEXT: &'static str;

    /// The method that [`FirstCall::make`] has amiquip send. It may be sent more than once, to one node after the other.
    fn method(&self) -> AMQPClass;

    /// Has amiquip make the call.
    fn make(self, session: &Session) -> Result<Self::Answer>;
}

/// A call's method in the form in which it is sent ahead of the call.
#[derive(Debug)]
pub(super) struct EarlyMethod {
    frame: Vec<u8>,
    /// The method's class (AMQP 0-9-1, section 1.1).
    class: u16,
    /// The method, as errors name it.
    context: &'static str,
}

impl EarlyMethod {
    fn of<C: FirstCall>(call: &C) -> Option<EarlyMethod> {
        let mut frame = vec![0; SAFE_FRAME_SIZE];
        let (_, length) = gen_method_frame((&mut frame, 0), CHANNEL, &call.method()).ok()?;
        frame.truncate(length);
        Some(EarlyMethod {
            class: u16::from_be_bytes([frame[HEAD], frame[HEAD + 1]]),
            frame,
            context: C::CONTEXT,
        })
    }

    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The method, as errors name it, if it is what the broker closed the connection over. Of one whose channels are
    /// processes of their own, that word can overtake the answer to channel.open.
    pub(super) fn context_if_refused(&self, witness: &Witness) -> Option<&'static str> {
        witness.is_closed_over(self.class).then_some(self.context)
    }
}

impl Session {
    /// [`Session::open`], and this call at once. Nothing can come between the method that was sent ahead and the call that
    /// its answer belongs to.
    pub(super) fn open_calling<C: FirstCall>(
        options: &ConnectOptions,
        call: C,
    ) -> Result<(Session, C::Answer)> {
        let session = Session::open_sending(options, EarlyMethod::of(&call).as_ref())?;
        let answer = call.make(&session)?;
        Ok((session, answer))
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::protocol::queue::{AMQPMethod, Declare};

    use super::*;

    struct Declaration(AMQPClass);

    impl FirstCall for Declaration {
        type Answer = ();
        const CONTEXT: &'static str = "queue.declare";

        fn method(&self) -> AMQPClass {
            self.0.clone()
        }

        fn make(self, _session: &Session) -> Result<()> {
            Ok(())
        }
    }

    /// Whose frame has `length` bytes.
    fn declaration(length: usize) -> Declaration {
        // Frame 8, method number 4, ticket 2, the lengths of name and table 1 + 4, flags 1; in the table name, type and
        // length of the one value.
        const REST: usize = 20 + (2 + 1 + 4);
        let value = amq_protocol::types::AMQPValue::LongString("x".repeat(length - REST));
        Declaration(AMQPClass::Queue(AMQPMethod::Declare(Declare {
            ticket: 0,
            queue: String::new(),
            passive: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: std::iter::once(("a".to_owned(), value)).collect(),
        })))
    }

    #[test]
    fn what_any_broker_takes_is_sent_ahead_and_nothing_larger() {
        let largest = EarlyMethod::of(&declaration(SAFE_FRAME_SIZE)).unwrap();
        assert_eq!(largest.frame.len(), SAFE_FRAME_SIZE);
        assert_eq!(largest.class, 50);
        assert!(EarlyMethod::of(&declaration(SAFE_FRAME_SIZE + 1)).is_none());
    }
}

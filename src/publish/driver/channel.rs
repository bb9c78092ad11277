//! One connection in use: what is sent over it, what comes over it, and what is to become of it.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::broker::{Answer, Answers, BlockedNotice, Error, Publisher, Template};
use crate::message::Message;
use crate::publish::input::digest::Digest;
use crate::publish::input::records::Body;
use crate::publish::run::FromBroker;

/// A connection that messages are published on.
pub(super) struct PublishChannel<'session> {
    pub(super) publisher: Publisher<'session>,
    pub(super) answers: Answers,
    pub(super) blocked: Receiver<BlockedNotice>,
    pub(super) state: ChannelState,
}

/// What is to become of a connection.
pub(super) enum ChannelState {
    /// It is used on.
    InUse,
    /// It is to be closed.
    Close,
    /// It is to be cut.
    Cut,
    /// It has ended by itself, or its channel has.
    Broken(Error),
}

impl PublishChannel<'_> {
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.state, ChannelState::InUse)
    }

    /// Notes that the connection is broken, if nothing else is to become of it.
    pub(super) fn has_broken(&mut self, error: Error) {
        if self.is_in_use() {
            self.state = ChannelState::Broken(error);
        }
    }

    /// Publishes, unless the connection has just broken.
    pub(super) fn publish(&mut self, template: &Arc<Template>, body: &Body) {
        if self.is_in_use()
            && let Err(error) = self.publisher.publish_as(template, body)
        {
            self.state = ChannelState::Broken(error);
        }
    }
}

/// What has come, as the core is told.
pub(super) fn from_broker(answer: Answer) -> FromBroker {
    match answer {
        Answer::Confirmed(confirmation) => FromBroker::Confirmed(confirmation),
        Answer::Returned(returned) => FromBroker::Returned {
            fingerprint: fingerprint(returned.identity(), &returned.message.body),
            reason: reason(&returned.message),
        },
    }
}

/// What a message is told by when it comes back.
pub(super) fn fingerprint(identity: u64, body: &[u8]) -> u64 {
    Digest::from(identity).and(body).number()
}

/// Why a message came back, for a person.
fn reason(message: &Message) -> String {
    let Message {
        exchange,
        routing_key,
        ..
    } = message;
    if exchange.is_empty() {
        format!("basic.publish: no queue '{routing_key}'")
    } else {
        format!("basic.publish: exchange '{exchange}' routes '{routing_key}' to no queue")
    }
}

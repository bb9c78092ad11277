//! The channel that messages are published on, and what the driver is to do with it.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::quality::FixedState;

use crate::broker::{Answer, Answers, BlockedNotices, Error, Publisher, Template};
use crate::message::Message;
use crate::publish::run::FromBroker;

/// A channel that messages are published on.
pub(super) struct PublishChannel<'session> {
    pub(super) publisher: Publisher<'session>,
    pub(super) answers: Answers,
    pub(super) blocked: BlockedNotices,
    pub(super) state: ChannelState,
}

/// What the driver is to do with the connection.
pub(super) enum ChannelState {
    /// Use it.
    InUse,
    /// Close it.
    Close,
    /// Cut it.
    Cut,
    /// The connection or its channel has ended.
    Broken(Error),
}

impl PublishChannel<'_> {
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.state, ChannelState::InUse)
    }

    /// Notes that the connection is broken, if it is still in use.
    pub(super) fn has_broken(&mut self, error: Error) {
        if self.is_in_use() {
            self.state = ChannelState::Broken(error);
        }
    }

    /// Publishes, unless the connection is broken. The message may wait for [`PublishChannel::send`].
    pub(super) fn publish(&mut self, template: &Arc<Template>, body: &Bytes) {
        if self.is_in_use()
            && let Err(error) = self.publisher.queue(template, body)
        {
            self.state = ChannelState::Broken(error);
        }
    }

    /// Sends the messages that wait, unless the connection is broken.
    pub(super) fn send(&mut self) {
        if self.is_in_use()
            && let Err(error) = self.publisher.send()
        {
            self.state = ChannelState::Broken(error);
        }
    }
}

/// An answer of the broker as an event.
pub(super) fn from_broker(answer: Answer) -> FromBroker {
    match answer {
        Answer::Confirmed(confirmation) => FromBroker::Confirmed(confirmation),
        Answer::Returned(returned) => FromBroker::Returned {
            fingerprint: fingerprint(returned.identity(), &returned.message.body),
            reason: reason(&returned.message),
        },
    }
}

/// What a message is recognised by when it is returned. It differs from one version to the next.
pub(crate) fn fingerprint(identity: u64, body: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(identity).build_hasher();
    hasher.write(body);
    hasher.finish()
}

/// Why a message was returned, in words.
pub(crate) fn reason(message: &Message) -> String {
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

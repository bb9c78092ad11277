//! A delivery that the core has not forgotten, and what the core needs to know about it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::result::CommandResult;
use crate::broker::{Delivery, Unsettled};
use crate::consume::joblog::{CommandRun, CommandStart, LoggedMessage};
use crate::consume::process::environment::delivery_count;
use crate::consume::process::headers_file::HeadersFile;
use crate::consume::republish;
use crate::consume::run::{DeliveryInfo, SubscriptionId};
use crate::envelope;
use crate::message::{Fidelity, Message};

/// How much of a body goes into its digest.
const HASHED: usize = 4096;

/// A delivery that the core has not forgotten.
pub(super) struct OpenDelivery {
    pub(super) message: Message,
    /// Shared with the thread that writes it to a command.
    pub(super) body: Arc<Vec<u8>>,
    pub(super) redelivered: bool,
    pub(super) tag: u64,
    pub(super) fidelity: Fidelity,
    /// For the command that runs, where a variable cannot hold them.
    pub(super) headers_file: Option<HeadersFile>,
    /// Used up when the delivery is settled.
    pub(super) unsettled: Option<Unsettled>,
    /// A child was given it and has not answered it.
    pub(super) is_with_child: bool,
    /// The size of the body in bytes.
    pub(super) size: usize,
    /// The last start of its command.
    pub(super) start: Option<CommandStart>,
    /// A command that has ended, until it is known what becomes of the message.
    pub(super) ended: Option<CommandRun>,
    /// What that command wrote, where it is collected.
    pub(super) result: CommandResult,
}

impl OpenDelivery {
    pub(super) fn new(delivery: Delivery) -> OpenDelivery {
        let mut message = delivery.message;
        OpenDelivery {
            size: message.body.len(),
            body: Arc::new(std::mem::take(&mut message.body)),
            message,
            redelivered: delivery.redelivered,
            tag: delivery.tag,
            fidelity: delivery.fidelity,
            headers_file: None,
            unsettled: Some(delivery.unsettled),
            is_with_child: false,
            start: None,
            ended: None,
            result: CommandResult::default(),
        }
    }

    /// What the job log says of the message.
    pub(super) fn for_joblog<'a>(&'a self, queue: &'a str) -> LoggedMessage<'a> {
        LoggedMessage {
            message: &self.message,
            queue,
            redelivered: self.redelivered,
            size: self.size,
        }
    }

    /// The message's line, or why there is none. The body is dropped.
    pub(super) fn line(&mut self, is_lossy: bool) -> Result<String, &'static str> {
        if self.fidelity == Fidelity::Lossy && !is_lossy {
            return Err(envelope::NOT_WHOLE);
        }
        self.message.body = Arc::unwrap_or_clone(std::mem::take(&mut self.body));
        let line = envelope::to_json_line(&self.message, Some(self.redelivered)) + "\n";
        self.message.body = Vec::new();
        Ok(line)
    }
}

/// What a message is known again by.
pub(super) fn digest(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.body.len().hash(&mut hasher);
    message.body[..message.body.len().min(HASHED)].hash(&mut hasher);
    message.properties.message_id.hash(&mut hasher);
    hasher.finish()
}

/// What the core needs to know about a delivery, without its place in a stream.
pub(super) fn info(
    delivery: &Delivery,
    subscription: SubscriptionId,
    frame_max: usize,
) -> DeliveryInfo {
    let message = &delivery.message;
    let headers = message.properties.headers.as_ref();
    DeliveryInfo {
        subscription,
        redelivered: delivery.redelivered,
        delivery_count: delivery_count(message),
        attempts: republish::counted_attempts(message),
        dead_lettered: headers.is_some_and(|headers| headers.contains_key(republish::DEATHS)),
        size: message.body.len(),
        offset: None,
        obstacle: republish::obstacle(message, delivery.fidelity, frame_max),
        digest: digest(message),
        is_unfit: false,
    }
}

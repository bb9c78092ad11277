//! The queue that the tool consumes from, where it declares that queue itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::broker::{self, Destination, Error, QueueDeclaration, Session};
use crate::consume::options::SourceQueue;
use crate::system::stderr::say;

/// The feature by which `RabbitMQ` names queues that are neither durable nor exclusive. It refuses them from 4.3 on
/// (<https://www.rabbitmq.com/docs/queues#durability>).
const TRANSIENT: &str = "transient_nonexcl_queues";

/// What is known of the broker's queues, for all connections of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnQueue {
    refuses_transient: Arc<AtomicBool>,
}

impl OwnQueue {
    /// Whether the error is that the broker refuses a queue that is neither durable nor exclusive, for the first time. The queue
    /// is then declared in another way, on another connection: the broker has closed this one.
    pub(super) fn is_to_be_declared_otherwise(&self, error: &Error) -> bool {
        matches!(error, Error::Refused { text, .. } if text.contains(TRANSIENT))
            && !self.refuses_transient.swap(true, Ordering::Relaxed)
    }

    /// What is said about that.
    pub(super) fn say_how(source: &SourceQueue) {
        let is_named = matches!(source, SourceQueue::Declared { name, .. } if !name.is_empty());
        let how = if is_named {
            "durable and auto-delete"
        } else {
            "exclusive"
        };
        say(&format!(
            "the broker refuses queues that are neither durable nor exclusive; the queue is declared {how}"
        ));
    }

    /// Declares and binds the queue if the options say so, and returns its name.
    pub(super) fn prepare(
        &self,
        session: &Session,
        source: &SourceQueue,
    ) -> broker::Result<String> {
        let (name, exclusive, bindings) = match source {
            SourceQueue::Existing(name) => return Ok(name.clone()),
            SourceQueue::Declared {
                name,
                exclusive,
                bindings,
            } => (name, *exclusive, bindings),
        };
        let otherwise = self.refuses_transient.load(Ordering::Relaxed) && !exclusive;
        let queue = session.declare_queue(&QueueDeclaration {
            name: name.clone(),
            durable: otherwise && !name.is_empty(),
            exclusive: exclusive || (otherwise && name.is_empty()),
            auto_delete: true,
            ..QueueDeclaration::default()
        })?;
        if name.is_empty() {
            say(&format!("Server provided queue name: {}", queue.name));
        }
        for binding in bindings {
            session.bind(Destination::Queue(&queue.name), binding)?;
        }
        Ok(queue.name)
    }
}

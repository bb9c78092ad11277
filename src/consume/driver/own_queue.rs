//! The queue that the tool consumes from, where it declares that queue itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::broker::{self, Destination, Error, QueueDeclaration, Server, Session};
use crate::consume::options::SourceQueue;
use crate::system::stderr::say;

/// The feature by which `RabbitMQ` names queues that are neither durable nor exclusive. It refuses them from 4.3 on
/// (<https://www.rabbitmq.com/docs/queues#durability>).
const TRANSIENT: &str = "transient_nonexcl_queues";

/// What is known of the broker's queues, for all connections of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnQueue {
    refuses_transient: Arc<AtomicBool>,
    is_told: Arc<AtomicBool>,
}

impl OwnQueue {
    /// Whether the error is that the broker refuses a queue that is neither durable nor exclusive, for the first time. The queue
    /// is then declared in another way, on another connection.
    pub(super) fn is_to_be_declared_otherwise(&self, error: &Error, server: Server) -> bool {
        let refuses = is_refusal(error) || (may_refuse(server) && is_durable_already(error));
        refuses && !self.refuses_transient.swap(true, Ordering::Relaxed)
    }

    /// Says once how the queue is declared, where that is another way than usual.
    fn say_how(&self, is_named: bool) {
        if self.is_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let how = if is_named {
            "durable and auto-delete"
        } else {
            "exclusive"
        };
        say(&format!(
            "the queue is declared {how}: this release of the broker has no queues that are neither durable nor exclusive"
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
        let is_named = !name.is_empty();
        let otherwise = self.refuses_transient.load(Ordering::Relaxed) && !exclusive;
        let queue = session.declare_queue(&QueueDeclaration {
            name: name.clone(),
            durable: otherwise && is_named,
            exclusive: exclusive || (otherwise && !is_named),
            auto_delete: true,
            ..QueueDeclaration::default()
        })?;
        if otherwise {
            self.say_how(is_named);
        }
        if !is_named {
            say(&format!("Server provided queue name: {}", queue.name));
        }
        for binding in bindings {
            session.bind(Destination::Queue(&queue.name), binding)?;
        }
        Ok(queue.name)
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Refused { text, .. } if text.contains(TRANSIENT))
}

/// Whether the queue is there and durable: another worker may have declared it, which heard the refusal itself.
fn is_durable_already(error: &Error) -> bool {
    matches!(error, Error::Refused { text, .. } if text.contains("inequivalent arg 'durable'"))
}

fn may_refuse(server: Server) -> bool {
    server.is_rabbitmq && (server.major, server.minor) >= (4, 3)
}

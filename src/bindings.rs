//! What queues and exchanges are bound to: the part that amqp-declare-queue and amqp-declare-exchange have in common.

use crate::broker::{self, Binding, Destination, Session};
use crate::system::stderr::warn;

/// The bindings that are made and ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    /// These are to be.
    pub bind: Vec<Binding>,
    /// These are not to be; one that there is not is no error.
    pub unbind: Vec<Binding>,
}

impl Bindings {
    /// Makes and ends them for a queue or an exchange. New ones come first, so that no message is missed where one takes
    /// the place of another.
    pub fn apply(&self, session: &Session, destination: Destination<'_>) -> broker::Result<()> {
        for binding in &self.bind {
            session.bind(destination, binding)?;
        }
        for binding in &self.unbind {
            session.unbind(destination, binding)?;
        }
        Ok(())
    }

    /// Warns of bindings to headers exchanges that match every message, since they name no header.
    pub fn warn_of_match_all(&self, session: &mut Session) {
        for source in self.to_ask_about() {
            if session.is_headers_exchange(source) {
                warn(&format!(
                    "warning: --bind {source}: every message matches, since the exchange goes by headers and the binding names none; \
                     name them with --bind-argument KEY=VALUE"
                ));
            }
        }
    }

    /// Exchanges that may go by headers: what is bound without a key and without arguments. Each once.
    fn to_ask_about(&self) -> Vec<&str> {
        const OF_OTHER_TYPES: [&str; 3] = ["amq.direct", "amq.fanout", "amq.topic"];
        let mut sources: Vec<&str> = self
            .bind
            .iter()
            .filter(|binding| binding.routing_key.is_empty() && binding.arguments.is_empty())
            .map(|binding| binding.source.as_str())
            .filter(|source| !OF_OTHER_TYPES.contains(source))
            .collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }
}

//! What was seen on the wire that amiquip does not tell. Its I/O thread, which owns the stream, writes it down; the
//! session, which must explain why something failed, reads it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{Error, Scope};
use super::guard::News;

/// One connection's witness, shared by its stream and its session.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    mechanisms: String,
    close: Option<(u16, String)>,
    end: Option<End>,
}

/// How a connection ended that was not closed.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The network's doing, or the server's: it may be there again later.
    Broke(String),
    /// What the server sent makes no sense, and will not later either.
    Nonsense(String),
}

impl End {
    pub(super) fn reason(self) -> String {
        match self {
            End::Broke(reason) | End::Nonsense(reason) => reason,
        }
    }
}

impl Witness {
    pub(super) fn hear(&self, news: News) {
        let mut seen = self.seen();
        match news {
            News::Mechanisms(mechanisms) => seen.mechanisms = mechanisms,
            News::Close { code, text } => seen.close = Some((code, text)),
        }
    }

    /// Only the first end counts: all that follows comes of it.
    pub(super) fn see_end(&self, end: End) {
        self.seen().end.get_or_insert(end);
    }

    /// Whether the server offers a SASL mechanism.
    pub(super) fn is_offered(&self, mechanism: &str) -> bool {
        self.seen()
            .mechanisms
            .split(' ')
            .any(|offered| offered == mechanism)
    }

    /// The broker's word, if it closed the connection while `context` was done.
    pub(super) fn refusal(&self, context: &'static str) -> Option<Error> {
        let (code, text) = self.seen().close.clone()?;
        Some(Error::Refused {
            context,
            scope: Scope::Connection,
            code,
            text,
        })
    }

    /// How the connection ended, if it was not closed.
    pub(super) fn end(&self) -> Option<End> {
        self.seen().end.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An I/O error's reason, without the number that the standard library puts behind it.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

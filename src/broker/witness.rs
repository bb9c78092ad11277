//! What was seen on the wire that amiquip does not tell. Its I/O thread, which owns the stream, writes it down; the
//! session, which must explain why something failed, reads it.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvError, TryRecvError};

use super::error::{Error, Scope};
use super::guard::{FRAME_MAX, News};
use super::silence::heartbeat_against;
use crate::doorbell::Doorbell;

/// One connection's witness, shared by its stream and its session.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// Told when there is room again, and of the end.
    has_room: Condvar,
    doorbell: OnceLock<Doorbell>,
}

#[derive(Debug, Default)]
struct Seen {
    mechanisms: String,
    /// 0: any.
    frame_max: u32,
    close: Option<Close>,
    end: Option<End>,
    /// The broker takes no messages, and enough wait for it to do so.
    is_full: bool,
}

#[derive(Debug)]
struct Close {
    code: u16,
    text: String,
    class: u16,
}

/// How a connection ended that was not closed.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The network's doing, or the server's: it may be there again later.
    Broke(String),
    /// The other side's doing, broker or proxy, after so long a silence.
    Closed { reason: String, silence: Duration },
    /// What the server sent makes no sense, and will not later either.
    Nonsense(String),
}

impl End {
    pub(super) fn reason(self) -> String {
        match self {
            End::Broke(reason) | End::Nonsense(reason) => reason,
            End::Closed { reason, silence } => match heartbeat_against(silence) {
                None => reason,
                Some(heartbeat) => format!(
                    "{reason} after {}s in which nothing was sent; if a proxy did so, --heartbeat {heartbeat} prevents it",
                    silence.as_secs()
                ),
            },
        }
    }
}

impl Witness {
    pub(super) fn hear(&self, news: News) {
        let mut seen = self.seen();
        match news {
            News::Mechanisms(mechanisms) => seen.mechanisms = mechanisms,
            News::FrameMax(frame_max) => seen.frame_max = frame_max,
            News::Close { code, text, class } => seen.close = Some(Close { code, text, class }),
            News::Flow { .. } => {}
        }
    }

    /// Only the first end counts: all that follows comes of it.
    pub(super) fn see_end(&self, end: End) {
        self.seen().end.get_or_insert(end);
        self.0.has_room.notify_all();
    }

    /// Whether enough is kept back for a broker that takes no messages.
    pub(super) fn see_fullness(&self, is_full: bool) {
        self.seen().is_full = is_full;
        self.0.has_room.notify_all();
    }

    /// Waits for the broker to take messages where enough are kept back for it, or for the end.
    pub(super) fn wait_for_room(&self) {
        let is_full = |seen: &mut Seen| seen.is_full && seen.end.is_none();
        drop(self.0.has_room.wait_while(self.seen(), is_full));
    }

    /// Whether the server offers a SASL mechanism.
    pub(super) fn is_offered(&self, mechanism: &str) -> bool {
        self.seen()
            .mechanisms
            .split(' ')
            .any(|offered| offered == mechanism)
    }

    /// The largest frame that either side takes.
    pub(super) fn frame_max(&self) -> u32 {
        match self.seen().frame_max {
            0 => FRAME_MAX,
            brokers => brokers.min(FRAME_MAX),
        }
    }

    /// The broker's word, if it closed the connection while `context` was done.
    pub(super) fn refusal(&self, context: &'static str) -> Option<Error> {
        let seen = self.seen();
        let close = seen.close.as_ref()?;
        Some(Error::Refused {
            context,
            scope: Scope::Connection,
            code: close.code,
            text: close.text.clone(),
        })
    }

    /// Whether the broker closed the connection over a method of this class.
    pub(super) fn is_closed_over(&self, class: u16) -> bool {
        let seen = self.seen();
        seen.close
            .as_ref()
            .is_some_and(|close| close.class == class)
    }

    /// Whether nothing is read any more.
    pub(super) fn has_seen_end(&self) -> bool {
        self.seen().end.is_some()
    }

    /// How the connection ended, if it was not closed.
    pub(super) fn end(&self) -> Option<End> {
        self.seen().end.clone()
    }

    /// How long nothing passed before the other side closed the connection without a word.
    pub(super) fn silence_before_end(&self) -> Option<Duration> {
        let seen = self.seen();
        match (&seen.close, &seen.end) {
            (None, Some(End::Closed { silence, .. })) => Some(*silence),
            _ => None,
        }
    }

    /// Has `doorbell` rung for all that is read from here on, and for the end.
    /// What has come on a channel of amiquip's, without waiting; an error once nothing more will.
    ///
    /// amiquip lets go of its channels a moment after it has let go of the stream, which rings then for the last time:
    /// that moment is waited for.
    pub(super) fn what_has_come<T>(&self, channel: &Receiver<T>) -> Option<Result<T, RecvError>> {
        let has_ended = self.has_seen_end();
        match channel.try_recv() {
            Ok(message) => Some(Ok(message)),
            Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
            Err(TryRecvError::Empty) => has_ended.then(|| channel.recv()),
        }
    }

    pub(super) fn ring_for_news(&self, doorbell: &Doorbell) {
        self.0.doorbell.get_or_init(|| doorbell.clone());
    }

    /// What was read is where it belongs: wakes whoever waits for it.
    pub(super) fn ring(&self) {
        if let Some(doorbell) = self.0.doorbell.get() {
            doorbell.ring();
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What is seen on the connection that amiquip does not pass on: what the server offers, why it closes the connection, how
//! the connection ended. amiquip's I/O thread, which owns the stream, records it; the session, which must explain why
//! something failed, reads it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvError, TryRecvError};

use super::incoming::{FRAME_MAX, ServerEvent};
use super::silence::heartbeat_against;
use crate::broker::error::{Error, Scope};
use crate::message::Fidelity;
use crate::system::waker::Waker;

/// The events of one connection, shared by its stream and its session.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct ConnectionEvents(Arc<SharedEvents>);

#[derive(Debug)]
struct SharedEvents {
    began: Instant,
    /// When something was read last, in milliseconds since it began.
    last_read: AtomicU64,
    events: Mutex<Events>,
    /// Notified when there is room again, and of the end.
    has_room: Condvar,
    waker: OnceLock<Waker>,
}

impl Default for SharedEvents {
    fn default() -> Self {
        SharedEvents {
            began: Instant::now(),
            last_read: AtomicU64::new(0),
            events: Mutex::default(),
            has_room: Condvar::default(),
            waker: OnceLock::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Events {
    mechanisms: String,
    /// 0: any.
    frame_max: u32,
    /// What we ask for; 0: any.
    own_frame_max: u32,
    /// In seconds; 0: the broker leaves it to the client.
    heartbeat: u16,
    /// connection.close: the reply code, the broker's words, and the class of the method that it objects to.
    close: Option<(u16, String, u16)>,
    disconnect: Option<Disconnect>,
    /// Deliveries that are not all as they were sent, by channel and tag, until they are taken.
    inexact: BTreeMap<(u16, u64), Fidelity>,
    /// Enough messages wait to be sent.
    is_full: bool,
}

/// How a connection ended that was not closed in AMQP's way.
#[derive(Clone, Debug)]
pub(in crate::broker) enum Disconnect {
    /// The network or the server failed. A retry may help.
    Broken(String),
    /// The other side, broker or proxy, closed it after so long a silence.
    Closed { reason: String, silence: Duration },
    /// The server does not speak AMQP. A retry does not help.
    NotAmqp(String),
}

impl Disconnect {
    pub(in crate::broker) fn reason(self) -> String {
        match self {
            Disconnect::Broken(reason) | Disconnect::NotAmqp(reason) => reason,
            Disconnect::Closed { reason, silence } => match heartbeat_against(silence) {
                None => reason,
                Some(heartbeat) => format!(
                    "{reason} after {}s in which nothing was sent; if a proxy did so, --heartbeat {heartbeat} prevents it",
                    silence.as_secs()
                ),
            },
        }
    }
}

impl ConnectionEvents {
    pub(super) fn record(&self, event: ServerEvent) {
        let mut events = self.events();
        match event {
            ServerEvent::Mechanisms(mechanisms) => events.mechanisms = mechanisms,
            ServerEvent::Tune {
                frame_max,
                heartbeat,
            } => {
                events.frame_max = frame_max;
                events.heartbeat = heartbeat;
            }
            ServerEvent::Close { code, text, class } => events.close = Some((code, text, class)),
            ServerEvent::Delivered {
                channel,
                tag,
                fidelity,
            } => {
                events.inexact.insert((channel, tag), fidelity);
            }
            ServerEvent::Flow { .. } => {}
        }
    }

    /// Only the first counts: the others follow from it.
    pub(super) fn record_disconnect(&self, disconnect: Disconnect) {
        self.events().disconnect.get_or_insert(disconnect);
        self.0.has_room.notify_all();
    }

    /// Whether enough messages wait to be sent.
    pub(super) fn record_fullness(&self, is_full: bool) {
        self.events().is_full = is_full;
        self.0.has_room.notify_all();
    }

    /// Wakes whoever waits for what was read: amiquip has dealt with it.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.0.waker.get() {
            waker.wake();
        }
    }

    /// Has `waker` called for all that is read from here on, and for the end.
    pub(in crate::broker) fn wake_on_arrival(&self, waker: &Waker) {
        self.0.waker.get_or_init(|| waker.clone());
    }

    /// Waits while enough messages wait to be sent, or for the end.
    pub(in crate::broker) fn wait_for_room(&self) {
        let is_full = |events: &mut Events| events.is_full && events.disconnect.is_none();
        drop(self.0.has_room.wait_while(self.events(), is_full));
    }

    /// Something was read at this time.
    pub(super) fn record_read(&self, at: Instant) {
        let since = at.saturating_duration_since(self.0.began).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.0.last_read.store(since, Ordering::Relaxed);
    }

    /// How long nothing was read.
    pub(in crate::broker) fn silence(&self) -> Duration {
        let last = Duration::from_millis(self.0.last_read.load(Ordering::Relaxed));
        self.0.began.elapsed().saturating_sub(last)
    }

    /// The heartbeat interval that holds where the client asks for `wanted`; 0: none.
    pub(in crate::broker) fn heartbeat(&self, wanted: u16) -> u16 {
        match self.events().heartbeat {
            0 => wanted,
            brokers => brokers.min(wanted),
        }
    }

    /// Whether the server offers a SASL mechanism.
    pub(in crate::broker) fn is_offered(&self, mechanism: &str) -> bool {
        self.events()
            .mechanisms
            .split(' ')
            .any(|offered| offered == mechanism)
    }

    /// How much of a delivery is as it was sent. It is told once.
    pub(in crate::broker) fn take_fidelity(&self, channel: u16, tag: u64) -> Fidelity {
        let told = self.events().inexact.remove(&(channel, tag));
        told.unwrap_or_default()
    }

    /// Asks for frames of at most that size (0: any) and says what that means here.
    pub(in crate::broker) fn limit_frames(&self, size: u32) -> u32 {
        self.events().own_frame_max = size;
        at_most(FRAME_MAX, size)
    }

    /// The largest frame that both sides take, in bytes.
    pub(in crate::broker) fn frame_max(&self) -> u32 {
        let events = self.events();
        at_most(at_most(FRAME_MAX, events.own_frame_max), events.frame_max)
    }

    /// The broker's reason, if it closed the connection while `context` was done.
    pub(in crate::broker) fn refusal(&self, context: &'static str) -> Option<Error> {
        let events = self.events();
        let (code, text, _) = events.close.as_ref()?;
        Some(Error::Refused {
            context,
            scope: Scope::Connection,
            code: *code,
            text: text.clone(),
        })
    }

    /// Whether the broker closed the connection over a method of this class.
    pub(in crate::broker) fn is_closed_over(&self, class: u16) -> bool {
        matches!(&self.events().close, Some((_, _, its_class)) if *its_class == class)
    }

    /// How the connection ended, if it did and was not closed.
    pub(in crate::broker) fn disconnect(&self) -> Option<Disconnect> {
        self.events().disconnect.clone()
    }

    /// How long nothing passed before the other side closed the connection without a reason.
    pub(in crate::broker) fn silence_before_end(&self) -> Option<Duration> {
        let events = self.events();
        match (&events.close, &events.disconnect) {
            (None, Some(Disconnect::Closed { silence, .. })) => Some(*silence),
            _ => None,
        }
    }

    /// What has come on a channel of amiquip's, without waiting; an error once nothing more will.
    ///
    /// amiquip drops its channels a moment after it has dropped the stream, which wakes the session's thread for the
    /// last time. That moment is waited for.
    pub(in crate::broker) fn next_from<T>(
        &self,
        channel: &Receiver<T>,
    ) -> Option<Result<T, RecvError>> {
        let has_ended = self.events().disconnect.is_some();
        match channel.try_recv() {
            Ok(message) => Some(Ok(message)),
            Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
            Err(TryRecvError::Empty) => has_ended.then(|| channel.recv()),
        }
    }

    fn events(&self) -> MutexGuard<'_, Events> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The smaller of the two, where 0 limits nothing.
fn at_most(size: u32, limit: u32) -> u32 {
    if limit == 0 { size } else { size.min(limit) }
}

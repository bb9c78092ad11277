//! The stream between amiquip and the socket. What amiquip writes passes through [`Outgoing`], what it reads through
//! [`Incoming`]; what happens besides is recorded in [`ConnectionEvents`]. Other threads send messages and acknowledgements
//! past amiquip: see [`WireSender`].

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use amiquip::IoStream;
use bytes::Bytes;
use mio::{Evented, Poll, PollOpt, Ready, Registration, SetReadiness, Token};

use super::connection_events::{ConnectionEvents, Disconnect};
use super::deadline::Deadline;
use super::incoming::{Incoming, ServerEvent};
use super::outgoing::Outgoing;
use super::outgoing::batch::MessageHead;
use super::silence::{Observed, Traffic};
use super::socket::Socket;
use crate::reason::reason;

/// A connection to the broker that amiquip reads from and writes to.
pub(in crate::broker) struct BrokerStream {
    wire: Arc<Mutex<Wire>>,
    incoming: Incoming,
    /// Wakes amiquip where there is something to read which the socket does not know of.
    registration: Registration,
    readiness: SetReadiness,
    deadline: Deadline,
    events: ConnectionEvents,
    last_read: Instant,
    /// Whether something was read since the session's thread was woken.
    has_new_input: bool,
}

/// The socket, and what goes to it.
struct Wire {
    socket: Observed<Socket>,
    outgoing: Outgoing,
    /// What was recorded last of how much waits there.
    was_full: bool,
    events: ConnectionEvents,
}

/// Sends past amiquip, from any thread, and waits for nothing. The socket is amiquip's thread's: it is closed when that thread
/// ends.
#[derive(Clone)]
pub(in crate::broker) struct WireSender {
    wire: Weak<Mutex<Wire>>,
    readiness: SetReadiness,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Queued {
    /// It waits to be sent.
    Yes,
    /// It waits, and enough does for a write.
    Enough,
    /// It is dropped: the channel has ended.
    No,
}

/// amiquip gives up on a broker after two heartbeat intervals of silence, and on one that sends nonsense at once.
const SILENCE: Duration = Duration::from_secs(1);

impl BrokerStream {
    /// `is_greeted`: the protocol header was sent over the socket. `first_call` is the frame of a method that is sent ahead.
    pub(in crate::broker) fn over(
        socket: Socket,
        is_greeted: bool,
        first_call: Option<&[u8]>,
        deadline: Deadline,
        events: ConnectionEvents,
    ) -> BrokerStream {
        let (registration, readiness) = Registration::new2();
        BrokerStream {
            wire: Arc::new(Mutex::new(Wire {
                socket: Observed {
                    inner: socket,
                    traffic: Traffic::begins(),
                },
                outgoing: Outgoing::new(is_greeted, first_call),
                was_full: false,
                events: events.clone(),
            })),
            incoming: Incoming::default(),
            registration,
            readiness,
            deadline,
            events,
            last_read: Instant::now(),
            has_new_input: false,
        }
    }

    pub(in crate::broker) fn sender(&self) -> WireSender {
        WireSender {
            wire: Arc::downgrade(&self.wire),
            readiness: self.readiness.clone(),
        }
    }

    /// Writes what amiquip believes to be written. amiquip waits for the network only for what it still has itself, so it
    /// is woken to come back to this.
    fn write_on(&mut self) {
        const MOMENT: Duration = Duration::from_millis(1);
        let mut wire = lock(&self.wire);
        wire.flush();
        let needs_wake = wire.outgoing.needs_wake();
        drop(wire);
        if needs_wake {
            thread::sleep(MOMENT);
            wake(&self.readiness);
        }
    }

    /// Why reading ended.
    fn disconnect(&self, error: &io::Error) -> Disconnect {
        let explained = lock(&self.wire).socket.inner.explain(error);
        match (explained, error.kind()) {
            (Some(reason), _) => Disconnect::NotAmqp(reason),
            (None, io::ErrorKind::InvalidData) => Disconnect::NotAmqp(error.to_string()),
            // The server closed before it had read all that was sent.
            (None, io::ErrorKind::ConnectionReset) => self.closed(),
            (None, _) => Disconnect::Broken(reason(error)),
        }
    }

    fn closed(&self) -> Disconnect {
        let who = if self.incoming.has_sent_frame() {
            "broker"
        } else {
            "server"
        };
        Disconnect::Closed {
            reason: format!("the {who} closed the connection"),
            silence: lock(&self.wire).socket.traffic.silence(),
        }
    }
}

impl Wire {
    /// Writes what waits for that. If it fails for good, reading ends too.
    fn flush(&mut self) {
        let _ = self.outgoing.flush(&mut self.socket);
        let is_full = self.outgoing.is_full();
        if is_full != std::mem::replace(&mut self.was_full, is_full) {
            self.events.record_fullness(is_full);
        }
    }
}

impl WireSender {
    /// Sends basic.ack, on our one channel. Whether the broker has taken it shows when the session is closed.
    pub(in crate::broker) fn acknowledge(&self, tag: u64) {
        let Some(wire) = self.wire.upgrade() else {
            return; // the connection has ended, and the broker has the message again
        };
        let mut wire = lock(&wire);
        wire.outgoing.acknowledge(tag);
        wire.flush();
        if wire.outgoing.needs_wake() {
            wake(&self.readiness);
        }
    }

    /// Has messages wait until amiquip sends confirm.select. amiquip must be asked for that after this call. The broker gets it
    /// if messages are confirmed.
    pub(in crate::broker) fn begin_publishing(&self, is_confirmed: bool) {
        if let Some(wire) = self.wire.upgrade() {
            lock(&wire).outgoing.begin_publishing(is_confirmed);
        }
    }

    /// Has a message wait to be sent, in frames of at most `frame_max` bytes, on our one channel.
    pub(in crate::broker) fn publish(
        &self,
        head: &MessageHead,
        body: &Bytes,
        frame_max: u32,
    ) -> Queued {
        let Some(wire) = self.wire.upgrade() else {
            return Queued::No;
        };
        let outgoing = &mut lock(&wire).outgoing;
        if !outgoing.publish(head, body, frame_max as usize) {
            Queued::No
        } else if outgoing.is_worth_a_write() {
            Queued::Enough
        } else {
            Queued::Yes
        }
    }

    /// Sends the messages that wait, as far as the socket takes them. True: amiquip must be asked for confirm.select, so that
    /// its thread sends the rest.
    pub(in crate::broker) fn send(&self) -> bool {
        let Some(wire) = self.wire.upgrade() else {
            return false;
        };
        let mut wire = lock(&wire);
        wire.flush();
        wire.outgoing.must_ask()
    }
}

/// Has amiquip read from the stream, which writes on too.
fn wake(readiness: &SetReadiness) {
    // It fails only if amiquip has ended.
    let _ = readiness.set_readiness(Ready::readable());
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IoStream for BrokerStream {}

impl Read for BrokerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = lock(&self.wire);
        if self.deadline.passes() {
            // The connection may be gone already; then there is nothing to end.
            let _ = wire.socket.inner.tcp().shutdown(Shutdown::Both);
        }
        let result = self.incoming.read(&mut wire.socket, buffer);
        for event in self.incoming.take_events() {
            if let ServerEvent::Flow { is_active } = event {
                wire.outgoing.obey(is_active);
            }
            self.events.record(event);
        }
        drop(wire);
        self.write_on();
        match &result {
            Ok(0) => self.events.record_disconnect(self.closed()),
            Ok(_) => {
                self.last_read = Instant::now();
                self.events.record_read(self.last_read);
                self.has_new_input = true;
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.events.record_disconnect(self.disconnect(error));
            }
            // amiquip has dealt with what it read before it reads on.
            Err(_) => {
                if std::mem::take(&mut self.has_new_input) {
                    self.events.wake();
                }
            }
        }
        result
    }
}

impl Write for BrokerStream {
    /// An error is reported as `WouldBlock`. The server may have sent confirms and the reason why it closed; amiquip still has
    /// to read them, and then reading ends with an error too.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = lock(&self.wire);
        let Wire {
            socket, outgoing, ..
        } = &mut *wire;
        let before = outgoing.last_answer();
        let written = outgoing.write(bytes, socket);
        let now = outgoing.last_answer();
        drop(wire);
        self.write_on();
        if now != before {
            self.incoming.pause_behind(now);
            if before.is_some() {
                wake(&self.readiness);
            }
        }
        written.map_err(|_| io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.wire).socket.flush()
    }
}

impl Drop for BrokerStream {
    /// amiquip gives its reason for ending a connection only to the thread that joins its own.
    fn drop(&mut self) {
        let silence = self.last_read.elapsed();
        self.events.record_disconnect(if silence > SILENCE {
            let seconds = silence.as_secs_f64().round();
            Disconnect::Broken(format!("no sign of life from the broker for {seconds}s"))
        } else {
            Disconnect::NotAmqp("the server sent what is not AMQP 0-9-1, or out of turn".to_owned())
        });
        self.events.wake();
    }
}

impl Evented for BrokerStream {
    fn register(
        &self,
        poll: &Poll,
        token: Token,
        interest: Ready,
        opts: PollOpt,
    ) -> io::Result<()> {
        lock(&self.wire)
            .socket
            .inner
            .tcp()
            .register(poll, token, interest, opts)?;
        self.deadline.register(poll, token)?;
        self.registration
            .register(poll, token, Ready::readable(), opts)
    }

    fn reregister(
        &self,
        poll: &Poll,
        token: Token,
        interest: Ready,
        opts: PollOpt,
    ) -> io::Result<()> {
        lock(&self.wire)
            .socket
            .inner
            .tcp()
            .reregister(poll, token, interest, opts)
    }

    fn deregister(&self, poll: &Poll) -> io::Result<()> {
        Evented::deregister(&self.registration, poll)?;
        self.deadline.deregister(poll)?;
        lock(&self.wire).socket.inner.tcp().deregister(poll)
    }
}

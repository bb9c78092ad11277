//! The byte stream under AMQP, in the form that amiquip takes: TCP or TLS, watched over by the wire guard.

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use amiquip::IoStream;
use mio::{Evented, Poll, PollOpt, Ready, Registration, SetReadiness, Token};

use super::endpoint::{Endpoint, Transport};
use super::error::{Error, Result};
use super::guard::{Guard, News};
use super::head_start::HeadStart;
use super::introduction::Introduction;
use super::outbound::Outbound;
use super::silence::Traffic;
use super::tls::TlsWire;
use super::witness::{End, Witness};
use crate::reason::reason;

/// A connection to the broker that amiquip reads from and writes to.
pub(super) struct BrokerStream {
    wire: Wire,
    guard: Guard,
    introduction: Introduction,
    head_start: HeadStart,
    outbound: Outbound,
    /// What was told last of how much waits there.
    was_full: bool,
    bell: Bell,
    witness: Witness,
    traffic: Traffic,
    last_heard: Instant,
    /// Whether something was read that nobody was rung for yet.
    has_news: bool,
}

/// Tells amiquip that there is something to read which the socket does not know of.
struct Bell {
    registration: Registration,
    readiness: SetReadiness,
}

/// amiquip gives up on a broker after two heartbeat intervals of silence, and on one that sends nonsense at once.
const SILENCE: Duration = Duration::from_secs(1);

enum Wire {
    Tcp(mio::net::TcpStream),
    Tls(Box<TlsWire>),
}

impl BrokerStream {
    /// Makes `socket` the stream that `endpoint` asks for; `introduction` says what of it is sent, and `head_start` what
    /// will be sent early.
    pub(super) fn over(
        socket: std::net::TcpStream,
        endpoint: &Endpoint,
        introduction: Introduction,
        head_start: HeadStart,
        witness: Witness,
    ) -> Result<BrokerStream> {
        let wire = match &endpoint.transport {
            Transport::Tcp => {
                Wire::Tcp(mio::net::TcpStream::from_stream(socket).map_err(|error| {
                    Error::Unreachable {
                        address: endpoint.to_string(),
                        reason: reason(&error),
                    }
                })?)
            }
            Transport::Tls(client) => Wire::Tls(Box::new(TlsWire::over(socket, endpoint, client)?)),
        };
        Ok(BrokerStream {
            wire,
            guard: Guard::default(),
            introduction,
            head_start,
            outbound: Outbound::default(),
            was_full: false,
            bell: Bell::new(),
            witness,
            traffic: Traffic::begins(),
            last_heard: Instant::now(),
            has_news: false,
        })
    }

    /// What the broker answers is held back as long as amiquip has not asked for it.
    fn write_past_introduction(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.head_start.last_answer();
        let mut outbound = OutboundWire {
            outbound: &mut self.outbound,
            wire: &mut self.wire,
        };
        let written = self.head_start.write(bytes, &mut outbound);
        self.write_on();
        let now = self.head_start.last_answer();
        if now != before {
            match now {
                Some(answer) => self.guard.pause_behind(answer),
                None => self.guard.resume(),
            }
            if before.is_some() {
                self.bell.ring();
            }
        }
        written
    }

    /// Writes what amiquip believes to be written. amiquip waits for the network only for what it still has itself, so it
    /// is had come back to this.
    fn write_on(&mut self) {
        const MOMENT: Duration = Duration::from_millis(1);
        if !self.outbound.needs_flush() {
            return self.tell_fullness();
        }
        // If it fails for good, reading ends too.
        let _ = self.outbound.flush(&mut self.wire);
        if self.outbound.needs_flush() {
            thread::sleep(MOMENT);
            self.bell.ring();
        }
        self.tell_fullness();
    }

    fn tell_fullness(&mut self) {
        let is_full = self.outbound.is_full();
        if is_full != std::mem::replace(&mut self.was_full, is_full) {
            self.witness.see_fullness(is_full);
        }
    }

    /// Writes down why reading ended.
    fn see_end(&self, error: &io::Error) {
        self.witness
            .see_end(match (self.wire.explain(error), error.kind()) {
                (Some(reason), _) => End::Nonsense(reason),
                (None, io::ErrorKind::InvalidData) => End::Nonsense(error.to_string()),
                // So the system calls it when a server closes before it has read all that was sent.
                (None, io::ErrorKind::ConnectionReset) => self.closed(),
                (None, _) => End::Broke(reason(error)),
            });
    }

    /// amiquip has dealt with what it read before it reads on.
    fn ring_for_news(&mut self) {
        if std::mem::take(&mut self.has_news) {
            self.witness.ring();
        }
    }

    fn closed(&self) -> End {
        let who = if self.guard.has_met_server() {
            "broker"
        } else {
            "server"
        };
        End::Closed {
            reason: format!("the {who} closed the connection"),
            silence: self.traffic.silence(),
        }
    }
}

impl IoStream for BrokerStream {}

/// The wire as those see it who write before it.
struct OutboundWire<'a> {
    outbound: &'a mut Outbound,
    wire: &'a mut Wire,
}

impl Write for OutboundWire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outbound.write(bytes, self.wire)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

impl Read for BrokerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.guard.read(&mut self.wire, buffer);
        for news in self.guard.take_news() {
            if let News::Flow { is_active } = news {
                self.outbound.obey(is_active);
            }
            self.witness.hear(news);
        }
        self.write_on();
        match &result {
            Ok(0) => self.witness.see_end(self.closed()),
            Ok(_) => {
                self.traffic.was_heard();
                self.last_heard = Instant::now();
                self.has_news = true;
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.see_end(error),
            Err(_) => self.ring_for_news(),
        }
        result
    }
}

impl Drop for BrokerStream {
    /// amiquip says why it ends a connection only to who joins its thread.
    fn drop(&mut self) {
        let silence = self.last_heard.elapsed();
        self.witness.see_end(if silence > SILENCE {
            let seconds = silence.as_secs_f64().round();
            End::Broke(format!("no sign of life from the broker for {seconds}s"))
        } else {
            End::Nonsense("the server sent what is not AMQP 0-9-1, or out of turn".to_owned())
        });
        self.witness.ring();
    }
}

impl Write for BrokerStream {
    /// A wire that takes nothing any more is reported as one that takes nothing now. The server may have said why it
    /// hung up, and confirmed what came before; that is still to be read, and then reading ends too.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = if self.introduction.is_over() {
            self.write_past_introduction(bytes)
        } else {
            self.introduction.write(bytes, &mut self.wire)
        };
        if written.is_ok() {
            self.traffic.was_written();
        }
        written.map_err(|_| io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

impl Bell {
    fn new() -> Bell {
        let (registration, readiness) = Registration::new2();
        Bell {
            registration,
            readiness,
        }
    }

    fn ring(&self) {
        // It fails only where nobody listens.
        let _ = self.readiness.set_readiness(Ready::readable());
    }
}

impl Wire {
    fn socket(&self) -> &mio::net::TcpStream {
        match self {
            Wire::Tcp(socket) => socket,
            Wire::Tls(tls) => tls.socket(),
        }
    }

    fn explain(&self, error: &io::Error) -> Option<String> {
        match self {
            Wire::Tcp(_) => None,
            Wire::Tls(tls) => tls.explain(error),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Tcp(socket) => socket.read(buffer),
            Wire::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Tcp(socket) => socket.write(bytes),
            Wire::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Tcp(socket) => socket.flush(),
            Wire::Tls(tls) => tls.flush(),
        }
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
        self.wire.socket().register(poll, token, interest, opts)?;
        self.bell
            .registration
            .register(poll, token, Ready::readable(), opts)
    }

    fn reregister(
        &self,
        poll: &Poll,
        token: Token,
        interest: Ready,
        opts: PollOpt,
    ) -> io::Result<()> {
        self.wire.socket().reregister(poll, token, interest, opts)
    }

    fn deregister(&self, poll: &Poll) -> io::Result<()> {
        Evented::deregister(&self.bell.registration, poll)?;
        self.wire.socket().deregister(poll)
    }
}

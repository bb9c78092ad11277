//! The byte stream under AMQP, in the form that amiquip takes.

use std::io::{self, Read, Write};

use amiquip::IoStream;
use mio::{Evented, Poll, PollOpt, Ready, Token};

use super::endpoint::{Endpoint, Transport};
use super::error::{Error, Result};

/// A connection to the broker that amiquip reads from and writes to.
pub(super) struct BrokerStream {
    socket: mio::net::TcpStream,
}

impl BrokerStream {
    /// Makes `socket` the stream that `endpoint` asks for.
    pub(super) fn over(socket: std::net::TcpStream, endpoint: &Endpoint) -> Result<BrokerStream> {
        match endpoint.transport {
            Transport::Tcp => {}
            Transport::Tls => return Err(Error::Login("TLS is not supported yet".to_owned())),
        }
        let socket =
            mio::net::TcpStream::from_stream(socket).map_err(|error| Error::Unreachable {
                address: endpoint.to_string(),
                reason: error.to_string(),
            })?;
        Ok(BrokerStream { socket })
    }
}

impl IoStream for BrokerStream {}

impl Read for BrokerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for BrokerStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
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
        self.socket.register(poll, token, interest, opts)
    }

    fn reregister(
        &self,
        poll: &Poll,
        token: Token,
        interest: Ready,
        opts: PollOpt,
    ) -> io::Result<()> {
        self.socket.reregister(poll, token, interest, opts)
    }

    fn deregister(&self, poll: &Poll) -> io::Result<()> {
        self.socket.deregister(poll)
    }
}

//! The socket under a connection: plain TCP, or TLS over it.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::deadline::Deadline;
use super::tls::{TlsClient, TlsStream};
use crate::broker::error::{Error, Result};

/// A socket that does not block.
pub(in crate::broker) enum Socket {
    Tcp(mio::net::TcpStream),
    Tls(Box<TlsStream>),
}

impl Socket {
    /// Takes over a connected socket, with TLS if there is a client for that; its handshake has the `deadline`. `host` is whom the
    /// certificate must be for; `address` is for errors.
    pub(in crate::broker) fn over(
        tcp: TcpStream,
        tls: Option<&TlsClient>,
        host: &str,
        address: &str,
        deadline: &Deadline,
    ) -> Result<Socket> {
        match tls {
            Some(client) => {
                let stream = TlsStream::over(tcp, client, host, address, deadline)?;
                Ok(Socket::Tls(Box::new(stream)))
            }
            None => mio::net::TcpStream::from_stream(tcp)
                .map(Socket::Tcp)
                .map_err(|error| Error::unreachable(address, &error)),
        }
    }

    /// The TCP socket, to wait for.
    pub(super) fn tcp(&self) -> &mio::net::TcpStream {
        match self {
            Socket::Tcp(tcp) => tcp,
            Socket::Tls(tls) => tls.tcp(),
        }
    }

    /// What an error of reading or writing means, if it is TLS's.
    pub(super) fn explain(&self, error: &io::Error) -> Option<String> {
        match self {
            Socket::Tcp(_) => None,
            Socket::Tls(tls) => tls.explain(error),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.read(buffer),
            Socket::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.write(bytes),
            Socket::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tcp(tcp) => tcp.flush(),
            Socket::Tls(tls) => tls.flush(),
        }
    }
}

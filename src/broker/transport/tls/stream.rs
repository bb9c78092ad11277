//! A TLS connection over a socket: the handshake while the socket still blocks, then reads and writes that do not.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::ClientConnection;
use rustls_pki_types::ServerName;

use super::handshake::{self, HandshakeSocket};
use super::{TlsClient, explain};
use crate::broker::error::{Error, Result};
use crate::broker::transport::deadline::Deadline;
use crate::broker::transport::other_protocol;

/// An encrypted connection.
pub(in crate::broker) struct TlsStream {
    tls: ClientConnection,
    tcp: mio::net::TcpStream,
    /// How many bytes rustls has taken from a write that is not reported as done, because their ciphertext is not all sent.
    /// amiquip waits for the socket only while it has bytes left itself. If these were reported as done, the rest of the
    /// ciphertext might never be sent.
    taken: usize,
    has_identity: bool,
}

impl TlsStream {
    /// Does the TLS handshake before the deadline. `host` is whom its certificate must be for, if the client has no other name
    /// for the server; `address` is for errors.
    pub(in crate::broker) fn over(
        tcp: TcpStream,
        client: &TlsClient,
        host: &str,
        address: &str,
        deadline: &Deadline,
    ) -> Result<TlsStream> {
        let unsuitable = |reason: String| Error::Unsuitable {
            address: address.to_owned(),
            reason,
        };
        let broken = |error: io::Error| match rustls_error(&error) {
            Some(error) => unsuitable(explain::failure(error, client.has_identity)),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Error::Unreachable {
                address: address.to_owned(),
                reason: "the server closed the connection during the TLS handshake".to_owned(),
            },
            None => Error::unreachable(address, &error),
        };
        let host = client.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| unsuitable("no certificate can be for such a name".to_owned()))?;
        let mut tls = ClientConnection::new(Arc::clone(&client.config), name)
            .map_err(|error| unsuitable(error.to_string()))?;
        let mut socket = HandshakeSocket {
            tcp: &tcp,
            deadline,
        };
        while tls.wants_write() {
            tls.write_tls(&mut socket).map_err(broken)?;
        }
        if let Some(protocol) = protocol_without_tls(&socket).map_err(broken)? {
            return Err(unsuitable(protocol));
        }
        handshake::complete(&mut tls, &mut socket).map_err(broken)?;
        Ok(TlsStream {
            tls,
            tcp: mio::net::TcpStream::from_stream(tcp).map_err(broken)?,
            taken: 0,
            has_identity: client.has_identity,
        })
    }

    /// The socket, to wait for.
    pub(in crate::broker) fn tcp(&self) -> &mio::net::TcpStream {
        &self.tcp
    }

    /// What an error of reading or writing means, if it is TLS's.
    pub(in crate::broker) fn explain(&self, error: &io::Error) -> Option<String> {
        rustls_error(error).map(|error| explain::failure(error, self.has_identity))
    }

    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}

impl Read for TlsStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end without close_notify. AMQP has a close of its own, by which a cut is known.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            self.tls.read_tls(&mut self.tcp)?;
            let processed = self.tls.process_new_packets();
            // An answer that the protocol asks for, or an alert; if it must wait, the next write takes it along.
            let _ = self.send();
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send()?;
        if self.taken == 0 {
            self.taken = self.tls.writer().write(bytes)?;
            self.send()?;
        }
        Ok(std::mem::take(&mut self.taken))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.tls.send_close_notify();
        // If it cannot be sent, the connection has ended already.
        let _ = self.send();
    }
}

/// What a server is that answers, but not in TLS. Waits for the first byte.
fn protocol_without_tls(socket: &HandshakeSocket<'_>) -> io::Result<Option<String>> {
    // An alert or a handshake message (RFC 8446, section 5.1).
    const RECORDS: [u8; 2] = [0x15, 0x16];
    let mut answer = [0; 64];
    let length = socket.within(|tcp| tcp.peek(&mut answer))?;
    Ok(match &answer[..length] {
        [] => return Err(io::ErrorKind::UnexpectedEof.into()),
        [first, ..] if RECORDS.contains(first) => None,
        [b'A', b'M', b'Q', b'P', ..] => {
            Some("the server there speaks AMQP without TLS: use amqp://, without --ssl".to_owned())
        }
        answer => Some(other_protocol::describe(answer)),
    })
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

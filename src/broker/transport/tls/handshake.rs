//! The handshake, over a socket that blocks: each read and write ends when the deadline passes.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use rustls::ClientConnection;

use crate::broker::transport::deadline::Deadline;

/// A socket that blocks until its connection's deadline.
pub(super) struct HandshakeSocket<'socket> {
    pub(super) tcp: &'socket TcpStream,
    pub(super) deadline: &'socket Deadline,
}

impl HandshakeSocket<'_> {
    /// Makes a call, and again where it ends without a result.
    pub(super) fn within<T>(
        &self,
        mut call: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let left = self.deadline.left()?;
            self.tcp.set_read_timeout(left)?;
            self.tcp.set_write_timeout(left)?;
            match call(self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

impl Read for HandshakeSocket<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.within(|mut tcp| tcp.read(out))
    }
}

impl Write for HandshakeSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.within(|mut tcp| tcp.write(bytes))
    }

    /// All records of a flight leave at once.
    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        self.within(|mut tcp| tcp.write_vectored(records))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does the handshake to its end. A server that refuses the client's certificate may close before the client has sent all of
/// its records. Then a write fails, and the server's reason still waits to be read.
pub(super) fn complete(
    tls: &mut ClientConnection,
    socket: &mut (impl Read + Write),
) -> io::Result<()> {
    tls.complete_io(socket)
        .map(drop)
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                refusal(tls, socket).unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            _ => error,
        })
}

/// What a server that has closed said before, if it was an alert.
fn refusal(tls: &mut ClientConnection, socket: &mut impl Read) -> Option<io::Error> {
    while tls.read_tls(socket).ok()? > 0 {
        if let Err(error) = tls.process_new_packets() {
            return Some(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};
    use rustls::crypto::ring;
    use rustls::server::WebPkiClientVerifier;
    use rustls::version::TLS12;
    use rustls::{
        AlertDescription, ClientConfig, Error, RootCertStore, ServerConfig, ServerConnection,
    };
    use rustls_pki_types::{PrivateKeyDer, ServerName};

    use super::*;

    /// A server that closes as soon as it refuses: what is written after that goes nowhere.
    struct ThatCloses {
        server: ServerConnection,
        sent: Vec<u8>,
        is_closed: bool,
        failed_writes: usize,
    }

    impl Write for ThatCloses {
        fn write(&mut self, mut records: &[u8]) -> io::Result<usize> {
            if self.is_closed {
                self.failed_writes += 1;
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let length = self.server.read_tls(&mut records)?;
            self.is_closed = self.server.process_new_packets().is_err();
            while self.server.wants_write() {
                self.server.write_tls(&mut self.sent)?;
            }
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for ThatCloses {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = self.sent.as_slice().read(out)?;
            self.sent.drain(..length);
            Ok(length)
        }
    }

    type Party = CertifiedIssuer<'static, KeyPair>;

    fn party(name: &str) -> Party {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        Party::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
    }

    fn key(party: &Party) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(party.key().serialize_der()).unwrap()
    }

    fn roots(party: &Party) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(party.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A client with a certificate that the server does not trust. TLS 1.2 sends the certificate in a record of its own.
    fn strangers() -> (ClientConnection, ThatCloses) {
        let (server, client, trusted) = (party("server"), party("client"), party("trusted"));
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots(&trusted), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS12])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![server.der().clone()], key(&server))
            .unwrap();
        let front = ThatCloses {
            server: ServerConnection::new(Arc::new(config)).unwrap(),
            sent: Vec::new(),
            is_closed: false,
            failed_writes: 0,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&server))
            .with_client_auth_cert(vec![client.der().clone()], key(&client))
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        (tls, front)
    }

    #[test]
    fn a_refusal_is_read_although_the_server_has_closed() {
        let (mut tls, mut front) = strangers();
        let error = complete(&mut tls, &mut front).unwrap_err();
        assert!(front.failed_writes > 0);
        let error = error.get_ref().and_then(|error| error.downcast_ref());
        assert_eq!(
            error,
            Some(&Error::AlertReceived(AlertDescription::UnknownCA))
        );
    }

    #[test]
    fn a_server_that_closes_without_a_word_has_ended_the_connection() {
        let (mut tls, mut front) = strangers();
        front.is_closed = true;
        let error = complete(&mut tls, &mut front).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

//! A server that speaks TLS, as it is told to, and passes on what comes to a broker that does not.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::certificates::{Authority, Issued};

/// Both versions of TLS that are in use.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// Listens on a port of its own for as long as the test run lasts.
pub(crate) struct Front {
    address: SocketAddr,
    names: Names,
}

/// The names by which clients have asked for the server (SNI).
type Names = Arc<Mutex<Vec<Option<String>>>>;

impl Front {
    /// Shows that certificate.
    pub(crate) fn with(issued: &Issued, broker: &str) -> Self {
        Self::start(issued, None, &VERSIONS, broker)
    }

    /// Also wants one of that authority's from the client.
    pub(crate) fn that_asks(
        issued: &Issued,
        client_authority: &Authority,
        version: &'static SupportedProtocolVersion,
        broker: &str,
    ) -> Self {
        Self::start(issued, Some(client_authority), &[version], broker)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The name by which the last client asked for the server.
    pub(crate) fn last_name(&self) -> Option<String> {
        self.names.lock().unwrap().last().unwrap().clone()
    }

    fn start(
        issued: &Issued,
        client_authority: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
        broker: &str,
    ) -> Self {
        let config = Arc::new(config(issued, client_authority, versions));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let broker = broker.to_owned();
        let names = Names::default();
        let asked = Arc::clone(&names);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let (config, broker) = (Arc::clone(&config), broker.clone());
                let asked = Arc::clone(&asked);
                // A client that will not go on is the client's affair; the test looks at that.
                thread::spawn(move || serve(client, config, &broker, &asked).ok());
            }
        });
        Self { address, names }
    }
}

fn config(
    issued: &Issued,
    client_authority: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let pem = authority.pem();
            roots
                .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    // Unlike with_single_cert, this takes a certificate that rustls itself cannot read.
    let certified = CertifiedKey::new(chain.collect::<Result<_, _>>().unwrap(), key);
    builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
}

/// One connection. Each direction has a thread that waits for its own side alone.
fn serve(
    mut client: TcpStream,
    config: Arc<ServerConfig>,
    broker: &str,
    names: &Names,
) -> io::Result<()> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut client)?;
    }
    let name = tls.server_name().map(str::to_owned);
    names.lock().unwrap().push(name);
    let mut broker = TcpStream::connect(broker)?;
    let tls = Arc::new(Mutex::new(tls));
    let back = {
        let (tls, client, broker) = (Arc::clone(&tls), client.try_clone()?, broker.try_clone()?);
        thread::spawn(move || encrypt(broker, client, &tls))
    };
    let forth = decrypt(client, &mut broker, &tls);
    broker.shutdown(Shutdown::Both)?;
    let _ = back.join();
    forth
}

fn decrypt(
    mut client: TcpStream,
    broker: &mut TcpStream,
    tls: &Mutex<ServerConnection>,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    let mut length = 0; // the handshake may have read more than its own records
    loop {
        let mut records = &buffer[..length];
        loop {
            let mut tls = tls.lock().unwrap();
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            tls.reader().read_exact(&mut plain)?;
            if records.is_empty() && plain.is_empty() {
                break;
            }
            if !records.is_empty() {
                tls.read_tls(&mut records)?;
            }
            drop(tls);
            broker.write_all(&plain)?;
        }
        length = client.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn encrypt(
    mut broker: TcpStream,
    mut client: TcpStream,
    tls: &Mutex<ServerConnection>,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        // A broker that hangs up before it has read everything resets the connection; that is an end, too.
        let length = broker.read(&mut buffer).unwrap_or(0);
        let mut records = Vec::new();
        let mut tls = tls.lock().unwrap();
        match length {
            0 => tls.send_close_notify(),
            _ => tls.writer().write_all(&buffer[..length])?,
        }
        while tls.wants_write() {
            tls.write_tls(&mut records)?;
        }
        drop(tls);
        client.write_all(&records)?;
        if length == 0 {
            return client.shutdown(Shutdown::Both);
        }
    }
}

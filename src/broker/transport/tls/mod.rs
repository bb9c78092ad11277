//! TLS: which servers to trust and which client certificate to show, read from files.
//!
//! * [`trust`]: how a server's certificate is verified;
//! * [`handshake`]: the handshake, and the socket during it;
//! * [`stream`]: the encrypted connection;
//! * [`explain`]: errors in words.

mod explain;
mod handshake;
mod stream;
mod trust;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub(in crate::broker) use stream::TlsStream;

/// How TLS connections are made.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Which servers are trusted.
    pub trust: Trust,
    /// The certificate that the client shows when the server asks for one.
    pub identity: Option<Identity>,
    /// Whom the server's certificate must be for, if not for the host that is connected to.
    pub server_name: Option<String>,
    /// Whether that name is told to the server (SNI).
    pub tells_name: bool,
}

/// Which servers are trusted.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those whose certificate comes from an authority that is trusted.
    Authorities {
        /// The system's; `SSL_CERT_FILE` and `SSL_CERT_DIR` say where they are, if set.
        system: SystemAuthorities,
        /// More of them, in PEM.
        file: Option<PathBuf>,
    },
    /// All.
    Anyone,
}

/// Whether the system's authorities are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemAuthorities {
    /// They are.
    Trusted,
    /// They are not.
    Ignored,
}

/// Files in PEM; they may be the same.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, and those between it and the authority's.
    pub certificate: PathBuf,
    /// Its private key, in PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// All that TLS connections have in common.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    has_identity: bool,
    server_name: Option<String>,
}

/// Why TLS cannot be used: a file has no usable content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

impl TlsClient {
    /// Reads the files.
    ///
    /// # Errors
    /// Says which file is wrong, and how.
    pub fn new(options: &TlsOptions) -> Result<TlsClient, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = trust::verifier(&options.trust, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates(&identity.certificate)?;
                let key = private_key(&identity.key)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let key = identity.key.display();
                    TlsError(format!(
                        "using the private key {key}: {}",
                        explain::key(&error)
                    ))
                })?
            }
        };
        // A connection lasts as long as the tool.
        config.resumption = Resumption::disabled();
        config.enable_sni = options.tells_name;
        Ok(TlsClient {
            config: Arc::new(config),
            has_identity: options.identity.is_some(),
            server_name: options.server_name.clone(),
        })
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("has_identity", &self.has_identity)
            .finish_non_exhaustive()
    }
}

/// All certificates in a file; at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |reason: String| {
        TlsError(format!(
            "reading certificates from {}: {reason}",
            file.display()
        ))
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(explain_pem(&error)))?;
    if certificates.is_empty() {
        return Err(wrong("no certificate in PEM in it".to_owned()));
    }
    Ok(certificates)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| {
        let reason = match error {
            pem::Error::NoItemsFound => {
                "no private key in PEM in it (an encrypted one must be decrypted first)".to_owned()
            }
            error => explain_pem(&error),
        };
        TlsError(format!(
            "reading the private key from {}: {reason}",
            file.display()
        ))
    })
}

/// What is wrong with a file; never what is in it, which may be a key.
fn explain_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => crate::reason::reason(error),
        pem::Error::MissingSectionEnd { .. } => "a section of PEM without an end in it".to_owned(),
        _ => "it is not PEM".to_owned(),
    }
}

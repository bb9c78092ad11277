//! Which servers are trusted: how a server's certificate is verified.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{SystemAuthorities, TlsError, Trust, certificates, explain};

/// Verifies servers' certificates.
pub(super) fn verifier(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let Trust::Authorities { system, file } = trust else {
        return Ok(Arc::new(Credulous(Arc::clone(provider))));
    };
    let mut roots = RootCertStore::empty();
    if *system == SystemAuthorities::Trusted {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let given = match file {
        Some(file) => trust_file(file, &mut roots)?,
        None => Vec::new(),
    };
    if roots.is_empty() {
        return Err(TlsError(
            "no certificate authority to trust: give the broker's with --cacert".to_owned(),
        ));
    }
    let authorities =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| TlsError(error.to_string()))?;
    Ok(Arc::new(Careful { authorities, given }))
}

fn trust_file(
    file: &Path,
    roots: &mut RootCertStore,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let given = certificates(file)?;
    for certificate in &given {
        roots.add(certificate.clone()).map_err(|error| {
            TlsError(format!(
                "a certificate in {} is of no use: {error}",
                file.display()
            ))
        })?;
    }
    Ok(given)
}

/// Trusts the authorities, and a server whose certificate is one of those in the given file.
///
/// Self-signed certificates (`openssl req -x509`) are marked as an authority's, which a server's must not be. The user who
/// gives such a certificate trusts just that server.
#[derive(Debug)]
struct Careful {
    authorities: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Careful {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // The certificate's dates have been checked before this.
            Err(error) if is_an_authoritys(&error) && self.given.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Whether a certificate was refused because it is an authority's. rustls has no word of its own for that.
fn is_an_authoritys(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if other.0.to_string() == "CaUsedAsEndEntity"
    )
}

/// The key in a certificate of X.509 version 1 cannot be read, and it need not be: whoever may show any certificate has the
/// key of one.
fn as_credulous(
    verdict: Result<HandshakeSignatureValid, rustls::Error>,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    match verdict {
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(error)))
            if explain::is_first_version(&error) =>
        {
            Ok(HandshakeSignatureValid::assertion())
        }
        verdict => verdict,
    }
}

/// Trusts every server (`--insecure`).
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        as_credulous(verify_tls12_signature(
            message,
            certificate,
            signature,
            algorithms,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        as_credulous(verify_tls13_signature(
            message,
            certificate,
            signature,
            algorithms,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

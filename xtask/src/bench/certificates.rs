//! A certificate authority of our own and the broker's certificate, for TLS on the loopback interface.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use testbroker::{Options, free_port};

/// Where the broker listens for TLS, and whom to trust.
#[derive(Debug)]
pub(crate) struct Tls {
    port: u16,
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// Makes the certificates in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        let tls = Self {
            port: free_port()?,
            authority: folder.join("ca.pem"),
            certificate: folder.join("broker.pem"),
            key: folder.join("broker.key"),
        };
        let mut authority = named("bench authority", &[])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate =
            named("bench broker", &["localhost", "127.0.0.1"])?.signed_by(&key, &authority)?;
        fs::write(&tls.authority, authority.pem())?;
        fs::write(&tls.certificate, certificate.pem())?;
        fs::write(&tls.key, key.serialize_pem())?;
        Ok(tls)
    }

    /// The broker's options, with TLS beside plain TCP.
    pub(crate) fn configure(&self, options: Options) -> Options {
        let files = [
            ("cacertfile", &self.authority),
            ("certfile", &self.certificate),
            ("keyfile", &self.key),
        ];
        let listener = format!("listeners.ssl.1 = 127.0.0.1:{}", self.port);
        files
            .iter()
            .fold(options.configure(listener), |options, (name, file)| {
                options.configure(format!("ssl_options.{name} = {}", file.display()))
            })
    }

    /// The broker's URL for TLS.
    pub(crate) fn url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}", self.port)
    }

    /// What `--cacert` names.
    pub(crate) fn authority(&self) -> String {
        self.authority.display().to_string()
    }
}

/// OpenSSL takes a certificate for a self-signed one if it has the same name as its issuer.
fn named(name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts)?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters)
}

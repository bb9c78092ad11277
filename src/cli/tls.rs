//! The TLS options: which servers to trust, and the client's certificate.

use std::path::PathBuf;

use clap::Args;

use super::environment;
use super::url::{ServerNameIndication, TlsParameters};
use crate::broker::{Identity, SystemAuthorities, TlsClient, TlsError, TlsOptions, Trust};

const HEADING: &str = "TLS options";

/// The TLS options as given.
#[derive(Args, Clone, Debug)]
pub(super) struct TlsArgs {
    /// Use TLS, as a URL of amqps:// does
    #[arg(long, help_heading = HEADING)]
    pub(super) ssl: bool,

    /// CA certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    cacert: Option<PathBuf>,

    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    cert: Option<PathBuf>,

    /// Private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    key: Option<PathBuf>,

    /// Trust only --cacert, not the system's certificates
    #[arg(long, help_heading = HEADING)]
    no_default_cert_paths: bool,

    /// Name that the server's certificate must be for [default: the host]
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    server_name: Option<String>,

    /// Do not verify the server's certificate; anyone may read along
    #[arg(long, help_heading = HEADING)]
    insecure: bool,
}

impl TlsArgs {
    /// Reads the files that the options and a URL name. An option wins.
    pub(super) fn client(&self, url: &TlsParameters) -> Result<TlsClient, TlsError> {
        let cause = match (self.insecure, url.verifies_nothing) {
            (true, _) => Some("--insecure"),
            (false, true) => Some("verify=verify_none"),
            (false, false) => None,
        };
        if let Some(cause) = cause {
            super::warn(&format!(
                "warning: {cause}: the server's certificate is not verified, so it may be anyone"
            ));
        }
        let named = match &url.server_name {
            Some(ServerNameIndication::Name(name)) => Some(name.clone()),
            Some(ServerNameIndication::Disabled) | None => None,
        };
        TlsClient::new(&TlsOptions {
            trust: self.trust(url),
            identity: self.identity(url),
            server_name: self.server_name.clone().or(named),
            tells_name: self.server_name.is_some()
                || url.server_name != Some(ServerNameIndication::Disabled),
        })
    }

    /// Whether there is a client certificate.
    pub(super) fn has_identity(&self, url: &TlsParameters) -> bool {
        self.identity(url).is_some()
    }

    /// Says so if flags or parameters of URLs (not the environment, which serves many commands) were given that count for
    /// nothing without TLS.
    pub(super) fn warn_if_idle<'u>(&self, mut urls: impl Iterator<Item = &'u TlsParameters>) {
        let given = [
            ("--cacert", self.cacert.is_some()),
            ("--cert", self.cert.is_some()),
            ("--key", self.key.is_some()),
            ("--no-default-cert-paths", self.no_default_cert_paths),
            ("--server-name", self.server_name.is_some()),
            ("--insecure", self.insecure),
        ];
        let flag = given.into_iter().find(|(_, given)| *given);
        let name = flag
            .map(|(flag, _)| flag)
            .or_else(|| urls.find_map(TlsParameters::first_given));
        if let Some(name) = name {
            super::warn(&format!(
                "warning: {name} has no effect without --ssl or amqps://; the connection is not encrypted"
            ));
        }
    }

    fn trust(&self, url: &TlsParameters) -> Trust {
        if self.insecure || url.verifies_nothing {
            return Trust::Anyone;
        }
        Trust::Authorities {
            system: if self.no_default_cert_paths {
                SystemAuthorities::Ignored
            } else {
                SystemAuthorities::Trusted
            },
            file: chosen(
                self.cacert.as_ref(),
                url.cacert.as_ref(),
                environment::CACERT,
            ),
        }
    }

    /// The client's certificate and key. If one file contains both, it may be named once.
    fn identity(&self, url: &TlsParameters) -> Option<Identity> {
        let certificate = chosen(self.cert.as_ref(), url.cert.as_ref(), environment::CERT);
        let key = chosen(self.key.as_ref(), url.key.as_ref(), environment::KEY);
        Some(Identity {
            certificate: certificate.as_ref().or(key.as_ref())?.clone(),
            key: key.as_ref().or(certificate.as_ref())?.clone(),
        })
    }
}

/// The file that the flag names, else the URL, else the environment.
fn chosen(flag: Option<&PathBuf>, url: Option<&PathBuf>, variable: &str) -> Option<PathBuf> {
    let given = flag.or(url).cloned();
    given.or_else(|| environment::path(variable))
}

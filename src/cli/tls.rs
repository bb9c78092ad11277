//! The TLS options: which servers to trust, and the client's certificate.

use std::path::PathBuf;

use clap::Args;

use super::environment;
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

    /// Do not verify the server's certificate; anyone may read along
    #[arg(long, help_heading = HEADING)]
    insecure: bool,
}

impl TlsArgs {
    /// Reads the files that the options name.
    pub(super) fn client(&self) -> Result<TlsClient, TlsError> {
        if self.insecure {
            super::complain(
                "warning: --insecure: the server's certificate is not verified, so it may be anyone",
            );
        }
        TlsClient::new(&TlsOptions {
            trust: self.trust(),
            identity: self.identity(),
        })
    }

    /// Whether there is a client certificate.
    pub(super) fn has_identity(&self) -> bool {
        self.identity().is_some()
    }

    /// Says so if flags (not the environment, which serves many commands) were given that count for nothing without TLS.
    pub(super) fn warn_if_idle(&self) {
        let given = [
            ("--cacert", self.cacert.is_some()),
            ("--cert", self.cert.is_some()),
            ("--key", self.key.is_some()),
            ("--no-default-cert-paths", self.no_default_cert_paths),
            ("--insecure", self.insecure),
        ];
        if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
            super::complain(&format!(
                "warning: {flag} has no effect without --ssl or amqps://; the connection is not encrypted"
            ));
        }
    }

    fn trust(&self) -> Trust {
        if self.insecure {
            return Trust::Anyone;
        }
        Trust::Authorities {
            system: if self.no_default_cert_paths {
                SystemAuthorities::Ignored
            } else {
                SystemAuthorities::Trusted
            },
            file: or_from_environment(self.cacert.as_ref(), environment::CACERT),
        }
    }

    /// The client's certificate and key. If one file contains both, it may be named once.
    fn identity(&self) -> Option<Identity> {
        let certificate = or_from_environment(self.cert.as_ref(), environment::CERT);
        let key = or_from_environment(self.key.as_ref(), environment::KEY);
        Some(Identity {
            certificate: certificate.as_ref().or(key.as_ref())?.clone(),
            key: key.as_ref().or(certificate.as_ref())?.clone(),
        })
    }
}

fn or_from_environment(flag: Option<&PathBuf>, variable: &str) -> Option<PathBuf> {
    flag.cloned().or_else(|| environment::path(variable))
}

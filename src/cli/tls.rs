//! The flags that say how TLS is spoken: whom to trust, and who we are.

use std::path::PathBuf;

use clap::Args;

use crate::broker::{Identity, SystemAuthorities, TlsClient, TlsError, TlsOptions, Trust};

const HEADING: &str = "TLS options";

/// The TLS flags as given.
#[derive(Args, Clone, Debug)]
pub(super) struct TlsArgs {
    /// Connect by TLS, and by nothing else; so does a URL of amqps://
    #[arg(long, help_heading = HEADING)]
    pub(super) ssl: bool,

    /// Certificates of authorities to trust besides the system's, in PEM
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    cacert: Option<PathBuf>,

    /// The client's certificate, in PEM
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    cert: Option<PathBuf>,

    /// The client's private key, in PEM
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    key: Option<PathBuf>,

    /// Trust none of the system's certificates, only --cacert
    #[arg(long, help_heading = HEADING)]
    no_default_cert_paths: bool,

    /// Trust any server, whatever its certificate: anyone between you and it can read along
    #[arg(long, help_heading = HEADING)]
    insecure: bool,
}

impl TlsArgs {
    /// Reads the files that the flags name.
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

    /// Whether there is a certificate to show, if TLS is spoken.
    pub(super) fn has_identity(&self) -> bool {
        self.identity().is_some()
    }

    /// Says so if flags were given that count for nothing without TLS.
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
            file: self.cacert.clone(),
        }
    }

    /// Where one file holds both, it is enough to name it once.
    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            certificate: self.cert.as_ref().or(self.key.as_ref())?.clone(),
            key: self.key.as_ref().or(self.cert.as_ref())?.clone(),
        })
    }
}

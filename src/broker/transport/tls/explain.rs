//! What went wrong with TLS, for a person: which side's certificate, and why.

use rustls::{AlertDescription, CertificateError, Error, OtherError};
use time::OffsetDateTime;

/// Why no connection can be had, in words that follow the server's address.
pub(super) fn failure(error: &Error, has_identity: bool) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => refusal(*alert, has_identity),
        Error::PeerIncompatible(reason) => {
            format!("the server and this client have no way of TLS in common: {reason:?}")
        }
        error => format!("TLS failed: {error}"),
    }
}

/// Why a private key cannot be used.
pub(super) fn key(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(_) => "it is not the certificate's".to_owned(),
        Error::General(reason) => reason.clone(),
        error => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate expired on {}", date(not_after.as_secs()))
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is not valid before {}",
            date(not_before.as_secs())
        ),
        CertificateError::UnknownIssuer => {
            "the server's certificate is from an authority that is not trusted here; \
             give the authority's with --cacert"
                .to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = match names.as_slice() {
                [] => "names none (it has no subjectAltName)".to_owned(),
                names => format!("is for {}", names.join(", ")),
            };
            format!("the server's certificate is not for {}: it {names}", expected.to_str())
        }
        CertificateError::Other(other) if is_first_version(other) => {
            "the server's certificate is of X.509 version 1, which is refused since it cannot name a host; \
             the server needs one of version 3, with a subjectAltName (--insecure takes any)"
                .to_owned()
        }
        other => match other.to_string().as_str() {
            "Other(OtherError(CaUsedAsEndEntity))" => {
                "the server shows an authority's certificate; if it is its own, give it with --cacert"
                    .to_owned()
            }
            text => format!("the server's certificate is not valid: {text}"),
        },
    }
}

/// Whether a certificate was refused because it is of X.509 version 1. rustls has no word of its own for that.
pub(super) fn is_first_version(error: &OtherError) -> bool {
    error.0.to_string() == "UnsupportedCertVersion"
}

/// What the server ended the handshake with (RFC 8446, section 6.2).
fn refusal(alert: AlertDescription, has_identity: bool) -> String {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, HandshakeFailure, UnknownCA, UnsupportedCertificate,
    };
    match alert {
        CertificateRequired => {
            "the server wants a client certificate: give one with --cert and --key".to_owned()
        }
        // Before TLS 1.3 there was no word of its own for that.
        HandshakeFailure | BadCertificate if !has_identity => format!(
            "the server refused the TLS handshake ({alert:?}); \
             it may want a client certificate: give one with --cert and --key"
        ),
        BadCertificate
        | UnsupportedCertificate
        | CertificateRevoked
        | CertificateExpired
        | CertificateUnknown
        | UnknownCA
        | AccessDenied
            if has_identity =>
        {
            format!("the server refuses the client certificate ({alert:?})")
        }
        alert => format!("the server refused the TLS handshake ({alert:?})"),
    }
}

/// The name itself in webpki's `DnsName("a.example")`.
fn bare(name: &str) -> &str {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name);
    inner.trim_matches('"')
}

/// The date in UTC, from seconds since 1970.
fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(
        || "an unknown date".to_owned(),
        |time| time.date().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn names_are_shown_bare() {
        assert_eq!(bare("DnsName(\"a.example\")"), "a.example");
        assert_eq!(bare("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(bare("odd"), "odd");
    }
}

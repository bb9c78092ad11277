//! The connection's options from the environment, to be set for many commands at once. A flag wins; an empty value is none.

use std::env::{self, VarError};
use std::path::PathBuf;

use super::UsageError;

pub(super) const AUTHFILE: &str = "AMQP_AUTHFILE";
pub(super) const CACERT: &str = "AMQP_CACERT";
pub(super) const CERT: &str = "AMQP_CERT";
pub(super) const CONNECT_TIMEOUT: &str = "AMQP_CONNECT_TIMEOUT";
pub(super) const HEARTBEAT: &str = "AMQP_HEARTBEAT";
pub(super) const KEY: &str = "AMQP_KEY";
pub(super) const RETRY: &str = "AMQP_RETRY";

/// The file that a variable names.
pub(super) fn path(variable: &str) -> Option<PathBuf> {
    let name = env::var_os(variable)?;
    (!name.is_empty()).then(|| name.into())
}

/// What a variable says, read as the flag's value is.
pub(super) fn value<T>(
    variable: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, UsageError> {
    match env::var(variable) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => parse(&text).map(Some).map_err(|reason| {
            UsageError(format!("invalid value '{text}' of {variable}: {reason}"))
        }),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(UsageError(format!("{variable} is not UTF-8"))),
    }
}

//! The brokers that a test run can be asked for, by name.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cache::cache_folder;

/// The variable that names the broker of a test run. Unset or empty: the machine's own RabbitMQ.
pub const BROKER_VARIABLE: &str = "AMQP_TOOLS_BROKER";

/// A release of RabbitMQ, the Debian that has it, and what its nodes are configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavour {
    /// For example `rabbitmq-4.3`.
    pub name: &'static str,
    /// For example `4.3`.
    pub release: &'static str,
    /// The Debian suite that has this release.
    pub suite: &'static str,
    /// The name of that Debian's root folder in the [cache](cache_folder).
    pub root: &'static str,
    pub(crate) configuration: &'static [&'static str],
}

/// All of them, oldest first.
pub const FLAVOURS: [Flavour; 4] = [
    plain("rabbitmq-3.10", "3.10", "bookworm", "debian-12"),
    plain("rabbitmq-4.0", "4.0", "trixie", "debian-13"),
    plain("rabbitmq-4.3", "4.3", "sid", "debian-sid"),
    // Upstream refuses these queues by default. Debian permits them; what else upstream refuses, Debian refuses too.
    Flavour {
        configuration: &["deprecated_features.permit.transient_nonexcl_queues = false"],
        ..plain("rabbitmq-4.3-refusing", "4.3", "sid", "debian-sid")
    },
];

const fn plain(
    name: &'static str,
    release: &'static str,
    suite: &'static str,
    root: &'static str,
) -> Flavour {
    Flavour {
        name,
        release,
        suite,
        root,
        configuration: &[],
    }
}

impl Flavour {
    /// The flavour of that name.
    pub fn named(name: &str) -> Result<&'static Self> {
        FLAVOURS
            .iter()
            .find(|flavour| flavour.name == name)
            .with_context(|| format!("no RabbitMQ here is called {name:?}"))
    }

    /// The one that [`BROKER_VARIABLE`] names; nothing where that is unset or empty, or names a broker that is not RabbitMQ.
    pub fn from_environment() -> Result<Option<&'static Self>> {
        match env::var(BROKER_VARIABLE) {
            Ok(name) if !name.is_empty() && name != "qpid" => {
                Self::named(&name).context(BROKER_VARIABLE).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether a version such as `4.3.6` is of this release.
    #[must_use]
    pub fn has(&self, version: &str) -> bool {
        version
            .strip_prefix(self.release)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Where this flavour's Debian is, or would be.
    pub fn root_folder(&self) -> Result<PathBuf> {
        cache_folder(self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_its_own_versions_only() {
        let flavour = Flavour::named("rabbitmq-4.3").unwrap();
        assert!(flavour.has("4.3.6") && flavour.has("4.3"));
        assert!(!flavour.has("4.30.1") && !flavour.has("4.0.5") && !flavour.has("14.3.6"));
    }

    #[test]
    fn an_unknown_name_is_named() {
        let error = Flavour::named("rabbitmq-1.0").unwrap_err();
        assert!(error.to_string().contains("rabbitmq-1.0"));
    }
}

//! How to log in: a name and a password, kept out of every message, or the client certificate's name.

use std::fmt;

/// A user name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The password, never printed.
    pub password: String,
}

impl Default for Credentials {
    /// `RabbitMQ`'s default user, which it admits from its own machine only.
    fn default() -> Self {
        Credentials {
            username: "guest".to_owned(),
            password: "guest".to_owned(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The SASL mechanism to log in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// PLAIN: a name and a password.
    Plain(Credentials),
    /// EXTERNAL: the name in the client's certificate.
    External,
    /// EXTERNAL if the broker offers it, else PLAIN: there is a client certificate, and the user did not choose.
    ExternalIfOffered(Credentials),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_password() {
        let credentials = Credentials {
            username: "ann".to_owned(),
            password: "secret".to_owned(),
        };
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}

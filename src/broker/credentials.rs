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
    /// EXTERNAL if the broker offers it, else PLAIN: for who has a certificate and did not say which to use.
    ExternalIfOffered(Credentials),
}

/// Reads what an `--authfile` holds: `username:NAME`, then `password:SECRET`, one a line, nothing after.
///
/// # Errors
/// Says what stands on which line instead, without quoting a secret.
pub fn parse_authfile(text: &str) -> Result<Credentials, String> {
    let mut lines = text.lines();
    let username = field(lines.next(), 1, "username")?;
    let password = field(lines.next(), 2, "password")?;
    if lines.next().is_some() {
        return Err("line 3: nothing may follow the password".to_owned());
    }
    Ok(Credentials { username, password })
}

fn field(line: Option<&str>, number: usize, name: &str) -> Result<String, String> {
    line.and_then(|line| line.strip_prefix(name)?.strip_prefix(':'))
        // Carriage returns, as Windows ends lines, are no part of it; the last line may end with one alone.
        .map(|value| value.trim_end_matches('\r').to_owned())
        .ok_or_else(|| format!("line {number}: expected '{name}:' and its value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authfile_is_two_lines() {
        let credentials = parse_authfile("username:ann\npassword:s:e cret\n").unwrap();
        assert_eq!(credentials.username, "ann");
        assert_eq!(credentials.password, "s:e cret");
        assert_eq!(
            parse_authfile("username:ann\npassword:").unwrap().password,
            ""
        );
    }

    #[test]
    fn windows_line_ends_are_no_part_of_a_password() {
        for text in [
            "username:ann\r\npassword:x\r\n",
            "username:ann\r\npassword:x\r",
        ] {
            let credentials = parse_authfile(text).unwrap();
            assert_eq!(
                (credentials.username.as_str(), credentials.password.as_str()),
                ("ann", "x")
            );
        }
    }

    #[test]
    fn anything_else_is_no_authfile() {
        for text in [
            "",
            "username:ann",
            "password:x\nusername:ann",
            "user:ann\npassword:x",
            "username:ann\npassword:x\n\n",
            "username:ann\npassword:x\nmore",
        ] {
            let error = parse_authfile(text).unwrap_err();
            assert!(error.starts_with("line "), "{text:?}: {error}");
            assert!(!error.contains("ann"), "{error}");
        }
    }

    #[test]
    fn debug_output_has_no_password() {
        let credentials = parse_authfile("username:ann\npassword:secret").unwrap();
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}

//! `--authfile`: reads the credentials, and warns if other users can read them.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, fstatvfs};

use crate::broker::Credentials;

/// Reads the file, strictly.
pub(super) fn read(path: &Path) -> anyhow::Result<Credentials> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("reading the auth file {name}: {error}"))?;
    let credentials =
        parse(&text).map_err(|error| anyhow::anyhow!("malformed auth file {name}: {error}"))?;
    if File::open(path).is_ok_and(|file| is_exposed(&file)) {
        super::warn(&format!(
            "warning: others can read the password in {name}: chmod 600 {name}"
        ));
    }
    Ok(credentials)
}

/// Whether other users may read the file, and its mode could be changed. On a read-only mount, such as a Kubernetes Secret (mode 0644
/// by default), it could not.
fn is_exposed(file: &File) -> bool {
    const READABLE_BY_OTHERS: u32 = 0o044;
    let others_may_read = file
        .metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & READABLE_BY_OTHERS != 0);
    let is_read_only =
        fstatvfs(file).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
    others_may_read && !is_read_only
}

/// Reads what an `--authfile` holds: `username:NAME`, then `password:SECRET`, one a line, nothing after.
///
/// # Errors
/// Says what stands on which line instead, without quoting a secret.
pub fn parse(text: &str) -> Result<Credentials, String> {
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
        let credentials = parse("username:ann\npassword:s:e cret\n").unwrap();
        assert_eq!(credentials.username, "ann");
        assert_eq!(credentials.password, "s:e cret");
        assert_eq!(parse("username:ann\npassword:").unwrap().password, "");
    }

    #[test]
    fn windows_line_ends_are_no_part_of_a_password() {
        for text in [
            "username:ann\r\npassword:x\r\n",
            "username:ann\r\npassword:x\r",
        ] {
            let credentials = parse(text).unwrap();
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
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("line "), "{text:?}: {error}");
            assert!(!error.contains("ann"), "{error}");
        }
    }
}

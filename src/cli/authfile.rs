//! `--authfile`: reads the credentials, and warns if other users can read them.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, fstatvfs};

use crate::broker::{Credentials, parse_authfile};

/// Reads the file, strictly.
pub(super) fn read(path: &Path) -> anyhow::Result<Credentials> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("reading the auth file {name}: {error}"))?;
    let credentials = parse_authfile(&text)
        .map_err(|error| anyhow::anyhow!("malformed auth file {name}: {error}"))?;
    if File::open(path).is_ok_and(|file| is_exposed(&file)) {
        super::complain(&format!(
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

//! Headers that are too large for an environment: a file holds them while the command runs.

use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::environment::HEADERS;
use crate::envelope::headers_to_json;
use crate::message::Message;
use crate::reason::reason;

/// The variable that names the file.
pub(super) const HEADERS_FILE: &str = "AMQP_HEADERS_FILE";

/// A file that goes when this is dropped.
pub(in crate::consume) struct HeadersFile(PathBuf);

impl HeadersFile {
    /// Writes the message's headers into a file and has `variables` name it, if none of them holds the headers.
    pub(in crate::consume) fn instead_of_variable(
        message: &Message,
        variables: &mut [(&'static str, Option<OsString>)],
    ) -> io::Result<Option<HeadersFile>> {
        let has_value =
            |(name, value): &(&str, Option<OsString>)| *name == HEADERS && value.is_some();
        let Some(headers) = &message.properties.headers else {
            return Ok(None);
        };
        if variables.iter().any(has_value) {
            return Ok(None);
        }
        let file = HeadersFile::write(&headers_to_json(headers).to_string())?;
        let variable = variables.iter_mut().find(|(name, _)| *name == HEADERS_FILE);
        if let Some((_, value)) = variable {
            *value = Some(file.0.clone().into());
        }
        Ok(Some(file))
    }

    /// A new file that only its owner may read.
    fn write(json: &str) -> io::Result<HeadersFile> {
        let number = fastrand::u64(..);
        let path = env::temp_dir().join(format!("amqp-headers-{number:016x}.json"));
        let named = |error: io::Error| {
            let words = format!("{HEADERS_FILE} {}: {}", path.display(), reason(&error));
            io::Error::new(error.kind(), words)
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(named)?;
        let written = HeadersFile(path.clone());
        file.write_all(json.as_bytes()).map_err(named)?;
        Ok(written)
    }
}

impl Drop for HeadersFile {
    fn drop(&mut self) {
        // The command may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

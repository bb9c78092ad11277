//! What must hold for any input, one module a fuzz target. The targets in `targets/` feed these with what the fuzzer
//! makes up; the integration tests include this file and feed them the committed corpus, for which stable Rust will do.

pub mod authfile;
pub mod envelope;
pub mod incoming;
mod pieces;
pub mod records;
pub mod url;

use std::str;

/// The beginning of `bytes` that is text.
fn text(bytes: &[u8]) -> &str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

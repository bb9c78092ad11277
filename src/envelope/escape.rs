//! The keys for values that JSON has no form for, and the integers that every JSON reader keeps exact.

/// Up to this integer, 2^53, all integers are exact in readers that use doubles, such as jq.
pub(super) const EXACT: u64 = 1 << 53;

pub(super) const BYTES: &str = "!bytes";
pub(super) const TIMESTAMP: &str = "!timestamp";
pub(super) const DECIMAL: &str = "!decimal";
pub(super) const INT8: &str = "!int8";
pub(super) const UINT8: &str = "!uint8";
pub(super) const INT16: &str = "!int16";
pub(super) const UINT16: &str = "!uint16";
pub(super) const UINT32: &str = "!uint32";
pub(super) const INT64: &str = "!int64";
pub(super) const FLOAT: &str = "!float";
pub(super) const DOUBLE: &str = "!double";
pub(super) const TABLE: &str = "!table";

/// Whether a table with these keys would be read as an escape.
pub(super) fn looks_like_escape<'a>(mut keys: impl Iterator<Item = &'a String>) -> bool {
    let first = keys.next();
    first.is_some_and(|key| key.starts_with('!')) && keys.next().is_none()
}

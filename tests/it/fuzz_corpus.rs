//! What the fuzzer has found worth keeping, on stable Rust: nothing that was mended breaks again.

use std::fs;
use std::path::Path;

// The crate of the fuzz targets needs nightly Rust; what they check does not.
#[allow(unreachable_pub)]
#[path = "../../fuzz/src/lib.rs"]
mod properties;

use properties::{authfile, envelope, incoming, records, url};

/// Checks every input that is committed for a target.
#[track_caller]
fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for file in fs::read_dir(corpus).unwrap() {
        let input = file.unwrap().path();
        println!("{}", input.display()); // shown where the check panics
        check(&fs::read(&input).unwrap());
        count += 1;
    }
    assert!(count > 0, "an empty corpus");
}

#[test]
fn authfiles() {
    replay("authfile", authfile::check);
}

#[test]
fn envelopes() {
    replay("envelope", envelope::check);
}

#[test]
fn frames() {
    replay("incoming", incoming::check);
}

#[test]
fn records_of_any_length() {
    replay("records", records::check);
}

#[test]
fn urls() {
    replay("url", url::check);
}

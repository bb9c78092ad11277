//! `cargo xtask TASK`: what contributors and CI run.

fn main() {}

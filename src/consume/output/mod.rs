//! What becomes of what commands write. Without any of this their streams are the tool's own.
//!
//! Standard output is kept to be published, or passed on with tags; standard error is passed on, with tags,
//! and its end is kept as the reason of a failure.
//!
//! * `collector`: reads a command's pipes, in a thread of its own.
//! * `control`: what the driver says about the command meanwhile.
//! * `tagger`, `tail`: lines with tags; the end of standard error.
//! * `own_stream`: the tool's own streams.

mod collector;
mod control;
mod own_stream;
mod tagger;
mod tail;

pub(super) use collector::{Collected, Collector, Collectors, Pipes, Wanted};

//! What a run is asked for, as far as the core needs to know it.

use std::num::NonZeroU64;

use super::event::Time;

/// What a run is asked for.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// How many messages are moved at most.
    pub count: Option<NonZeroU64>,
    /// When the run ends by itself.
    pub extent: Extent,
    /// The time from one copy to the next, at least.
    pub interval: Option<Time>,
    /// For how long connections are tried again that break without having been of use; zero: none is opened again.
    pub retry: Time,
}

/// When a run ends by itself, besides after its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// When the messages that were there at the start are moved, or others have taken them.
    WhatIsThere,
    /// Never: it waits for more.
    Follow,
}

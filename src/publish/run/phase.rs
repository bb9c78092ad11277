//! How far the run is from its end, and why it ends.

/// What the run is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Publishing,
    /// Nothing more is sent; the fates of what is on its way are waited for, then the connection is closed.
    Ending(Cause),
    /// The connection is gone; the checkpoint is written for good.
    SyncingCheckpoint(Cause),
    Over(Cause),
}

/// Why a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Everything is published, and confirmed unless nobody wanted to know.
    Complete,
    /// It could not be.
    Failed(String),
    /// A message was rejected. It may come back yet, with a better reason: where it can come back, that is asked for.
    Rejected {
        fingerprint: Option<u64>,
        reason: String,
    },
    /// By this signal, in order.
    Interrupted(i32),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything is published, and confirmed unless nobody wanted to know.
    Complete,
    /// It could not be.
    Failed(String),
    /// By this signal, in order.
    Interrupted(i32),
}

impl Phase {
    pub(super) fn ended(&self) -> Option<Ended> {
        let Phase::Over(cause) = self else {
            return None;
        };
        Some(match cause.clone() {
            Cause::Complete => Ended::Complete,
            Cause::Failed(reason) | Cause::Rejected { reason, .. } => Ended::Failed(reason),
            Cause::Interrupted(signal) => Ended::Interrupted(signal),
        })
    }
}

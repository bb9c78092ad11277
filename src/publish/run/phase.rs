//! How far the run is from its end, and why it ends.

/// How far the run is from its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Publishing,
    /// Nothing more is sent. The run waits for the records in flight, then closes the connection.
    Ending(Cause),
    /// The connection is closed; the checkpoint is being synced.
    SyncingCheckpoint(Cause),
    Over(Cause),
}

/// Why a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Everything is published and, unless confirms are off, confirmed.
    Complete,
    /// Something failed.
    Failed(String),
    /// A message was rejected. It may still be returned, with a better reason: where that is possible, the broker is asked.
    Rejected {
        fingerprint: Option<u64>,
        reason: String,
    },
    /// This signal ended the run, in order.
    Interrupted(i32),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything is published and, unless confirms are off, confirmed.
    Complete,
    /// Something failed.
    Failed(String),
    /// This signal ended the run, in order.
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

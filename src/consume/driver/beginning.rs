//! Where a subscription to a stream begins.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::broker::SubscribeOptions;
use crate::consume::offset::{STREAM_OFFSET, StreamOffset};

/// Where a subscription to a stream begins, for all connections of a run.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    offset: Option<StreamOffset>,
    /// When the first subscription began, in seconds since 1970.
    first_at: Arc<OnceLock<u64>>,
}

impl Beginning {
    pub(super) fn new(offset: Option<StreamOffset>) -> Beginning {
        Beginning {
            offset,
            first_at: Arc::default(),
        }
    }

    /// How to subscribe, from this offset if messages have come before.
    pub(super) fn from(&self, base: &SubscribeOptions, next: Option<u64>) -> SubscribeOptions {
        let offset = next.map(StreamOffset::Number).or(self.without_messages());
        self.note_time();
        let mut options = base.clone();
        if let Some(offset) = offset {
            let name = STREAM_OFFSET.to_owned();
            options.arguments.insert(name, offset.argument());
        }
        options
    }

    /// Where to begin if no message has come. "Next" and "last" mean what they meant at the first subscription: what was published
    /// since then must not be skipped.
    fn without_messages(&self) -> Option<StreamOffset> {
        match (self.offset?, self.first_at.get()) {
            (StreamOffset::Next | StreamOffset::Last, Some(time)) => {
                Some(StreamOffset::Since(*time))
            }
            (offset, _) => Some(offset),
        }
    }

    fn note_time(&self) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        self.first_at
            .get_or_init(|| since_1970.unwrap_or_default().as_secs());
    }
}

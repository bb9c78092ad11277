//! Where a subscription to a stream begins, and where the stream ends at that time.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::broker::{self, Arrival, ConnectOptions, Session, SubscribeOptions};
use crate::consume::offset::{STREAM_OFFSET, StreamOffset, of_message};
use crate::streams;

/// Where a subscription to a stream begins, for all connections of a run.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    offset: Option<StreamOffset>,
    /// When the first subscription began, in seconds since 1970.
    first_at: Arc<OnceLock<u64>>,
    /// The offset behind the last message that was there at first; `None`: there was none.
    end: Arc<OnceLock<Option<u64>>>,
    /// A message has come, or the queue was looked at: what it is need not be found out.
    is_known: Arc<AtomicBool>,
}

impl Beginning {
    pub(super) fn new(offset: Option<StreamOffset>) -> Beginning {
        Beginning {
            offset,
            first_at: Arc::default(),
            end: Arc::default(),
            is_known: Arc::new(AtomicBool::new(offset.is_some())),
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

    /// Notes that a message has come.
    pub(super) fn note_message(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Whether an empty queue is a stream from which nothing was read. A stream that was filled lately counts 0 messages for some
    /// seconds, and only basic.get tells it from a queue. That may end its connection, so it has one of its own.
    pub(super) fn is_unread_stream(&self, connect: &ConnectOptions, queue: &str) -> bool {
        if self.is_known.swap(true, Ordering::Relaxed) {
            return false;
        }
        let got = Session::open(connect).and_then(|session| {
            if let Some(delivery) = session.get(queue)? {
                delivery.unsettled.requeue(&session)?;
            }
            session.close()
        });
        got.is_err_and(|error| streams::is_refusal(&error))
    }

    /// The offset behind the last message that is there now, by the stream's last chunk. It is looked at once, on a connection of
    /// its own, where many messages may be delivered and none is acknowledged.
    pub(super) fn end_of_stream(
        &self,
        connect: &ConnectOptions,
        queue: &str,
    ) -> broker::Result<Option<u64>> {
        if let Some(end) = self.end.get() {
            return Ok(*end);
        }
        let session = Session::open_with_prefetch(connect, NonZeroU16::MAX)?;
        let last = (STREAM_OFFSET.to_owned(), StreamOffset::Last.argument());
        let options = SubscribeOptions {
            exclusive: false,
            arguments: [last].into(),
        };
        let subscription = session.subscribe(queue, &options)?;
        let deliveries = subscription.deliveries();
        subscription.cancel()?;
        let mut end = None;
        while let Some(Arrival::Delivery(delivery)) = deliveries.next_arrival() {
            end = end.max(of_message(&delivery.message).map(|offset| offset.saturating_add(1)));
        }
        session.close()?;
        Ok(*self.end.get_or_init(|| end))
    }

    fn note_time(&self) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        self.first_at
            .get_or_init(|| since_1970.unwrap_or_default().as_secs());
    }
}

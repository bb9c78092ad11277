//! Where a subscription to a stream begins, and what is known of the stream. What has to be found out is asked over a connection of its
//! own: the broker may refuse it, and what it delivers is not for the run.
//!
//! A relative place (`last`, `next`) becomes an offset when the run begins. Otherwise a connection that is lost before the first message
//! would move it.

use std::iter;
use std::num::NonZeroU16;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::Select;

use super::open_delivery::digest;
use crate::broker::{self, Arrival, ConnectOptions, Error, Session, SubscribeOptions};
use crate::consume::offset::{STREAM_OFFSET, StreamOffset, of_message};
use crate::consume::options::{ConsumeOptions, SourceQueue};
use crate::message::Message;
use crate::streams;

/// Where a subscription to a stream begins, for all connections of a run.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    offset: Option<StreamOffset>,
    reads_to_the_end: bool,
    /// Whether the queue is a stream, once that is known.
    is_stream: Arc<OnceLock<bool>>,
    /// The offsets of the last chunk that was there at first, once it was looked at; `None`: there was none, or it did not come in time.
    last_chunk: Arc<OnceLock<Option<Range<u64>>>>,
    has_subscribed: Arc<AtomicBool>,
    /// The offset and the digest of the message that has come with the highest offset.
    latest: Arc<Mutex<Option<(u64, u64)>>>,
}

impl Beginning {
    pub(super) fn new(options: &ConsumeOptions) -> Beginning {
        let is_stream = match options.source {
            // The tool declares no streams.
            SourceQueue::Declared { .. } => OnceLock::from(false),
            // The broker refuses an offset for any other queue.
            SourceQueue::Existing(_) if options.offset.is_some() => OnceLock::from(true),
            SourceQueue::Existing(_) => OnceLock::new(),
        };
        Beginning {
            offset: options.offset,
            reads_to_the_end: options.reads_to_the_end(),
            is_stream: Arc::new(is_stream),
            last_chunk: Arc::default(),
            has_subscribed: Arc::default(),
            latest: Arc::default(),
        }
    }

    /// How to subscribe, from this offset if messages have come before.
    pub(super) fn from(&self, base: &SubscribeOptions, next: Option<u64>) -> SubscribeOptions {
        let is_first = !self.has_subscribed.swap(true, Ordering::Relaxed);
        let next = next.map(StreamOffset::Number);
        let mut options = base.clone();
        if let Some(offset) = next.or_else(|| self.without_messages(is_first)) {
            let name = STREAM_OFFSET.to_owned();
            options.arguments.insert(name, offset.argument());
        }
        options
    }

    /// Where to begin if no message has come.
    fn without_messages(&self, is_first: bool) -> Option<StreamOffset> {
        let offset = self.offset?;
        let chunk = self.last_chunk.get();
        Some(match (offset, chunk) {
            (StreamOffset::Last, Some(Some(chunk))) => StreamOffset::Number(chunk.start),
            (StreamOffset::Next, Some(Some(chunk))) => StreamOffset::Number(chunk.end),
            // Nothing was there, and what came since must not be skipped.
            (StreamOffset::Last | StreamOffset::Next, Some(None)) if !is_first => {
                StreamOffset::First
            }
            _ => offset,
        })
    }

    /// Whether it must be found out what the queue is before this message is taken in. The header of a stream's messages may be on a
    /// message of a queue, too: on the copy of one.
    pub(super) fn is_in_question(&self, message: &Message) -> bool {
        if of_message(message).is_none() {
            self.is_stream.get_or_init(|| false);
        }
        !self.is_known()
    }

    /// Whether it is known what the queue is.
    pub(super) fn is_known(&self) -> bool {
        self.is_stream.get().is_some()
    }

    /// Whether the queue is a stream, as far as that is known.
    pub(super) fn is_stream(&self) -> bool {
        self.is_stream.get() == Some(&true)
    }

    /// Notes that a message has come. Returns its offset in the stream.
    pub(super) fn note_message(&self, message: &Message, digest: u64) -> Option<u64> {
        let offset = of_message(message).filter(|_| self.is_stream())?;
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.is_none_or(|(latest, _)| latest < offset) {
            *latest = Some((offset, digest));
        }
        Some(offset)
    }

    /// Finds out whether the queue is a stream.
    pub(super) fn find_out(&self, connect: &ConnectOptions, queue: &str) -> broker::Result<bool> {
        if let Some(known) = self.is_stream.get() {
            return Ok(*known);
        }
        let is_stream = streams::is_stream(connect, queue)?;
        Ok(*self.is_stream.get_or_init(|| is_stream))
    }

    /// Looks at the stream before it is subscribed to, as far as that is needed. Returns the offset behind the last message that was
    /// there when the run began, if the run is to end there.
    pub(super) fn look(
        &self,
        connect: &ConnectOptions,
        queue: &str,
    ) -> broker::Result<Option<u64>> {
        self.check_latest(connect, queue)?;
        let is_relative = matches!(self.offset, Some(StreamOffset::Last | StreamOffset::Next));
        if !is_relative && !self.reads_to_the_end {
            return Ok(None);
        }
        if self.last_chunk.get().is_none() {
            let chunk = last_chunk(connect, queue)?;
            self.last_chunk.get_or_init(|| chunk);
        }
        let chunk = self.last_chunk.get().and_then(Option::as_ref);
        Ok(chunk
            .map(|chunk| chunk.end)
            .filter(|_| self.reads_to_the_end))
    }

    /// Fails if it is plain that the stream is another one than before: the message that came last is another one, or the stream ends
    /// before it.
    fn check_latest(&self, connect: &ConnectOptions, queue: &str) -> broker::Result<()> {
        let latest = *self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((offset, expected)) = latest else {
            return Ok(());
        };
        let found = read(
            connect,
            queue,
            StreamOffset::Number(offset),
            NonZeroU16::MIN,
        )?;
        let is_other = if found.is_empty() {
            last_chunk(connect, queue)?.is_some_and(|chunk| chunk.end <= offset)
        } else {
            let same_place = found.iter().find(|one| of_message(one) == Some(offset));
            same_place.is_some_and(|one| digest(one) != expected)
        };
        if is_other {
            return Err(Error::OtherQueue(format!(
                "stream '{queue}' is another one than before the connection was lost: the message with offset {offset} is not there"
            )));
        }
        Ok(())
    }
}

/// The offsets of the last chunk, as far as it comes before the answer to basic.cancel.
fn last_chunk(connect: &ConnectOptions, queue: &str) -> broker::Result<Option<Range<u64>>> {
    let messages = read(connect, queue, StreamOffset::Last, NonZeroU16::MAX)?;
    let offsets = || messages.iter().filter_map(of_message);
    let first_and_last = offsets().min().zip(offsets().max());
    Ok(first_and_last.map(|(first, last)| first..last.saturating_add(1)))
}

/// How long the broker may take to deliver something of what is there. It reads a stream on its own, after it has confirmed a
/// consumer.
const MOMENT: Duration = Duration::from_millis(500);

/// What a consumer gets from there on, before it is cancelled as soon as something has come. Nothing is acknowledged.
fn read(
    connect: &ConnectOptions,
    queue: &str,
    from: StreamOffset,
    prefetch: NonZeroU16,
) -> broker::Result<Vec<Message>> {
    let session = Session::open_with_prefetch(connect, prefetch)?;
    let options = SubscribeOptions {
        exclusive: false,
        arguments: [(STREAM_OFFSET.to_owned(), from.argument())].into(),
    };
    let subscription = session.subscribe(queue, &options)?;
    let deliveries = subscription.deliveries();
    let mut select = Select::new();
    deliveries.add_to(&mut select);
    let _ = select.ready_timeout(MOMENT);
    subscription.cancel()?;
    let next = || match deliveries.next_arrival() {
        Some(Arrival::Delivery(delivery)) => Some(delivery.message),
        _ => None,
    };
    let messages = iter::from_fn(next).collect();
    session.close()?;
    Ok(messages)
}

//! Proxies close idle connections. After a connection was closed that way, the next ones use a shorter heartbeat interval.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A shorter silence is no sign of a proxy.
const PROXY_MIN: Duration = Duration::from_secs(3);

/// The shortest interval that is asked for, in seconds.
const SHORTEST: u64 = 2;

/// How long ago something passed on a connection.
#[derive(Debug)]
pub(in crate::broker) struct Traffic {
    last: Instant,
    /// The silence before the last write that nothing was read after. A proxy that has forgotten a connection resets it when
    /// something is written.
    before_writing: Duration,
}

/// A socket, and what has passed on it.
pub(in crate::broker) struct Observed<Socket> {
    pub(in crate::broker) inner: Socket,
    pub(in crate::broker) traffic: Traffic,
}

/// The longest heartbeat interval that connections are known to survive, in seconds; shared by those that are opened one
/// after the other.
#[derive(Clone, Debug)]
pub(in crate::broker) struct HeartbeatLimit(Arc<AtomicU16>);

impl Traffic {
    pub(in crate::broker) fn begins() -> Traffic {
        Traffic {
            last: Instant::now(),
            before_writing: Duration::ZERO,
        }
    }

    fn was_heard(&mut self) {
        *self = Traffic::begins();
    }

    fn was_written(&mut self) {
        self.before_writing = self.silence();
        self.last = Instant::now();
    }

    /// How long nothing has passed, or had passed before what was written last.
    pub(in crate::broker) fn silence(&self) -> Duration {
        self.before_writing.max(self.last.elapsed())
    }
}

impl<Socket: Read> Read for Observed<Socket> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        if length > 0 {
            self.traffic.was_heard();
        }
        Ok(length)
    }
}

impl<Socket: Write> Write for Observed<Socket> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.traffic.was_written();
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Default for HeartbeatLimit {
    fn default() -> Self {
        HeartbeatLimit(Arc::new(AtomicU16::new(u16::MAX)))
    }
}

impl HeartbeatLimit {
    /// A connection was closed after that silence.
    pub(in crate::broker) fn learn(&self, silence: Duration) {
        if let Some(heartbeat) = heartbeat_against(silence) {
            self.0.fetch_min(heartbeat, Ordering::Relaxed);
        }
    }

    /// The interval to ask for, where `wanted` is what the user asks for. 0, which turns heartbeats off, stays.
    pub(in crate::broker) fn applied_to(&self, wanted: u16) -> u16 {
        wanted.min(self.0.load(Ordering::Relaxed))
    }
}

/// The heartbeat interval that prevents such a silence, if it is long enough to be a proxy's doing.
pub(in crate::broker) fn heartbeat_against(silence: Duration) -> Option<u16> {
    (silence >= PROXY_MIN)
        .then(|| u16::try_from((silence.as_secs() / 2).max(SHORTEST)).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_long_silence_is_asked_for() {
        let seconds = Duration::from_secs;
        assert_eq!(heartbeat_against(Duration::from_millis(2999)), None);
        assert_eq!(heartbeat_against(seconds(3)), Some(2));
        assert_eq!(heartbeat_against(seconds(5)), Some(2));
        assert_eq!(heartbeat_against(seconds(60)), Some(30));
        assert_eq!(heartbeat_against(seconds(1_000_000)), Some(u16::MAX));
    }

    #[test]
    fn the_shortest_that_was_learnt_counts_and_none_stays_none() {
        let limit = HeartbeatLimit::default();
        assert_eq!(limit.applied_to(60), 60);
        limit.learn(Duration::from_secs(20));
        limit.clone().learn(Duration::from_secs(30));
        limit.learn(Duration::from_secs(1));
        assert_eq!(limit.applied_to(60), 10);
        assert_eq!(limit.applied_to(5), 5);
        assert_eq!(limit.applied_to(0), 0);
    }

    #[test]
    fn a_silence_is_remembered_until_something_is_heard() {
        let ago = Duration::from_secs(10);
        let mut traffic = Traffic::begins();
        traffic.last -= ago;
        traffic.was_written();
        traffic.was_written();
        assert!(traffic.silence() >= ago);
        traffic.was_heard();
        assert!(traffic.silence() < ago);
    }
}

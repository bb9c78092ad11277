//! What the loop wakes up for: it waits for signals and the doorbell, and looks then at all that may have something for it.

use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::TryRecvError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Supervisor;
use crate::broker::{self, Arrival, Error, Session};
use crate::consume::link::Link;
use crate::consume::outbox::Report;
use crate::consume::signals::Notice;

/// Something to do.
pub(super) enum Event {
    /// The broker has sent something.
    Arrival(Arrival),
    /// A signal has come.
    Notice(Notice),
    /// A connection is there, or could not be had.
    Opened(broker::Result<Box<Session>>),
    /// A failed message was published, or not.
    Report(Report),
    /// A line was written, or can't be.
    Written(io::Result<()>),
    /// It is time for something.
    Deadline,
}

impl Supervisor {
    /// Waits until there is something to do, with the broker if there is a link to it.
    pub(super) fn next_event(&mut self, link: Option<&Link>) -> Event {
        let deadline = self.next_deadline(link.is_some());
        loop {
            if let Some(event) = self.event_at_hand(link) {
                return event;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Event::Deadline;
            }
            self.wait(deadline);
        }
    }

    /// Signals first: they must not wait behind a stream of messages.
    fn event_at_hand(&mut self, link: Option<&Link>) -> Option<Event> {
        if let Some(notice) = self.notices.next() {
            return Some(Event::Notice(notice));
        }
        if let Some(result) = self.printer.next_result() {
            return Some(Event::Written(result));
        }
        match link {
            Some(link) => {
                let report = self.failed.next_report().map(Event::Report);
                report.or_else(|| link.next_arrival().map(Event::Arrival))
            }
            None => self.opened().map(Event::Opened),
        }
    }

    /// The connection that was being opened, if that has ended.
    fn opened(&mut self) -> Option<broker::Result<Box<Session>>> {
        let opened = match self.opening.as_ref()?.try_recv() {
            Ok(opened) => opened,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(Error::Lost {
                context: "connecting",
                reason: "it ended without a result".to_owned(),
            }),
        };
        self.opening = None;
        Some(opened)
    }

    /// Waits for a signal, the doorbell or the deadline. Whichever it was, what has come is found by looking.
    fn wait(&self, deadline: Option<Instant>) {
        let mut files = [
            PollFd::new(&self.notices, PollFlags::IN),
            PollFd::new(&self.doorbell, PollFlags::IN),
        ];
        let left = deadline.map(|deadline| timespec(deadline - Instant::now()));
        // It fails where a signal comes that is not among the notices; then there is nothing to be answered.
        if poll(&mut files, left.as_ref()).is_ok() && !files[1].revents().is_empty() {
            self.doorbell.answer();
        }
    }
}

/// A wait of a century is long enough where more can't be told to the system.
fn timespec(wait: Duration) -> Timespec {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    wait.min(CENTURY).try_into().unwrap_or_default()
}

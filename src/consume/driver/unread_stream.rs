//! A run that read nothing, because its queue is a stream and `--offset` was not given.

use std::thread;
use std::time::Duration;

use crossbeam_channel::TryRecvError;
use signal_hook::consts::SIGCHLD;

use super::Driver;
use crate::consume::options::SourceQueue;
use crate::status::Status;
use crate::streams;
use crate::system::stderr::warn;
use crate::system::waker::WakingSender;

impl Driver {
    /// Says why no message came, if that is the reason. The exit status stays: the run waited for as long as it was told to.
    pub(super) fn tell_of_unread_stream(&mut self, ended: &Result<Status, String>) {
        let SourceQueue::Existing(queue) = self.options.source.clone() else {
            return;
        };
        if ended.is_ok() && self.has_waited_in_vain() && self.finds_stream(&queue) {
            warn(&format!(
                "queue '{queue}' is a stream, of which only new messages are read without --offset, and none has come"
            ));
        }
    }

    /// Whether no message came for the time of `--idle-timeout` or `--max-time`. With `--idle-timeout 0s` the core asks for the reason.
    fn has_waited_in_vain(&self) -> bool {
        let options = &self.options;
        self.latest == 0
            && !self.is_asked_to_end
            && options.offset.is_none()
            && options.idle_timeout != Some(Duration::ZERO)
    }

    /// Asks the broker whether the queue is a stream, unless a signal ends the wait.
    fn finds_stream(&mut self, queue: &str) -> bool {
        let (sender, answer) = WakingSender::new(&self.waker);
        let (connect, queue) = (self.connect.clone(), queue.to_owned());
        let ask = move || {
            let is_stream = streams::is_stream(&connect, &queue).is_ok_and(|is_stream| is_stream);
            let _ = sender.send(is_stream);
        };
        if thread::Builder::new().spawn(ask).is_err() {
            return false;
        }
        loop {
            while let Some(signal) = self.signals.next() {
                self.is_asked_to_end |= signal != SIGCHLD;
            }
            match answer.try_recv() {
                Ok(is_stream) => return is_stream,
                Err(TryRecvError::Empty) if !self.is_asked_to_end => self.wait(None),
                Err(_) => return false,
            }
        }
    }
}

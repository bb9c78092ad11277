//! A run that read nothing, because its queue is a stream and `--offset` was not given.

use std::time::Duration;

use super::Driver;
use crate::consume::options::SourceQueue;
use crate::status::Status;
use crate::streams;
use crate::system::stderr::warn;

impl Driver {
    /// Says why no message came, if that is the reason. The exit status stays: the run waited for as long as it was told to.
    pub(super) fn tell_of_unread_stream(&self, ended: &Result<Status, String>) {
        if let SourceQueue::Existing(queue) = &self.options.source
            && ended.is_ok()
            && self.has_waited_in_vain()
            && streams::is_stream(&self.connect, queue).is_ok_and(|is_stream| is_stream)
        {
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
}

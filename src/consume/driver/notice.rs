//! What the person at the terminal is told, in words.

use super::Driver;
use crate::consume::run::{Notice, Obstacle};
use crate::system::stderr::Level;

/// How grave it is.
pub(super) fn level(notice: &Notice) -> Level {
    match notice {
        Notice::AlsoFailed(_) | Notice::CannotStart(_) => Level::Error,
        Notice::RejectedCameBack | Notice::GivingBackHeld => Level::Info,
        _ => Level::Warning,
    }
}

impl Driver {
    /// The words for a notice.
    pub(super) fn words(&self, notice: &Notice) -> String {
        words(notice, &self.queue, self.beginning.is_stream())
    }
}

/// The words for a notice about messages of `queue`.
fn words(notice: &Notice, queue: &str, is_stream: bool) -> String {
    let at_the_end = if is_stream {
        "stays in the stream"
    } else {
        "goes back to the queue at the end"
    };
    match notice {
        Notice::ConnectingAnew(reason) => format!("{reason}; connecting anew"),
        Notice::AlsoFailed(reason) | Notice::CannotStart(reason) => reason.clone(),
        Notice::InDoubt(count) => format!(
            "the acknowledgement of {} may not have reached the queue; not counted as done, the broker may deliver {} again",
            messages(*count),
            it_or_them(*count),
        ),
        Notice::ResultDropped(status) => format!(
            "a command ended with status {} after its message was lost with the connection; the result is dropped, \
             the broker delivers the message again",
            status.code()
        ),
        Notice::WrittenTwice => {
            "a message was written after it was lost with the connection: the broker delivers it again".to_owned()
        }
        Notice::AnswersDropped(count) => format!(
            "{} with a child {} lost with the connection; what it answers about {} is dropped, the broker delivers {} again",
            messages(*count),
            if *count == 1 { "was" } else { "were" },
            it_or_them(*count),
            it_or_them(*count),
        ),
        Notice::ChildEnded(child, status) => format!(
            "child {child} ended with status {} and had nothing to answer",
            status.code()
        ),
        Notice::BadAnswer(child, line) => format!(
            "child {child} answered {line}, which is neither an exit status (0 to 255) nor JSON with one; it is told to end"
        ),
        Notice::NothingToAnswer(child) => {
            format!("child {child} answered and had nothing to answer; it is told to end")
        }
        Notice::CannotAnswer(child) => {
            format!("child {child} closed file descriptor 3 and cannot answer; it is told to end")
        }
        Notice::DoesNotFit => format!(
            "a message of queue '{queue}' does not fit the framing; no command gets it, it has failed with status 65"
        ),
        Notice::CopyRefused(reason) => format!(
            "{reason}; the failed message of queue '{queue}' is held and tried again, and {at_the_end}"
        ),
        Notice::OutputRefused(reason) => format!(
            "{reason}; an output for a message of queue '{queue}' is held and published again, and the message {at_the_end}"
        ),
        Notice::OutputMayRepeat => format!(
            "a message of queue '{queue}' was lost with the connection when its command had succeeded; its output may be published, \
             and the broker delivers the message again"
        ),
        Notice::CannotCopy(obstacle) => format!(
            "a message of queue '{queue}' cannot be copied {}; it is held and {at_the_end}",
            match obstacle {
                Obstacle::NotAsItIs => "as it is",
                Obstacle::HeadersTooLarge => "with more headers than it has: a frame does not hold them",
            }
        ),
        Notice::LostUnacknowledged => {
            "a message was acknowledged before its command succeeded (--no-ack): it is lost".to_owned()
        }
        Notice::RejectedCameBack => format!(
            "a message that was rejected came back to queue '{queue}' at once; it is run again after a pause"
        ),
        Notice::Renewing(count, is_first) => renewing(*count, *is_first),
        Notice::ParkedOnArrival(attempts) => format!(
            "a message came with {attempts} failed attempts behind it, after which nobody said anything (was the worker killed?); \
             it is parked without being run"
        ),
        Notice::TooManyFailed if is_stream => {
            "too many messages have failed; they stay in the stream".to_owned()
        }
        Notice::TooManyFailed => "too many messages have failed; they go back to the queue".to_owned(),
        Notice::NotSeenAgain(count) => format!(
            "{} failed, went back to queue '{queue}', and did not come again: the queue delays or another consumer has it",
            messages(*count)
        ),
        Notice::NotBack(count) => format!(
            "{} of queue '{queue}' failed, had to wait before being tried again, and did not come back: another consumer has it, or it still waits",
            messages(*count)
        ),
        Notice::GoOnFrom(offset) => {
            format!("go on in stream '{queue}' with --offset {offset}")
        }
        Notice::GoneFromStream(offset) => format!(
            "the message with offset {offset} is not done and did not come again: it is gone from stream '{queue}', or the stream is another one"
        ),
        Notice::GivingBackHeld => format!(
            "queue '{queue}' delivers nothing while failed messages are held; they go back now"
        ),
    }
}

fn renewing(count: u64, is_first: bool) -> String {
    let mut words = format!(
        "a message came back {count} times; before the broker's delivery limit drops it, a copy goes to the queue's tail. \
         --max-attempts with --park, or --on-failure reject, end its attempts"
    );
    if is_first {
        words += ". This way it never comes to a dead-letter exchange; --delivery-limit 0 leaves all of it to the broker";
    }
    words
}

fn it_or_them(count: u64) -> &'static str {
    if count == 1 { "it" } else { "them" }
}

fn messages(count: u64) -> String {
    if count == 1 {
        "1 message".to_owned()
    } else {
        format!("{count} messages")
    }
}

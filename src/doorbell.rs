//! Waking one thread that waits for many things, signals among them: it polls a file, and whoever has something for it
//! says so there. Channels of their own can be selected from, but not together with files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};
use rustix::pipe::{PipeFlags, pipe_with};

/// A file that is readable once somebody has rung, until that is [answered](Doorbell::answer).
///
/// It is a pipe: a thread that is woken through one runs where the other ran, which mostly goes to sleep then. An eventfd
/// would have it run on another processor, that is asleep and knows nothing of its memory.
#[derive(Clone, Debug)]
pub struct Doorbell(Arc<Pipe>);

#[derive(Debug)]
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Doorbell {
    /// A new one. The error is the system's: it has no files left.
    pub fn new() -> io::Result<Doorbell> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Doorbell(Arc::new(Pipe { reader, writer })))
    }

    /// Wakes whoever waits, now or when he comes to wait.
    pub fn ring(&self) {
        // It fails if the pipe is full of rings that nobody has answered.
        let _ = rustix::io::write(&self.0.writer, &[0]);
    }

    /// Silences it. What it was rung for is to be looked for afterwards, not before.
    pub fn answer(&self) {
        let mut rings = [0; 1024];
        // It fails if nobody has rung.
        while rustix::io::read(&self.0.reader, &mut rings).is_ok_and(|count| count == rings.len()) {
        }
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}

/// A channel's sending end that rings: when something has been sent, and when nothing more will be.
#[derive(Debug)]
pub struct Messenger<T> {
    // Dropped first, so that whoever is rung for finds the channel at its end.
    sender: Sender<T>,
    doorbell: RungAtEnd,
}

#[derive(Clone, Debug)]
struct RungAtEnd(Doorbell);

impl Drop for RungAtEnd {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl<T> Clone for Messenger<T> {
    fn clone(&self) -> Self {
        Messenger {
            sender: self.sender.clone(),
            doorbell: self.doorbell.clone(),
        }
    }
}

impl<T> Messenger<T> {
    /// A channel whose receiving end belongs to whoever answers this doorbell.
    #[must_use]
    pub fn to(doorbell: &Doorbell) -> (Messenger<T>, Receiver<T>) {
        let (sender, receiver) = unbounded();
        let messenger = Messenger {
            sender,
            doorbell: RungAtEnd(doorbell.clone()),
        };
        (messenger, receiver)
    }

    /// Sends without waiting. It fails if nobody will receive any more.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.sender.send(message)?;
        self.doorbell.0.ring();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::TryRecvError;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_ringing(doorbell: &Doorbell) -> bool {
        let mut files = [PollFd::new(doorbell, PollFlags::IN)];
        poll(&mut files, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn it_rings_until_it_is_answered_however_often_it_was_rung() {
        let doorbell = Doorbell::new().unwrap();
        doorbell.answer();
        assert!(!is_ringing(&doorbell));
        doorbell.ring();
        doorbell.clone().ring();
        assert!(is_ringing(&doorbell));
        doorbell.answer();
        assert!(!is_ringing(&doorbell));
    }

    #[test]
    fn a_messenger_rings_for_each_message_and_for_the_end() {
        let doorbell = Doorbell::new().unwrap();
        let (messenger, receiver) = Messenger::to(&doorbell);
        assert!(!is_ringing(&doorbell));
        messenger.send(7).unwrap();
        assert!(is_ringing(&doorbell));
        doorbell.answer();
        assert_eq!(receiver.try_recv(), Ok(7));
        drop(messenger);
        assert!(is_ringing(&doorbell));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn a_message_that_nobody_takes_comes_back() {
        let doorbell = Doorbell::new().unwrap();
        let (messenger, receiver) = Messenger::to(&doorbell);
        drop(receiver);
        assert_eq!(messenger.send(7), Err(SendError(7)));
    }
}

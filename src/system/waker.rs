//! Waking a thread that waits for several things, signals among them. It polls a file, and other threads make that file readable.
//! Channels can be selected from, but not together with files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};
use rustix::pipe::{PipeFlags, pipe_with};

/// A file that is readable from [`Waker::wake`] to [`Waker::clear`].
///
/// It is a pipe. A thread that is woken through a pipe runs on the processor of the thread that woke it, which mostly goes to
/// sleep then. A thread that is woken through an eventfd runs on another processor, which first has to wake up.
#[derive(Clone, Debug)]
pub struct Waker {
    reader: Arc<OwnedFd>,
    writer: Arc<OwnedFd>,
}

impl Waker {
    /// A new one. It fails where the process has no file descriptors left.
    pub fn new() -> io::Result<Waker> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Waker {
            reader: Arc::new(reader),
            writer: Arc::new(writer),
        })
    }

    /// Wakes the thread that waits, now or when it begins to wait.
    pub fn wake(&self) {
        // A full pipe is an error, and is readable anyway.
        let _ = rustix::io::write(&self.writer, &[0]);
    }

    /// Makes the file unreadable again. The thread must look for what has come afterwards, not before.
    pub fn clear(&self) {
        let mut bytes = [0; 1024];
        // An empty pipe is an error.
        while rustix::io::read(&self.reader, &mut bytes).is_ok_and(|count| count == bytes.len()) {}
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// The sending end of a channel that wakes the receiving thread: with each message, and when the last sender is dropped.
#[derive(Debug)]
pub struct WakingSender<T> {
    sender: Sender<T>,
    waker: Waker,
}

impl<T> WakingSender<T> {
    /// A channel whose receiving end belongs to the thread that waits for `waker`.
    #[must_use]
    pub fn new(waker: &Waker) -> (WakingSender<T>, Receiver<T>) {
        let (sender, receiver) = unbounded();
        let waker = waker.clone();
        (WakingSender { sender, waker }, receiver)
    }

    /// Sends without waiting. It fails if the receiver is dropped.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.sender.send(message)?;
        self.waker.wake();
        Ok(())
    }
}

impl<T> Clone for WakingSender<T> {
    fn clone(&self) -> Self {
        WakingSender {
            sender: self.sender.clone(),
            waker: self.waker.clone(),
        }
    }
}

impl<T> Drop for WakingSender<T> {
    fn drop(&mut self) {
        // The channel is disconnected before the receiver is woken.
        self.sender = unbounded().0;
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::TryRecvError;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_readable(waker: &Waker) -> bool {
        let mut files = [PollFd::new(waker, PollFlags::IN)];
        poll(&mut files, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn a_woken_waker_is_readable_until_it_is_cleared() {
        let waker = Waker::new().unwrap();
        waker.clear();
        assert!(!is_readable(&waker));
        waker.wake();
        waker.clone().wake();
        assert!(is_readable(&waker));
        waker.clear();
        assert!(!is_readable(&waker));
    }

    #[test]
    fn a_sender_wakes_for_each_message_and_at_the_end() {
        let waker = Waker::new().unwrap();
        let (sender, receiver) = WakingSender::new(&waker);
        assert!(!is_readable(&waker));
        sender.send(7).unwrap();
        assert!(is_readable(&waker));
        waker.clear();
        assert_eq!(receiver.try_recv(), Ok(7));
        drop(sender);
        assert!(is_readable(&waker));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn a_message_that_nobody_takes_comes_back() {
        let waker = Waker::new().unwrap();
        let (sender, receiver) = WakingSender::new(&waker);
        drop(receiver);
        assert_eq!(sender.send(7), Err(SendError(7)));
    }
}

//! The tool's own standard output and error, as what commands write is passed on to them.
//!
//! A thread for each writes, and may wait for whoever reads. Those that have something to be written wait for room only as
//! long as they like: they poll [`OwnStream::room`].

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::fstat;

use crate::reason::reason;
use crate::system::stderr::{self, Entry, Level};
use crate::system::waker::WakingSender;

/// How many chunks may wait to be written.
const ROOM: u64 = 16;

/// Both streams; a thread writes them once there is something to write.
#[derive(Default)]
pub(super) struct OwnStreams {
    stdout: Option<OwnStream>,
    stderr: Option<OwnStream>,
}

/// One of the streams.
#[derive(Clone)]
pub(super) struct OwnStream {
    chunks: Sender<Chunk>,
    shared: Arc<Shared>,
    target: Target,
}

/// Which stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    Stderr,
}

enum Chunk {
    Bytes(Target, Vec<u8>),
    /// All before is written.
    Done(WakingSender<()>),
}

struct Shared {
    /// Counts how many chunks there is room for.
    room: OwnedFd,
    /// Somebody has waited for long, in vain.
    is_stuck: AtomicBool,
    /// What was left out since the last that was not, in bytes.
    left_out: AtomicU64,
    /// Something could not be written, and nothing is from then on.
    is_broken: AtomicBool,
}

impl OwnStreams {
    pub(super) fn get(&mut self, target: Target) -> io::Result<OwnStream> {
        let (own, other) = match target {
            Target::Stdout => (&mut self.stdout, &self.stderr),
            Target::Stderr => (&mut self.stderr, &self.stdout),
        };
        if let Some(stream) = own {
            return Ok(stream.clone());
        }
        // One file is written by one thread, so that no line is cut by another.
        let stream = match other {
            Some(other) if is_one_file() => OwnStream {
                target,
                ..other.clone()
            },
            _ => OwnStream::start(target)?,
        };
        Ok(own.insert(stream).clone())
    }

    /// Has `when_done` told when all that was passed on until now is written, or can't be; for each stream that is in use.
    pub(super) fn finish(&self, target: Target, when_done: WakingSender<()>) {
        let stream = match target {
            Target::Stdout => &self.stdout,
            Target::Stderr => &self.stderr,
        };
        if let Some(stream) = stream {
            stream.finish(when_done);
        }
    }
}

fn is_one_file() -> bool {
    match (
        fstat(rustix::stdio::stdout()),
        fstat(rustix::stdio::stderr()),
    ) {
        (Ok(stdout), Ok(stderr)) => {
            (stdout.st_dev, stdout.st_ino) == (stderr.st_dev, stderr.st_ino)
        }
        _ => false,
    }
}

/// Nobody reads the stream any more.
#[derive(Debug)]
pub(super) struct Broken;

impl OwnStream {
    fn start(target: Target) -> io::Result<OwnStream> {
        OwnStream::written_by(target, write)
    }

    fn written_by(
        target: Target,
        write: impl Fn(Target, &[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<OwnStream> {
        let flags = EventfdFlags::SEMAPHORE | EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let room = eventfd(0, flags)?;
        let (chunks, to_write) = unbounded();
        let shared = Arc::new(Shared {
            room,
            is_stuck: AtomicBool::new(false),
            left_out: AtomicU64::new(0),
            is_broken: AtomicBool::new(false),
        });
        let writer = Writer {
            chunks: to_write,
            shared: Arc::clone(&shared),
        };
        shared.make_room(ROOM);
        thread::Builder::new()
            .name("streams".to_owned())
            .spawn(move || writer.work(write))?;
        Ok(OwnStream {
            chunks,
            shared,
            target,
        })
    }

    /// Readable when a chunk may be passed on; but somebody else may be faster.
    pub(super) fn room(&self) -> BorrowedFd<'_> {
        self.shared.room.as_fd()
    }

    /// Takes the room for a chunk, if there is some.
    pub(super) fn take_room(&self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&self.shared.room, &mut count).is_ok()
    }

    /// Has a chunk written, for which there is room.
    pub(super) fn write(&self, chunk: Vec<u8>) -> Result<(), Broken> {
        let chunk = Chunk::Bytes(self.target, chunk);
        self.chunks.send(chunk).map_err(|_| Broken)
    }

    /// Has `when_done` told when all that was passed on until now is written, or can't be.
    pub(super) fn finish(&self, when_done: WakingSender<()>) {
        // Where the thread has ended, so does the channel.
        let _ = self.chunks.send(Chunk::Done(when_done));
    }

    /// Whether something could not be written.
    pub(super) fn is_broken(&self) -> bool {
        self.shared.is_broken.load(Ordering::Acquire)
    }

    /// Whether somebody has waited for long, in vain, and nothing was written since.
    pub(super) fn is_stuck(&self) -> bool {
        self.shared.is_stuck.load(Ordering::Relaxed)
    }

    /// Something is not written, because nobody reads.
    pub(super) fn leave_out(&self, chunk: &[u8]) {
        self.shared.is_stuck.store(true, Ordering::Relaxed);
        self.shared
            .left_out
            .fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
}

impl Shared {
    fn make_room(&self, chunks: u64) {
        // It cannot fail: nobody counts as far.
        let _ = rustix::io::write(&self.room, &chunks.to_ne_bytes());
    }
}

/// The thread.
struct Writer {
    chunks: Receiver<Chunk>,
    shared: Arc<Shared>,
}

impl Writer {
    fn work(self, write: impl Fn(Target, &[u8]) -> io::Result<()>) {
        while let Ok(chunk) = self.chunks.recv() {
            match chunk {
                Chunk::Bytes(target, bytes) => {
                    let left_out = self.shared.left_out.swap(0, Ordering::Relaxed);
                    let written = word_for(left_out)
                        .map_or(Ok(()), |word| write(target, word.as_bytes()))
                        .and_then(|()| write(target, &bytes));
                    if let Err(error) = written {
                        self.shared.is_broken.store(true, Ordering::Release);
                        tell_of_loss(target, &error);
                        break;
                    }
                    self.shared.is_stuck.store(false, Ordering::Relaxed);
                    self.shared.make_room(1);
                }
                Chunk::Done(done) => drop(done),
            }
        }
        // Whoever waits for room is to learn that there is nobody.
        drop(self.chunks);
        self.shared.make_room(u64::from(u32::MAX));
    }
}

/// Where it is standard error that cannot be written, there is nobody to tell.
fn tell_of_loss(target: Target, error: &io::Error) {
    if target == Target::Stdout {
        let reason = reason(error);
        let word = format!(
            "writing to standard output: {reason}; commands that write there fail from now on"
        );
        stderr::enter(&Entry::about_nothing(Level::Error, &word));
    }
}

fn word_for(left_out: u64) -> Option<String> {
    (left_out > 0).then(|| {
        let word = format!("(standard error was not read; bytes of commands left out: {left_out})");
        stderr::line(&Entry::about_nothing(Level::Warning, &word)) + "\n"
    })
}

/// A chunk is written whole: neither lines of other commands nor words of the tool come between.
fn write(target: Target, bytes: &[u8]) -> io::Result<()> {
    match target {
        Target::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        }
        Target::Stderr => io::stderr().lock().write_all(bytes),
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::system::waker::Waker;

    #[test]
    fn there_is_room_for_so_many_chunks_until_they_are_written() {
        let (let_go, held_up) = bounded::<()>(0);
        let (sender, written) = unbounded();
        let stream = OwnStream::written_by(Target::Stderr, move |_, bytes: &[u8]| {
            let _ = held_up.recv();
            sender.send(bytes.to_vec()).unwrap();
            Ok(())
        })
        .unwrap();
        for number in 0..ROOM {
            assert!(stream.take_room());
            stream.write(vec![u8::try_from(number).unwrap()]).unwrap();
        }
        assert!(!stream.take_room());
        assert!(!stream.is_stuck());
        stream.leave_out(b"not read");
        assert!(stream.is_stuck());
        drop(let_go);
        let (when_done, done) = WakingSender::new(&Waker::new().unwrap());
        stream.chunks.send(Chunk::Done(when_done)).unwrap();
        assert!(done.recv().is_err(), "the channel ends when all is written");
        assert!(!stream.is_stuck());
        let chunks: Vec<Vec<u8>> = written.try_iter().collect();
        assert_eq!(chunks.len() as u64, ROOM + 1);
        assert!(chunks.contains(&word_for(8).unwrap().into_bytes()));
        for _ in 0..ROOM {
            assert!(stream.take_room());
        }
        assert!(!stream.take_room());
    }

    #[test]
    fn who_waits_for_room_learns_that_nobody_reads() {
        let broken = |_: Target, _: &[u8]| Err(io::ErrorKind::BrokenPipe.into());
        let stream = OwnStream::written_by(Target::Stdout, broken).unwrap();
        stream.write(vec![1]).unwrap();
        while stream.write(vec![2]).is_ok() {
            thread::yield_now();
        }
        for _ in 0..=ROOM {
            // The writer makes room after its channel has ended.
            while !stream.take_room() {
                thread::yield_now();
            }
        }
    }
}

//! A message's body as a command's standard input, without ever waiting for the command: what fits the pipe is in it
//! before the command starts, the rest is written by a thread.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::fcntl_getpipe_size;

/// Writes what did not fit the pipe.
///
/// Dropped, it stops: the command has ended, and if a process that it has left behind still holds the pipe,
/// nothing that it reads can matter.
pub(super) struct Feeder {
    _stop_when_dropped: PipeWriter,
}

/// A pipe that `body` can be read from, to its end, and who writes it, if it has to be written yet.
pub(super) fn readable(body: &Arc<Vec<u8>>) -> io::Result<(PipeReader, Option<Feeder>)> {
    let (reader, mut writer) = io::pipe()?;
    // 64 KiB, but a page for users that have filled their quota of pipe memory (pipe(7)).
    if body.len() <= fcntl_getpipe_size(&writer)? {
        writer.write_all(body)?;
        return Ok((reader, None));
    }
    let (stopped, stop_when_dropped) = io::pipe()?;
    let body = Arc::clone(body);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            // The command need not read its input: its exit status says whether that was right.
            let _ = write_until_stopped(writer, &body, &stopped);
        })?;
    let feeder = Feeder {
        _stop_when_dropped: stop_when_dropped,
    };
    Ok((reader, Some(feeder)))
}

fn write_until_stopped(mut pipe: PipeWriter, body: &[u8], stopped: &PipeReader) -> io::Result<()> {
    rustix::io::ioctl_fionbio(&pipe, true)?;
    let mut rest = body;
    while !rest.is_empty() && is_wanted(&pipe, stopped)? {
        match pipe.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

/// Waits until the pipe takes more (true) or the feeder is dropped (false).
fn is_wanted(pipe: &PipeWriter, stopped: &PipeReader) -> io::Result<bool> {
    let mut waiting = [
        PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT),
        PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
    ];
    match poll(&mut waiting, None) {
        Ok(_) => Ok(waiting[1].revents().is_empty()),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn body(length: usize) -> Arc<Vec<u8>> {
        Arc::new((0..=u8::MAX).cycle().take(length).collect())
    }

    #[test]
    fn a_body_comes_out_whole() {
        for length in [0, 1, 4096, 65_536, 65_537, 3_000_000] {
            let body = body(length);
            let (mut reader, feeder) = readable(&body).unwrap();
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert_eq!(read, *body);
            drop(feeder);
        }
    }

    #[test]
    fn a_dropped_feeder_closes_its_end_though_nobody_reads() {
        let body = body(3_000_000);
        let (mut reader, feeder) = readable(&body).unwrap();
        drop(feeder);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read.len() < body.len());
    }

    #[test]
    fn a_feeder_ends_when_nobody_can_read() {
        let body = body(3_000_000);
        let (reader, _feeder) = readable(&body).unwrap();
        drop(reader);
        while Arc::strong_count(&body) > 1 {
            thread::yield_now();
        }
    }
}

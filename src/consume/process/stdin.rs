//! A message's body as a command's standard input.
//!
//! The body is in the pipe or file before the command starts, so that a command never reads half a body, even if the tool is
//! killed. A thread writes the rest of a body that is larger than a pipe.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

use crate::consume::options::Stdin;

/// The largest pipe of an unprivileged process, unless the administrator sets another limit (pipe(7)).
const LARGEST_PIPE: usize = 1 << 20;

/// Stops the thread that writes the rest of a body, when it is dropped. It is dropped when the command has ended: what a process
/// reads that the command has left behind does not matter.
pub(in crate::consume) type Feeder = PipeWriter;

/// A file that contains `body`, and the feeder that still writes to it, if one is needed.
pub(in crate::consume) fn readable(
    body: &Arc<Vec<u8>>,
    stdin: Stdin,
) -> io::Result<(OwnedFd, Option<Feeder>)> {
    match stdin {
        Stdin::Pipe => pipe(body).map(|(reader, feeder)| (reader.into(), feeder)),
        Stdin::File => Ok((file(body)?.into(), None)),
    }
}

/// A sealed file without a name.
fn file(body: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"message", flags)?);
    file.write_all(body)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

fn pipe(body: &Arc<Vec<u8>>) -> io::Result<(PipeReader, Option<Feeder>)> {
    let (reader, mut writer) = io::pipe()?;
    if holds(&writer, body.len())? {
        writer.write_all(body)?;
        return Ok((reader, None));
    }
    let (stopped, stop_when_dropped) = io::pipe()?;
    let body = Arc::clone(body);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            // The command need not read its input; only its exit status counts.
            let _ = write_until_stopped(writer, &body, &stopped);
        })?;
    Ok((reader, Some(stop_when_dropped)))
}

/// Whether the pipe holds that many bytes. It is enlarged if necessary.
fn holds(pipe: &PipeWriter, length: usize) -> io::Result<bool> {
    // A new pipe has 64 KiB, or one page for a user that has used up the quota of pipe memory (pipe(7)).
    if length <= fcntl_getpipe_size(pipe)? {
        return Ok(true);
    }
    // Enlarging fails beyond that quota.
    Ok(length <= LARGEST_PIPE
        && fcntl_setpipe_size(pipe, length).is_ok_and(|capacity| length <= capacity))
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

/// Waits until the pipe is writable (true) or the feeder is dropped (false).
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
        for stdin in [Stdin::Pipe, Stdin::File] {
            for length in [0, 1, 4096, 65_536, 65_537, 1 << 20, 3_000_000] {
                let body = body(length);
                let (file, feeder) = readable(&body, stdin).unwrap();
                let mut read = Vec::new();
                File::from(file).read_to_end(&mut read).unwrap();
                assert_eq!(read, *body);
                drop(feeder);
            }
        }
    }

    #[test]
    fn nobody_feeds_what_a_pipe_or_a_file_can_hold() {
        for (stdin, length, is_fed) in [
            (Stdin::Pipe, 65_536, false),
            (Stdin::Pipe, LARGEST_PIPE, false),
            (Stdin::Pipe, LARGEST_PIPE + 1, true),
            (Stdin::File, 3_000_000, false),
        ] {
            let (_file, feeder) = readable(&body(length), stdin).unwrap();
            assert_eq!(feeder.is_some(), is_fed, "{stdin:?} {length}");
        }
    }

    #[test]
    fn a_file_cannot_be_changed() {
        let (file, _) = readable(&body(100), Stdin::File).unwrap();
        let mut file = File::from(file);
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(10).is_err());
        assert!(file.set_len(1000).is_err());
    }

    #[test]
    fn a_dropped_feeder_closes_its_end_though_nobody_reads() {
        let body = body(3_000_000);
        let (reader, feeder) = readable(&body, Stdin::Pipe).unwrap();
        drop(feeder);
        let mut read = Vec::new();
        File::from(reader).read_to_end(&mut read).unwrap();
        assert!(read.len() < body.len());
    }

    #[test]
    fn a_feeder_ends_when_nobody_can_read() {
        let body = body(3_000_000);
        let (reader, _feeder) = readable(&body, Stdin::Pipe).unwrap();
        drop(reader);
        while Arc::strong_count(&body) > 1 {
            thread::yield_now();
        }
    }
}

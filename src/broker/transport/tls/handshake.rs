//! The socket while it blocks, during the handshake: each read and write ends when the deadline passes.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::broker::transport::deadline::Deadline;

/// A socket that blocks until its connection's deadline.
pub(super) struct HandshakeSocket<'socket> {
    pub(super) tcp: &'socket TcpStream,
    pub(super) deadline: &'socket Deadline,
}

impl HandshakeSocket<'_> {
    /// Makes a call, and again where it ends without a result.
    pub(super) fn within<T>(
        &self,
        mut call: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let left = self.deadline.left()?;
            self.tcp.set_read_timeout(left)?;
            self.tcp.set_write_timeout(left)?;
            match call(self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

impl Read for HandshakeSocket<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.within(|mut tcp| tcp.read(out))
    }
}

impl Write for HandshakeSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.within(|mut tcp| tcp.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! A login by hand: whether a broker is ready to work.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PROTOCOL_HEADER: &[u8] = b"AMQP\0\0\x09\x01";

/// Class and method numbers (AMQP 0-9-1, section 1.4) with the arguments behind them.
const START_OK: &[u8] = b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
const TUNE_OK: &[u8] = b"\0\x0a\0\x1f\0\x01\0\x01\0\0\0\0";
const OPEN: &[u8] = b"\0\x0a\0\x28\x01/\0\0";
const OPEN_OK: &[u8] = b"\0\x0a\0\x29";

/// Whether a broker there lets guest into the virtual host `/`.
pub(crate) fn opens_virtual_host(address: SocketAddr) -> bool {
    let log_in = || -> io::Result<bool> {
        let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(PROTOCOL_HEADER)?;
        read_payload(&mut socket)?; // connection.start
        socket.write_all(&frame(START_OK))?;
        read_payload(&mut socket)?; // connection.tune
        socket.write_all(&[frame(TUNE_OK), frame(OPEN)].concat())?;
        Ok(read_payload(&mut socket)?.starts_with(OPEN_OK))
    };
    log_in().unwrap_or(false)
}

/// A method's frame on channel 0.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    [&[1, 0, 0, 0, 0, 0, length], payload, &[0xCE]].concat()
}

fn read_payload(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 7];
    socket.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let mut payload = vec![0; usize::try_from(length).unwrap_or_default() + 1];
    socket.read_exact(&mut payload)?;
    Ok(payload)
}

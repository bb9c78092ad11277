//! The physical limit of publishing: AMQP frames, encoded beforehand, written to a bare socket as fast as it takes
//! them. Just as much AMQP 0-9-1 as that needs.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::invocation::Usage;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;

type MethodId = (u16, u16);
const CONNECTION_START: MethodId = (10, 10);
const CONNECTION_START_OK: MethodId = (10, 11);
const CONNECTION_TUNE: MethodId = (10, 30);
const CONNECTION_TUNE_OK: MethodId = (10, 31);
const CONNECTION_OPEN: MethodId = (10, 40);
const CONNECTION_OPEN_OK: MethodId = (10, 41);
const CONNECTION_CLOSE: MethodId = (10, 50);
const CONNECTION_CLOSE_OK: MethodId = (10, 51);
const CHANNEL_OPEN: MethodId = (20, 10);
const CHANNEL_OPEN_OK: MethodId = (20, 11);
const BASIC_PUBLISH: MethodId = (60, 40);
const BASIC_ACK: MethodId = (60, 80);
const CONFIRM_SELECT: MethodId = (85, 10);
const CONFIRM_SELECT_OK: MethodId = (85, 11);

/// Whether the writer waits for the broker's confirms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Confirms {
    Awaited,
    NotAsked,
}

/// Publishes `messages` copies of `body` to a queue; the clock runs from the connection's begin to its end, as for a
/// process. The time to encode the frames is not counted.
pub(crate) fn publish(
    broker: SocketAddr,
    queue: &str,
    body: &[u8],
    messages: u64,
    confirms: Confirms,
) -> Result<Usage> {
    let one = publish_frames(queue, body)?;
    let all = one.repeat(usize::try_from(messages)?);
    let start = Instant::now();
    let mut session = RawSession::open(broker)?;
    if confirms == Confirms::Awaited {
        session.call(1, CONFIRM_SELECT, &[0], CONFIRM_SELECT_OK)?;
    }
    let mut socket = session.socket.try_clone()?;
    let writer = thread::spawn(move || socket.write_all(&all));
    if confirms == Confirms::Awaited {
        session.await_acks(messages)?;
    }
    writer
        .join()
        .map_err(|_| anyhow::anyhow!("the writing thread panicked"))??;
    session.close()?;
    Ok(Usage {
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: None,
        peak_kib: None,
    })
}

struct RawSession {
    socket: TcpStream,
    frames: BufReader<TcpStream>,
}

impl RawSession {
    fn open(broker: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(broker)?;
        socket.set_nodelay(true)?;
        let frames = BufReader::with_capacity(65536, socket.try_clone()?);
        let mut session = Self { socket, frames };
        session.socket.write_all(b"AMQP\x00\x00\x09\x01")?;
        session.expect(CONNECTION_START)?;
        let mut login = vec![0, 0, 0, 0]; // no properties
        login.extend(short_string("PLAIN")?);
        login.extend(b"\x00\x00\x00\x0c\x00guest\x00guest");
        login.extend(short_string("en_US")?);
        session.send(0, CONNECTION_START_OK, &login)?;
        let mut tuning = session.expect(CONNECTION_TUNE)?;
        tuning.truncate(6); // the broker's limits, but
        tuning.extend([0, 0]); // no heartbeats
        session.send(0, CONNECTION_TUNE_OK, &tuning)?;
        session.call(0, CONNECTION_OPEN, b"\x01/\x00\x00", CONNECTION_OPEN_OK)?;
        session.call(1, CHANNEL_OPEN, &[0], CHANNEL_OPEN_OK)?;
        Ok(session)
    }

    fn close(mut self) -> Result<()> {
        let no_reason = [0, 200, 0, 0, 0, 0, 0];
        self.call(0, CONNECTION_CLOSE, &no_reason, CONNECTION_CLOSE_OK)
    }

    fn call(
        &mut self,
        channel: u16,
        method: MethodId,
        arguments: &[u8],
        answer: MethodId,
    ) -> Result<()> {
        self.send(channel, method, arguments)?;
        self.expect(answer)?;
        Ok(())
    }

    fn send(&mut self, channel: u16, method: MethodId, arguments: &[u8]) -> Result<()> {
        let frame = method_frame(channel, method, arguments)?;
        Ok(self.socket.write_all(&frame)?)
    }

    /// The arguments of the next frame, which must be that method.
    fn expect(&mut self, expected: MethodId) -> Result<Vec<u8>> {
        let (method, arguments) = self.next_method()?;
        ensure!(
            method == expected,
            "{method:?} came in place of {expected:?}"
        );
        Ok(arguments)
    }

    fn next_method(&mut self) -> Result<(MethodId, Vec<u8>)> {
        let mut head = [0; 7];
        self.frames.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; usize::try_from(length)? + 1];
        self.frames.read_exact(&mut payload)?;
        ensure!(head[0] == METHOD && payload.len() > 4, "no method frame");
        ensure!(payload.pop() == Some(FRAME_END), "a frame without its end");
        let arguments = payload.split_off(4);
        let word = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        Ok(((word(0), word(2)), arguments))
    }

    fn await_acks(&mut self, messages: u64) -> Result<()> {
        let mut acked = vec![false; usize::try_from(messages)? + 1];
        let mut all_up_to = 0;
        while all_up_to < acked.len() - 1 {
            let arguments = self.expect(BASIC_ACK)?;
            ensure!(arguments.len() == 9, "a short basic.ack");
            let (number, multiple) = arguments.split_at(8);
            let number = number
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            ensure!((1..acked.len()).contains(&number), "an ack for {number}");
            let first = if multiple == [0] {
                number
            } else {
                all_up_to + 1
            };
            acked[first..=number].fill(true);
            while acked.get(all_up_to + 1) == Some(&true) {
                all_up_to += 1;
            }
        }
        Ok(())
    }
}

/// The three frames of a message to the default exchange, without properties.
fn publish_frames(queue: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mut target = vec![0, 0, 0]; // reserved, and the exchange's empty name
    target.extend(short_string(queue)?);
    target.push(0); // neither mandatory nor immediate
    let mut frames = method_frame(1, BASIC_PUBLISH, &target)?;
    let mut header = vec![0, 60, 0, 0];
    header.extend(u64::try_from(body.len())?.to_be_bytes());
    header.extend([0, 0]);
    frames.extend(frame(HEADER, 1, &header)?);
    frames.extend(frame(BODY, 1, body)?);
    Ok(frames)
}

fn method_frame(channel: u16, (class, method): MethodId, arguments: &[u8]) -> Result<Vec<u8>> {
    let mut payload = [class.to_be_bytes(), method.to_be_bytes()].concat();
    payload.extend(arguments);
    frame(METHOD, channel, &payload)
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Result<Vec<u8>> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(u32::try_from(payload.len())?.to_be_bytes());
    frame.extend(payload);
    frame.push(FRAME_END);
    Ok(frame)
}

fn short_string(text: &str) -> Result<Vec<u8>> {
    let mut bytes = vec![u8::try_from(text.len())?];
    bytes.extend(text.bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_method_a_header_and_a_body() {
        let expected = [
            b"\x01\x00\x01\x00\x00\x00\x0a\x00\x3c\x00\x28\x00\x00\x00\x01q\x00\xce".as_slice(),
            b"\x02\x00\x01\x00\x00\x00\x0e\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\xce",
            b"\x03\x00\x01\x00\x00\x00\x02hi\xce",
        ];
        assert_eq!(publish_frames("q", b"hi").unwrap(), expected.concat());
    }
}

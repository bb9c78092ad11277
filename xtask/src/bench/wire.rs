//! The physical limit of publishing: AMQP frames, encoded beforehand, written to a bare socket as fast as it takes
//! them. Just as much AMQP 0-9-1 as that needs.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use amqp_tools::broker::frame::{self, BODY, FRAME_END, HEAD_LENGTH, HEADER, Head, MethodId};
use anyhow::{Context as _, Result, ensure};

use super::invocation::Usage;

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
        session.call(
            1,
            MethodId::CONFIRM_SELECT,
            &[0],
            MethodId::CONFIRM_SELECT_OK,
        )?;
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
        session.socket.write_all(&frame::PROTOCOL_HEADER)?;
        session.expect(MethodId::CONNECTION_START)?;
        let mut login = vec![0, 0, 0, 0]; // no properties
        login.extend(short_string("PLAIN")?);
        login.extend(b"\x00\x00\x00\x0c\x00guest\x00guest");
        login.extend(short_string("en_US")?);
        session.send(0, MethodId::CONNECTION_START_OK, &login)?;
        let mut tuning = session.expect(MethodId::CONNECTION_TUNE)?;
        tuning.truncate(6); // the broker's limits, but
        tuning.extend([0, 0]); // no heartbeats
        session.send(0, MethodId::CONNECTION_TUNE_OK, &tuning)?;
        session.call(
            0,
            MethodId::CONNECTION_OPEN,
            b"\x01/\x00\x00",
            MethodId::CONNECTION_OPEN_OK,
        )?;
        session.call(1, MethodId::CHANNEL_OPEN, &[0], MethodId::CHANNEL_OPEN_OK)?;
        Ok(session)
    }

    fn close(mut self) -> Result<()> {
        let no_reason = [0, 200, 0, 0, 0, 0, 0];
        self.call(
            0,
            MethodId::CONNECTION_CLOSE,
            &no_reason,
            MethodId::CONNECTION_CLOSE_OK,
        )
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
        let frame = frame::encode_method(channel, method, arguments);
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
        let mut frame = vec![0; HEAD_LENGTH];
        self.frames.read_exact(&mut frame)?;
        let length = Head::of(&frame).context("no head")?.frame_length();
        frame.resize(length, 0);
        self.frames.read_exact(&mut frame[HEAD_LENGTH..])?;
        ensure!(frame.pop() == Some(FRAME_END), "a frame without its end");
        let method = MethodId::of_frame(&frame).context("no method frame")?;
        Ok((method, frame.split_off(HEAD_LENGTH + 4)))
    }

    fn await_acks(&mut self, messages: u64) -> Result<()> {
        let mut acked = vec![false; usize::try_from(messages)? + 1];
        let mut all_up_to = 0;
        while all_up_to < acked.len() - 1 {
            let arguments = self.expect(MethodId::BASIC_ACK)?;
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
    let mut frames = frame::encode_method(1, MethodId::BASIC_PUBLISH, &target);
    let mut header = vec![0, 60, 0, 0];
    header.extend(u64::try_from(body.len())?.to_be_bytes());
    header.extend([0, 0]);
    frames.extend(frame::encode(HEADER, 1, &header));
    frames.extend(frame::encode(BODY, 1, body));
    Ok(frames)
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

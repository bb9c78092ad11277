//! The physical limits that `cargo xtask bench` compares with: the least work that could do the same.
//!
//! `bare ADDRESS declare|get QUEUE` and `bare ADDRESS publish QUEUE MESSAGES BYTES [confirm] [persistent]` write encoded AMQP
//! 0-9-1 frames to a bare socket, in four round trips. With `confirm`, it guarantees what amqp-publish does: the messages are
//! mandatory, and at most 1000 are unconfirmed at a time. `bare spawn MESSAGES JOBS COMMAND...` starts a command for each
//! message without any broker. `bare answer` is a coprocess that answers each line of its input with success. It uses the
//! standard library alone, and the bench links it statically.

use std::env::args;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _, stdin};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "see the comment at the top of xtask/src/bin/bare.rs";

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;
const PERSISTENT: [u8; 3] = [0x10, 0, 2];
const NO_PROPERTIES: [u8; 2] = [0, 0];

/// A class and a method in it.
type MethodId = (u16, u16);
const START: MethodId = (10, 10);
const START_OK: MethodId = (10, 11);
const TUNE: MethodId = (10, 30);
const TUNE_OK: MethodId = (10, 31);
const OPEN: MethodId = (10, 40);
const CLOSE: MethodId = (10, 50);
const CLOSE_OK: MethodId = (10, 51);
const CHANNEL_OPEN: MethodId = (20, 10);
const CHANNEL_OPEN_OK: MethodId = (20, 11);
const CHANNEL_CLOSE: MethodId = (20, 40);
const DECLARE: MethodId = (50, 10);
const DECLARE_OK: MethodId = (50, 11);
const PUBLISH: MethodId = (60, 40);
const GET: MethodId = (60, 70);
const GET_OK: MethodId = (60, 71);
const ACK: MethodId = (60, 80);
const CONFIRM: MethodId = (85, 10);

fn main() -> Result<()> {
    let words: Vec<String> = args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match &words[..] {
        ["spawn", messages, jobs, command @ ..] => spawn(messages.parse()?, jobs.parse()?, command),
        ["answer"] => answer(),
        [address, "declare", queue] => {
            let durable = [2, 0, 0, 0, 0];
            let arguments = [&[0, 0], &*name(queue)?, &durable].concat();
            call(address, DECLARE, &arguments, DECLARE_OK)
        }
        [address, "get", queue] => {
            let without_acknowledgement = 1;
            let arguments = [&[0, 0], &*name(queue)?, &[without_acknowledgement]].concat();
            call(address, GET, &arguments, GET_OK)
        }
        [address, "publish", queue, messages, bytes, flags @ ..] => {
            let [confirm, persistent] = ["confirm", "persistent"].map(|flag| flags.contains(&flag));
            let one = message(queue, bytes.parse()?, persistent, confirm)?;
            publish(address, &one, messages.parse()?, confirm)
        }
        _ => Err(USAGE.into()),
    }
}

fn call(address: &str, id: MethodId, arguments: &[u8], answer: MethodId) -> Result<()> {
    let mut broker = Broker::connect(address, &method(1, id, arguments)?)?;
    broker.wait_for(answer)?;
    broker.close()
}

/// Writes as many messages as may be unconfirmed, or all of them where none is confirmed, and as many more as are confirmed.
fn publish(address: &str, one: &[u8], messages: usize, confirm: bool) -> Result<()> {
    const IN_FLIGHT: usize = 1000;
    if !confirm {
        return Broker::connect(address, &one.repeat(messages))?.close();
    }
    let mut broker = Broker::connect(address, &method(1, CONFIRM, &[0])?)?;
    let mut written = 0;
    let mut acked = vec![false; messages];
    let mut complete = 0;
    while complete < messages {
        let end = messages.min(complete + IN_FLIGHT);
        broker.socket.write_all(&one.repeat(end - written))?;
        written = end;
        broker.wait_for_acks(&mut acked)?;
        while acked.get(complete) == Some(&true) {
            complete += 1;
        }
    }
    broker.close()
}

/// Starts the command for each message, writes ten bytes to it, and waits for it.
fn spawn(messages: usize, jobs: usize, command: &[&str]) -> Result<()> {
    let (program, arguments) = command.split_first().ok_or(USAGE)?;
    let run = || -> Result<()> {
        let mut command = Command::new(program);
        let mut child = command.args(arguments).stdin(Stdio::piped()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            let _ = input.write_all(b"012345678\n"); // the command need not read
        }
        child.wait()?;
        Ok(())
    };
    thread::scope(|scope| {
        let share = |job| messages / jobs + usize::from(job < messages % jobs);
        let workers: Vec<_> = (0..jobs)
            .map(|job| scope.spawn(move || (0..share(job)).try_for_each(|_| run())))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            let result = worker.join();
            result.map_err(|_| "a worker panicked")?
        })
    })
}

/// Answers each line of the input with success, and all lines of a read at once.
fn answer() -> Result<()> {
    let answers = OpenOptions::new().append(true).open("/dev/fd/3")?;
    let mut answers = BufWriter::new(answers);
    let mut input = BufReader::with_capacity(65536, stdin());
    while input.skip_until(b'\n')? > 0 {
        answers.write_all(b"0\n")?;
        if input.buffer().is_empty() {
            answers.flush()?;
        }
    }
    Ok(())
}

struct Broker {
    socket: TcpStream,
    frames: BufReader<TcpStream>,
}

impl Broker {
    /// Three round trips; what comes `first` on the channel is sent together with the opening of both.
    fn connect(address: &str, first: &[u8]) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let frames = BufReader::with_capacity(65536, socket.try_clone()?);
        let mut broker = Self { socket, frames };
        broker.socket.write_all(b"AMQP\x00\x00\x09\x01")?;
        broker.wait_for(START)?;
        let login = b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
        broker.socket.write_all(&method(0, START_OK, login)?)?;
        let mut limits = broker.wait_for(TUNE)?;
        limits.truncate(6); // the broker's, but no heartbeats
        limits.extend([0, 0]);
        let rest = [
            &*method(0, TUNE_OK, &limits)?,
            &*method(0, OPEN, b"\x01/\x00\x00")?,
            &*method(1, CHANNEL_OPEN, &[0])?,
            first,
        ];
        broker.socket.write_all(&rest.concat())?;
        broker.wait_for(CHANNEL_OPEN_OK)?;
        Ok(broker)
    }

    fn close(mut self) -> Result<()> {
        let no_reason = [0, 200, 0, 0, 0, 0, 0];
        self.socket.write_all(&method(0, CLOSE, &no_reason)?)?;
        self.wait_for(CLOSE_OK).map(drop)
    }

    /// Reads up to that method, and returns its arguments.
    fn wait_for(&mut self, expected: MethodId) -> Result<Vec<u8>> {
        loop {
            let mut head = [0; 7];
            self.frames.read_exact(&mut head)?;
            let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
            let mut payload = vec![0; usize::try_from(length)? + 1];
            self.frames.read_exact(&mut payload)?;
            if head[0] != METHOD || payload.len() < 5 {
                continue;
            }
            let word = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
            let id = (word(0), word(2));
            if id == expected {
                payload.pop(); // the frame's end
                return Ok(payload.split_off(4));
            }
            if [CLOSE, CHANNEL_CLOSE].contains(&id) {
                return Err(String::from_utf8_lossy(&payload).into());
            }
        }
    }

    /// Waits for an ack, and notes it and those that were read with it.
    fn wait_for_acks(&mut self, acked: &mut [bool]) -> Result<()> {
        loop {
            let arguments = self.wait_for(ACK)?;
            let (number, multiple) = arguments.split_first_chunk().ok_or("a short ack")?;
            let end = usize::try_from(u64::from_be_bytes(*number))?;
            let those = acked.get_mut(..end).ok_or("a strange ack")?;
            if multiple == [0] {
                *those.last_mut().ok_or("an ack of nothing")? = true;
            } else {
                those.fill(true);
            }
            if self.frames.buffer().is_empty() {
                return Ok(());
            }
        }
    }
}

/// The three frames of a message to the default exchange.
fn message(queue: &str, bytes: usize, persistent: bool, mandatory: bool) -> Result<Vec<u8>> {
    let target = [&[0, 0, 0], &*name(queue)?, &[u8::from(mandatory)]].concat();
    let properties: &[u8] = if persistent {
        &PERSISTENT
    } else {
        &NO_PROPERTIES
    };
    let length = u64::try_from(bytes)?.to_be_bytes();
    let header = [&[0, 60, 0, 0], &length[..], properties].concat();
    let frames = [
        method(1, PUBLISH, &target)?,
        frame(HEADER, 1, &header)?,
        frame(BODY, 1, &vec![b'x'; bytes])?,
    ];
    Ok(frames.concat())
}

fn method(channel: u8, (class, method): MethodId, arguments: &[u8]) -> Result<Vec<u8>> {
    let id = [class.to_be_bytes(), method.to_be_bytes()].concat();
    frame(METHOD, channel, &[&id, arguments].concat())
}

fn frame(kind: u8, channel: u8, payload: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(payload.len())?.to_be_bytes();
    Ok([&[kind, 0, channel], &length[..], payload, &[FRAME_END]].concat())
}

/// A name as AMQP's short string.
fn name(text: &str) -> Result<Vec<u8>> {
    Ok([&[u8::try_from(text.len())?], text.as_bytes()].concat())
}

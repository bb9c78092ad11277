//! A broker that does not go on, after each word that it has for a program and in the middle of each: it falls silent, or it
//! hangs up. No program takes that for success, and a signal ends each of them in every such wait.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::basic::{self, AMQPProperties};
use amq_protocol::protocol::{AMQPClass, channel, connection};
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::consume::first_process::{as_first_process, signal_first_process};
use crate::lying_servers::wait_for_the_end;
use crate::support::{Ended, Running, Signal, Test, eventually};
use crate::wire::scripted::{
    Manner, Scripted, channel_open_ok, close_ok, confirm, connection_open_ok, deliver, is_close,
    is_consume, is_get, is_select, tune, usual_answer,
};
use crate::wire::{PROTOCOL_HEADER, Server, body, header, method, read_frame, start};

/// What is run, and the exit status where nothing is missing but the answer to its connection.close.
const PROGRAMS: [(&str, i32); 7] = [
    ("amqp-declare-queue -q a", 1),
    ("amqp-delete-queue a", 1),
    ("amqp-get -q a", 1),
    ("amqp-publish -r a -b text", 0),
    ("amqp-publish -r a -b text --no-confirm", 1),
    ("amqp-consume -q a -c 1 cat", 0),
    ("amqp-consume -q a -c 1 --json", 0),
];

/// How much is said of the first word that is not said whole.
#[derive(Debug, Clone, Copy)]
enum Part {
    Nothing,
    Half,
}

const PARTS: [Part; 2] = [Part::Nothing, Part::Half];

/// What comes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Silence,
    End,
}

/// What the broker tells the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// It does not go on.
    Stopped,
    /// All was said, and the last word was close-ok.
    Over,
}

/// A broker that says so many words, and then no more. It has one message for everybody.
#[derive(Debug, Clone, Copy)]
struct Script {
    words: usize,
    part: Part,
    then: Then,
    heartbeat: u16,
}

impl Script {
    fn play(self) -> (Server, Receiver<News>) {
        let (sender, news) = unbounded();
        let server = Server::start(move |client| {
            Broker {
                client,
                script: self,
                said: 0,
                news: sender.clone(),
                confirms: false,
            }
            .serve()
        });
        (server, news)
    }
}

struct Broker<'c> {
    client: &'c mut TcpStream,
    script: Script,
    said: usize,
    news: Sender<News>,
    confirms: bool,
}

impl Broker<'_> {
    fn serve(&mut self) -> io::Result<()> {
        io::Read::read_exact(self.client, &mut [0; PROTOCOL_HEADER.len()])?;
        self.say(&start())?;
        loop {
            let frame = read_frame(self.client)?;
            for word in self.answers(&frame) {
                self.say(&word)?;
            }
            if is_close(&frame) {
                let _ = self.news.send(News::Over);
            }
        }
    }

    fn answers(&mut self, frame: &AMQPFrame) -> Vec<Vec<u8>> {
        self.confirms |= is_select(frame);
        if is_get(frame) {
            return message(get_ok());
        }
        if is_close(frame) {
            return vec![close_ok()];
        }
        let mut words: Vec<_> = usual_answer(frame).into_iter().collect();
        if is_consume(frame) {
            words.extend(message(deliver(1)));
        }
        if matches!(frame, AMQPFrame::Body(..)) && self.confirms {
            words.push(confirm(1));
        }
        words.extend(self.answer_to_login(frame));
        words
    }

    fn answer_to_login(&self, frame: &AMQPFrame) -> Option<Vec<u8>> {
        match frame {
            AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::StartOk(_))) => {
                Some(tune(self.script.heartbeat))
            }
            AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::Open(_))) => {
                Some(connection_open_ok())
            }
            AMQPFrame::Method(_, AMQPClass::Channel(channel::AMQPMethod::Open(_))) => {
                Some(channel_open_ok())
            }
            _ => None,
        }
    }

    /// An error where it is not said whole.
    fn say(&mut self, word: &[u8]) -> io::Result<()> {
        let Script {
            words, part, then, ..
        } = self.script;
        if self.said < words {
            self.said += 1;
            return self.client.write_all(word);
        }
        if let Part::Half = part {
            self.client.write_all(&word[..word.len() / 2])?;
        }
        let _ = self.news.send(News::Stopped);
        if then == Then::Silence {
            wait_for_the_end(self.client)?;
        }
        Err(io::ErrorKind::Other.into())
    }
}

/// A message's frames.
fn message(method: Vec<u8>) -> Vec<Vec<u8>> {
    vec![method, header(4, &AMQPProperties::default()), body(b"text")]
}

fn get_ok() -> Vec<u8> {
    let get_ok = basic::AMQPMethod::GetOk(basic::GetOk {
        delivery_tag: 1,
        redelivered: false,
        exchange: String::new(),
        routing_key: "a".to_owned(),
        message_count: 0,
    });
    method(1, &AMQPClass::Basic(get_ok))
}

/// A program whose broker does not go on.
struct Waiting<'t> {
    line: String,
    tool: Running<'t>,
    /// The exit status, where only connection.close was not answered.
    at_the_close: Option<i32>,
}

/// Runs each program with brokers that say more and more words, until one has said all, and has `start` start it. It gives
/// the programs that met one that stopped.
fn in_every_wait<'t>(
    then: Then,
    heartbeat: u16,
    start: impl Fn(&str, &str) -> Running<'t>,
    stopped: impl Fn(&Running<'t>),
) -> Vec<Waiting<'t>> {
    let mut all = Vec::new();
    for ((line, at_the_close), part) in PROGRAMS
        .into_iter()
        .flat_map(|program| PARTS.map(|part| (program, part)))
    {
        for words in 0.. {
            let script = Script {
                words,
                part,
                then,
                heartbeat,
            };
            let (server, news) = script.play();
            let tool = start(line, &format!("amqp://{}", server.address()));
            if news.recv().unwrap() == News::Over {
                tool.succeeds();
                break;
            }
            stopped(&tool);
            all.push(Waiting {
                line: format!("{line}: {script:?}"),
                tool,
                at_the_close: None,
            });
        }
        if let Some(last) = all.last_mut() {
            last.at_the_close = Some(at_the_close);
        }
    }
    assert!(all.len() > PROGRAMS.len() * PARTS.len() * 5);
    all
}

/// All must end so, those at their very end as they would without the signal.
#[track_caller]
fn end_with(waiting: Vec<Waiting<'_>>, status: i32) {
    let mut wrong = Vec::new();
    for Waiting {
        line,
        tool,
        at_the_close,
    } in waiting
    {
        let ended = tool.ends().ended;
        if ended != Ended::Exit(status) && Some(ended) != at_the_close.map(Ended::Exit) {
            wrong.push(format!("{line}: {ended}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn test() -> Test {
    Test::on("amqp://nobody.invalid")
}

#[test]
fn a_signal_ends_every_program_in_every_wait() {
    let test = test();
    let waiting = in_every_wait(
        Then::Silence,
        60,
        |line, url| {
            as_first_process(&test, line)
                .env("AMQP_URL", url)
                .any_stdout()
                .any_stderr()
                .spawn()
        },
        |tool| signal_first_process(tool, Signal::TERM),
    );
    end_with(waiting, 143);
}

#[test]
fn a_broker_that_falls_silent_is_given_up() {
    let test = test();
    end_with(in_every_wait(Then::Silence, 2, by_itself(&test), |_| ()), 1);
}

#[test]
fn a_broker_that_hangs_up_is_an_error() {
    let test = test();
    end_with(in_every_wait(Then::End, 60, by_itself(&test), |_| ()), 1);
}

fn by_itself<'t>(test: &'t Test) -> impl Fn(&str, &str) -> Running<'t> {
    |line, url| {
        test.run(line)
            .env("AMQP_URL", url)
            .any_stdout()
            .any_stderr()
            .spawn()
    }
}

/// Starts the tools as first processes, with that URL, and ends them by a signal once they wait.
#[track_caller]
fn a_signal_ends(lines: &[&str], url: &str, waits: impl Fn()) {
    let test = test();
    for line in lines {
        let tool = as_first_process(&test, line)
            .env("AMQP_URL", url)
            .any_stderr()
            .spawn();
        waits();
        signal_first_process(&tool, Signal::TERM);
        tool.exits(143);
    }
}

#[test]
fn a_signal_ends_every_program_while_tls_begins() {
    let (sender, accepted) = unbounded();
    let server = Server::start(move |client| {
        sender.send(()).unwrap();
        wait_for_the_end(client)
    });
    let url = format!("amqps://{}", server.address());
    a_signal_ends(&PROGRAMS.map(|(line, _)| line), &url, || {
        accepted.recv().unwrap();
    });
}

#[test]
fn a_signal_ends_every_program_while_it_connects() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(client) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queued.push(client);
    }
    // SYN_SENT, to that port.
    let connecting = format!(":{:04X} 02 ", address.port());
    a_signal_ends(
        &PROGRAMS.map(|(line, _)| line),
        &format!("amqp://{address}"),
        || {
            eventually("a connection that is not accepted", || {
                let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
                table.contains(&connecting)
            });
        },
    );
}

#[test]
fn a_signal_ends_publishing_while_the_broker_is_blocked() {
    let (sender, blocked) = unbounded();
    let server = Server::start(move |client| {
        let reason = connection::AMQPMethod::Blocked(connection::Blocked {
            reason: "low on memory".to_owned(),
        });
        let reason = method(0, &AMQPClass::Connection(reason));
        let mut broker = Scripted::open_saying(client, Manner::Together, 60, &[reason])?;
        broker.answer_until(is_select)?;
        sender.send(()).unwrap();
        broker.answer_to_the_end()
    });
    let line = "amqp-publish -r a -b text";
    a_signal_ends(&[line], &format!("amqp://{}", server.address()), || {
        blocked.recv().unwrap();
    });
}

//! The server's thread. Its sockets are nonblocking, and it polls them. A client that sends nothing, or reads nothing, has the memory of
//! one request and one response, until newer clients take its place.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};

use super::health::Health;
use super::http::{self, Code, LONGEST_HEAD};
use super::link::Link;
use super::registry::Numbers;
use crate::system::signals::without_signals;
use crate::system::stderr::say;

/// How many clients may be connected at once. The oldest one makes room.
const MOST_CLIENTS: usize = 64;

/// How long the server waits where the process has no file descriptors for another client.
const BREATHER: Duration = Duration::from_millis(100);

/// The address that is listened on. Nobody is answered yet.
pub(crate) struct StatusServer(TcpListener);

/// What the server's pages say.
struct Pages {
    health: Health,
    numbers: Numbers,
}

/// A client's connection.
struct Client {
    socket: TcpStream,
    /// The request, as far as it has come.
    input: Vec<u8>,
    /// What is left of the response, once there is one.
    output: Option<Vec<u8>>,
}

/// Whether a client stays.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Waits,
    IsDone,
}

impl StatusServer {
    /// Listens on HOST:PORT.
    pub(crate) fn listen(address: &str) -> io::Result<StatusServer> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(StatusServer(listener))
    }

    /// The same. The error says which option is wrong. Port 0 is any free port, and standard error says which.
    pub(crate) fn listen_for(address: &str) -> anyhow::Result<StatusServer> {
        let context = || format!("--status-address {address}");
        let server = StatusServer::listen(address).with_context(context)?;
        if address.ends_with(":0") {
            let local = server.0.local_addr().with_context(context)?;
            say(&format!("status address: {local}"));
        }
        Ok(server)
    }

    /// Answers requests from now on, until the process ends.
    fn start(self, pages: Pages) -> io::Result<()> {
        without_signals(|| {
            thread::Builder::new()
                .name("status".to_owned())
                .spawn(move || serve(&self.0, &pages))
        })
        .map(drop)
    }
}

/// Has the server, if there is one, answer from now on, with what `new` makes: what the tool counts, and the same for the pages.
pub(crate) fn start<M>(
    server: Option<StatusServer>,
    new: impl FnOnce() -> prometheus::Result<(M, Numbers)>,
    link: impl FnOnce(&M) -> &Link,
) -> io::Result<Option<M>> {
    let Some(server) = server else {
        return Ok(None);
    };
    let (meters, numbers) = new().map_err(io::Error::other)?;
    let health = link(&meters).health().clone();
    server.start(Pages { health, numbers })?;
    Ok(Some(meters))
}

fn serve(listener: &TcpListener, pages: &Pages) {
    let mut clients = VecDeque::new();
    loop {
        wait(listener, &clients);
        clients.retain_mut(|client: &mut Client| client.turn(pages) == Turn::Waits);
        accept(listener, &mut clients, pages);
    }
}

/// Waits for a new client, or for one that can go on.
fn wait(listener: &TcpListener, clients: &VecDeque<Client>) {
    let mut files: Vec<PollFd<'_>> = clients
        .iter()
        .map(|client| PollFd::new(&client.socket, client.waits_for()))
        .collect();
    files.push(PollFd::new(listener, PollFlags::IN));
    // Whatever ended the wait, everything is looked at.
    let _ = poll(&mut files, None);
}

/// Takes in all new clients.
fn accept(listener: &TcpListener, clients: &mut VecDeque<Client>, pages: &Pages) {
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                let Ok(mut client) = Client::new(socket) else {
                    continue;
                };
                if client.turn(pages) == Turn::Waits {
                    clients.push_back(client);
                }
                if clients.len() > MOST_CLIENTS {
                    clients.pop_front();
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            // The client has gone already.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // No file descriptors, or no memory.
            Err(_) => {
                if clients.pop_front().is_none() {
                    thread::sleep(BREATHER);
                    return;
                }
            }
        }
    }
}

impl Client {
    fn new(socket: TcpStream) -> io::Result<Client> {
        socket.set_nonblocking(true)?;
        Ok(Client {
            socket,
            input: Vec::new(),
            output: None,
        })
    }

    fn waits_for(&self) -> PollFlags {
        match self.output {
            None => PollFlags::IN,
            Some(_) => PollFlags::OUT,
        }
    }

    /// Reads the request and writes the response, as far as that is possible without waiting.
    fn turn(&mut self, pages: &Pages) -> Turn {
        if self.output.is_none() {
            match self.read() {
                Ok(Turn::IsDone) => {}
                Ok(Turn::Waits) => return Turn::Waits,
                Err(_) => return Turn::IsDone,
            }
            let output = match http::request(&self.input) {
                Ok(None) => return Turn::Waits,
                Ok(Some(request)) => pages.answer(&request),
                Err(code) => http::response(code, "", false),
            };
            self.output = Some(output);
        }
        self.write().unwrap_or(Turn::IsDone)
    }

    /// Reads once. Done: there is something new.
    fn read(&mut self) -> io::Result<Turn> {
        let mut bytes = [0; LONGEST_HEAD];
        match self.socket.read(&mut bytes) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.input.extend_from_slice(&bytes[..count]);
                Ok(Turn::IsDone)
            }
            Err(error) if is_passing(&error) => Ok(Turn::Waits),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self) -> io::Result<Turn> {
        let output = self.output.get_or_insert_default();
        while !output.is_empty() {
            match self.socket.write(output) {
                Ok(count) => drop(output.drain(..count)),
                Err(error) if is_passing(&error) => return Ok(Turn::Waits),
                Err(error) => return Err(error),
            }
        }
        self.socket.shutdown(Shutdown::Write)?;
        Ok(Turn::IsDone)
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Pages {
    fn answer(&self, request: &http::Request) -> Vec<u8> {
        let (code, text) = match request.path.as_str() {
            "/livez" => (Code::Ok, "ok\n".to_owned()),
            "/readyz" => match self.health.obstacle() {
                None => (Code::Ok, "ok\n".to_owned()),
                Some(obstacle) => (Code::Unavailable, format!("{obstacle}\n")),
            },
            "/metrics" => match self.numbers.text() {
                Ok(text) => (Code::Ok, text),
                Err(error) => (Code::InternalError, format!("{error}\n")),
            },
            _ => (Code::NotFound, "/livez, /readyz, /metrics\n".to_owned()),
        };
        http::response(code, &text, request.is_head)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn started() -> SocketAddr {
        let server = StatusServer::listen("127.0.0.1:0").unwrap();
        let address = server.0.local_addr().unwrap();
        let pages = Pages {
            health: Health::default(),
            numbers: Numbers::new("test").unwrap(),
        };
        server.start(pages).unwrap();
        address
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn each_page_has_its_status() {
        let address = started();
        for (path, status) in [
            ("/livez", 200),
            ("/readyz", 503),
            ("/metrics", 200),
            ("/", 404),
        ] {
            let answer = ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
        }
        let numbers = ask(address, "GET /metrics HTTP/1.1\r\n\r\n");
        assert!(
            numbers.contains("\ntest_build_info{version=\""),
            "{numbers}"
        );
        assert!(ask(address, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn the_oldest_clients_make_room_and_nobody_waits_for_a_slow_one() {
        let address = started();
        let mut idle: Vec<TcpStream> = (0..500)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        idle.iter_mut().skip(100).for_each(|client| {
            let _ = client.write_all(b"GET /liv");
        });
        assert!(ask(address, "GET /livez HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        let mut last = idle.pop().unwrap();
        last.write_all(b"ez HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        last.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
        // The first one was dropped.
        assert!(!matches!(idle[0].read(&mut [0]), Ok(1..)));
    }

    #[test]
    fn an_address_in_use_is_an_error() {
        let address = started().to_string();
        let error = StatusServer::listen(&address).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}

//! AMQP by hand, frame by frame, for tests that send what no honest client or server would.

pub(crate) mod scripted;

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use amq_protocol::frame::generation::gen_content_header_frame;
use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::protocol::{AMQPClass, channel, connection};
use amq_protocol::types::FieldTable;
pub(crate) use amqp_tools::broker::frame::PROTOCOL_HEADER;
use amqp_tools::broker::frame::{self, BASIC, BODY, HEAD_LENGTH, Head};

/// More than any frame of a test has.
const FRAME_MAX: usize = 256 * 1024;

/// A server of the test's own, on a port of its own for as long as the test run lasts.
pub(crate) struct Server(SocketAddr);

impl Server {
    /// Every connection is served by `serve` and closed when that ends.
    pub(crate) fn start(
        serve: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            while let Ok((mut client, _)) = listener.accept() {
                let serve = Arc::clone(&serve);
                // A client that hangs up is what most of these servers are for.
                thread::spawn(move || serve(&mut client).ok());
            }
        });
        Self(address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0
    }
}

/// Passes on what a client and the broker at `address` (`host:port`) say to each other.
pub(crate) fn pass_on(client: &mut TcpStream, address: &str) -> io::Result<()> {
    let mut broker = TcpStream::connect(address)?;
    let (mut from, mut to) = (broker.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Both).ok();
    });
    io::copy(client, &mut broker)?;
    broker.shutdown(Shutdown::Both)
}

/// A method's frame.
pub(crate) fn method(channel: u16, class: &AMQPClass) -> Vec<u8> {
    frame::encode_class(channel, class, FRAME_MAX).unwrap()
}

/// A content header's frame on channel 1.
pub(crate) fn header(body_size: u64, properties: &AMQPProperties) -> Vec<u8> {
    let mut buffer = vec![0; FRAME_MAX];
    let written = gen_content_header_frame((&mut buffer, 0), 1, BASIC, body_size, properties);
    let length = written.unwrap().1;
    buffer.truncate(length);
    buffer
}

/// A body frame on channel 1.
pub(crate) fn body(bytes: &[u8]) -> Vec<u8> {
    frame::encode(BODY, 1, bytes)
}

/// Reads one frame.
pub(crate) fn read_frame(socket: &mut TcpStream) -> io::Result<AMQPFrame> {
    parse_frame(&read_bytes(socket)?)
        .map(|(_, frame)| frame)
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Reads one frame's bytes.
pub(crate) fn read_bytes(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD_LENGTH];
    socket.read_exact(&mut bytes)?;
    let head = Head::of(&bytes).unwrap();
    bytes.resize(head.frame_length(), 0);
    socket.read_exact(&mut bytes[HEAD_LENGTH..])?;
    Ok(bytes)
}

/// connection.start, as a server says it that offers PLAIN.
pub(crate) fn start() -> Vec<u8> {
    method(
        0,
        &AMQPClass::Connection(connection::AMQPMethod::Start(connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: FieldTable::new(),
            mechanisms: "PLAIN".to_owned(),
            locales: "en_US".to_owned(),
        })),
    )
}

pub(crate) fn tune() -> Vec<u8> {
    method(
        0,
        &AMQPClass::Connection(connection::AMQPMethod::Tune(connection::Tune {
            channel_max: 0,
            frame_max: 0,
            heartbeat: 60,
        })),
    )
}

/// Plays a server up to the client's first own request, which is returned. What the client sends is not checked.
pub(crate) fn serve_login(client: &mut TcpStream) -> io::Result<AMQPFrame> {
    client.read_exact(&mut [0; PROTOCOL_HEADER.len()])?;
    client.write_all(&start())?;
    read_frame(client)?; // connection.start-ok
    client.write_all(&tune())?;
    serve_open(client)
}

/// The rest of [`serve_login`], from connection.tune-ok on.
pub(crate) fn serve_open(client: &mut TcpStream) -> io::Result<AMQPFrame> {
    read_frame(client)?; // connection.tune-ok
    read_frame(client)?; // connection.open
    let open_ok = connection::AMQPMethod::OpenOk(connection::OpenOk {
        known_hosts: String::new(),
    });
    client.write_all(&method(0, &AMQPClass::Connection(open_ok)))?;
    read_frame(client)?; // channel.open
    let open_ok = channel::AMQPMethod::OpenOk(channel::OpenOk {
        channel_id: String::new(),
    });
    client.write_all(&method(1, &AMQPClass::Channel(open_ok)))?;
    read_frame(client)
}

/// Plays a client up to its open channel, logged in as guest.
pub(crate) fn log_in(broker: &str) -> TcpStream {
    let mut socket = TcpStream::connect(broker).unwrap();
    let mut ask = |request: &[u8]| {
        socket.write_all(request).unwrap();
        read_frame(&mut socket).unwrap()
    };
    ask(&PROTOCOL_HEADER);
    let start_ok = connection::AMQPMethod::StartOk(connection::StartOk {
        client_properties: FieldTable::new(),
        mechanism: "PLAIN".to_owned(),
        response: "\0guest\0guest".to_owned(),
        locale: "en_US".to_owned(),
    });
    ask(&method(0, &AMQPClass::Connection(start_ok)));
    let tune_ok = connection::AMQPMethod::TuneOk(connection::TuneOk {
        channel_max: 1,
        frame_max: 131_072,
        heartbeat: 0,
    });
    let open = connection::AMQPMethod::Open(connection::Open {
        virtual_host: "/".to_owned(),
        capabilities: String::new(),
        insist: false,
    });
    ask(&[tune_ok, open]
        .map(|request| method(0, &AMQPClass::Connection(request)))
        .concat());
    let open = channel::AMQPMethod::Open(channel::Open {
        out_of_band: String::new(),
    });
    ask(&method(1, &AMQPClass::Channel(open)));
    socket
}

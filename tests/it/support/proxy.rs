//! A TCP proxy between a tool and the broker that can cut, stall and slow down what passes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::test::Test;

/// Listens on a port of its own and passes on what comes to the broker, and back.
#[derive(Debug)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    listens_at: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    broker: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    connections: AtomicUsize,
    to_broker: AtomicU64,
    from_broker: AtomicU64,
    round_trips: AtomicUsize,
}

#[derive(Debug)]
struct State {
    traffic: Traffic,
    delay: Duration,
    sockets: Vec<TcpStream>,
    closed: bool,
    spoke_last: Option<Speaker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Tool,
    Broker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    Flows,
    Stalls,
    IsRefused,
}

impl Proxy {
    /// A proxy before the broker at `address` (`host:port`).
    pub(crate) fn to(address: &str) -> Self {
        let broker = address.to_socket_addrs().unwrap().next().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let listens_at = listener.local_addr().unwrap();
        let state = State {
            traffic: Traffic::Flows,
            delay: Duration::ZERO,
            sockets: Vec::new(),
            closed: false,
            spoke_last: None,
        };
        let shared = Arc::new(Shared {
            broker,
            state: Mutex::new(state),
            changed: Condvar::new(),
            connections: AtomicUsize::new(0),
            to_broker: AtomicU64::new(0),
            from_broker: AtomicU64::new(0),
            round_trips: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self { shared, listens_at }
    }

    /// A proxy before that test's broker.
    pub(crate) fn before(test: &Test) -> Self {
        Self::to(&test.fill("{host}:{port}"))
    }

    /// The broker's URL through the proxy, for guest.
    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}", self.listens_at)
    }

    /// `host:port` of the proxy.
    pub(crate) fn address(&self) -> String {
        self.listens_at.to_string()
    }

    /// Cuts every connection there is now. New ones are passed on.
    pub(crate) fn cut(&self) {
        self.shared.state.lock().unwrap().cut();
    }

    /// Cuts every connection and accepts none, until [`resume`](Self::resume).
    pub(crate) fn refuse(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.traffic = Traffic::IsRefused;
        state.cut();
    }

    /// Nothing passes any more in either direction, and nobody is told, until [`resume`](Self::resume).
    pub(crate) fn stall(&self) {
        self.shared.state.lock().unwrap().traffic = Traffic::Stalls;
    }

    /// Everything passes again, what was held back first.
    pub(crate) fn resume(&self) {
        self.shared.state.lock().unwrap().traffic = Traffic::Flows;
        self.shared.changed.notify_all();
    }

    /// Each piece of data is held up that long from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.state.lock().unwrap().delay = delay;
    }

    /// How many connections have been passed on so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes have gone to the broker so far.
    pub(crate) fn bytes_to_broker(&self) -> u64 {
        self.shared.to_broker.load(Ordering::SeqCst)
    }

    /// How many bytes have come from the broker so far.
    pub(crate) fn bytes_from_broker(&self) -> u64 {
        self.shared.from_broker.load(Ordering::SeqCst)
    }

    /// How often the tool has said something and the broker has answered so far.
    pub(crate) fn round_trips(&self) -> usize {
        self.shared.round_trips.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap();
        state.closed = true;
        state.cut();
        drop(state);
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.listens_at); // wakes the accepting thread, which sees that it is over
    }
}

impl State {
    fn cut(&mut self) {
        for socket in self.sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            let mut state = self.state.lock().unwrap();
            if state.closed {
                return;
            }
            if state.traffic == Traffic::IsRefused {
                continue;
            }
            if let Ok(broker) = TcpStream::connect(self.broker) {
                let copies = [&client, &broker].map(|socket| socket.try_clone().unwrap());
                state.sockets.extend(copies);
                self.connections.fetch_add(1, Ordering::SeqCst);
                self.join(&client, &broker);
            }
        }
    }

    fn join(self: &Arc<Self>, client: &TcpStream, broker: &TcpStream) {
        for socket in [client, broker] {
            socket.set_nodelay(true).unwrap();
        }
        for (from, to, speaker) in [
            (client, broker, Speaker::Tool),
            (broker, client, Speaker::Broker),
        ] {
            let (shared, from, to) = (
                Arc::clone(self),
                from.try_clone().unwrap(),
                to.try_clone().unwrap(),
            );
            thread::spawn(move || shared.pass(from, to, speaker));
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, speaker: Speaker) {
        let counter = match speaker {
            Speaker::Tool => &self.to_broker,
            Speaker::Broker => &self.from_broker,
        };
        let mut buffer = [0; 16384];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            self.wait_for_passage();
            self.hear(speaker); // before the other side does, and answers
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
            counter.fetch_add(length as u64, Ordering::SeqCst);
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn hear(&self, speaker: Speaker) {
        let mut state = self.state.lock().unwrap();
        if (state.spoke_last, speaker) == (Some(Speaker::Tool), Speaker::Broker) {
            self.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        state.spoke_last = Some(speaker);
    }

    fn wait_for_passage(&self) {
        let delay = self.state.lock().unwrap().delay;
        thread::sleep(delay);
        let stalls = |state: &mut State| state.traffic == Traffic::Stalls && !state.closed;
        drop(
            self.changed
                .wait_while(self.state.lock().unwrap(), stalls)
                .unwrap(),
        );
    }
}

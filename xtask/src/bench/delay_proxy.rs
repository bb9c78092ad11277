//! A TCP proxy that delivers everything later by the same time, as a longer cable would: what is sent in one go arrives
//! in one go, and only waiting for an answer costs extra.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Listens on a port of its own until the process ends.
#[derive(Debug)]
pub(crate) struct DelayProxy {
    address: SocketAddr,
    delay: Arc<AtomicU64>,
}

impl DelayProxy {
    /// A proxy to `broker` that does not delay anything yet.
    pub(crate) fn before(broker: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = Self {
            address: listener.local_addr()?,
            delay: Arc::default(),
        };
        let delay = Arc::clone(&proxy.delay);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client whose connection cannot be passed on sees it closed.
                let _ = join(client, broker, &delay);
            }
        });
        Ok(proxy)
    }

    /// The broker's URL through the proxy.
    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}", self.address)
    }

    /// How much later everything arrives from now on, in each direction.
    pub(crate) fn set_delay(&self, delay: Duration) {
        let microseconds = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.delay.store(microseconds, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, broker: SocketAddr, delay: &Arc<AtomicU64>) -> Result<()> {
    let broker = TcpStream::connect(broker)?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (client_again, broker_again) = (client.try_clone()?, broker.try_clone()?);
    pass_on(client, broker, delay);
    pass_on(broker_again, client_again, delay);
    Ok(())
}

/// What came, and when it is due at the other end.
type Piece = (Instant, Vec<u8>);

fn pass_on(from: TcpStream, to: TcpStream, delay: &Arc<AtomicU64>) {
    let (pieces, due) = channel();
    let delay = Arc::clone(delay);
    thread::spawn(move || read_pieces(from, &pieces, &delay));
    thread::spawn(move || write_pieces(to, &due));
}

fn read_pieces(mut from: TcpStream, pieces: &Sender<Piece>, delay: &AtomicU64) {
    let mut buffer = vec![0; 65536];
    loop {
        // The end of the stream travels as an empty piece.
        let length = from.read(&mut buffer).unwrap_or(0);
        let due = Instant::now() + Duration::from_micros(delay.load(Ordering::SeqCst));
        if pieces.send((due, buffer[..length].to_vec())).is_err() || length == 0 {
            return;
        }
    }
}

fn write_pieces(mut to: TcpStream, due: &Receiver<Piece>) {
    for (when, piece) in due {
        thread::sleep(when.saturating_duration_since(Instant::now()));
        if piece.is_empty() || to.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives_and_so_does_its_end() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = DelayProxy::before(server.local_addr().unwrap()).unwrap();
        let delay = Duration::from_millis(20);
        proxy.set_delay(delay);
        let start = Instant::now();
        let mut client = TcpStream::connect(proxy.address).unwrap();
        client.write_all(b"ping").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut socket, _) = server.accept().unwrap();
        let mut received = String::new();
        socket.read_to_string(&mut received).unwrap();
        assert_eq!(received, "ping");
        assert!(start.elapsed() >= delay);
    }
}

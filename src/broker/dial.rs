//! Name resolution and TCP: an endpoint's addresses, tried in turn until one answers or the deadline passes.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::error::{Error, Result};
use super::witness::reason;

/// A connected socket that sends small packets at once.
pub(super) fn connect(endpoint: &Endpoint, deadline: Instant) -> Result<TcpStream> {
    let addresses = resolve(endpoint, deadline)?;
    let mut last_failure = "the name has no address".to_owned();
    for (index, address) in addresses.iter().enumerate() {
        let share =
            remaining(endpoint, deadline)? / u32::try_from(addresses.len() - index).unwrap_or(1);
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(socket) => {
                socket
                    .set_nodelay(true)
                    .map_err(|error| unreachable(endpoint, &error))?;
                return Ok(socket);
            }
            Err(error) => last_failure = reason(&error),
        }
    }
    Err(Error::Unreachable {
        address: endpoint.to_string(),
        reason: last_failure,
    })
}

/// The error for an endpoint that did not answer in time.
pub(super) fn timed_out(endpoint: &Endpoint) -> Error {
    Error::Unreachable {
        address: endpoint.to_string(),
        reason: format!("no answer within {:?}", endpoint.connect_timeout),
    }
}

fn resolve(endpoint: &Endpoint, deadline: Instant) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = endpoint.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, endpoint.port)]);
    }
    let (host, port) = (endpoint.host.clone(), endpoint.port);
    let (answer, answers) = channel();
    // getaddrinfo has no deadline; a thread that is still in it when ours passes is left behind.
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs();
            let _ = answer.send(addresses.map(Iterator::collect));
        })
        .map_err(|error| unreachable(endpoint, &error))?;
    match answers.recv_timeout(remaining(endpoint, deadline)?) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(unreachable(endpoint, &error)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(timed_out(endpoint)),
    }
}

fn remaining(endpoint: &Endpoint, deadline: Instant) -> Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(timed_out(endpoint));
    }
    Ok(left)
}

fn unreachable(endpoint: &Endpoint, error: &io::Error) -> Error {
    Error::Unreachable {
        address: endpoint.to_string(),
        reason: reason(error),
    }
}

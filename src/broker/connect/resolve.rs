//! Name resolution and TCP: an endpoint's addresses, tried in turn until there is a broker at one or the deadline passes.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::endpoint::Endpoint;
use crate::broker::error::{Error, Result};

/// What `open` makes of a socket that is connected to `endpoint`. Where the server at one of its addresses is not there,
/// hangs up or is no broker, the next is tried; a refusal is the broker's word, and ends it.
pub(in crate::broker) fn open_at_some_address<T>(
    endpoint: &Endpoint,
    deadline: Instant,
    open: impl Fn(TcpStream) -> Result<T>,
) -> Result<T> {
    let addresses = resolve(endpoint, deadline)?;
    open_at_one_of(&addresses, endpoint, deadline, open)
}

fn open_at_one_of<T>(
    addresses: &[SocketAddr],
    endpoint: &Endpoint,
    deadline: Instant,
    open: impl Fn(TcpStream) -> Result<T>,
) -> Result<T> {
    let mut failures = Vec::new();
    let mut not_tried = None;
    for (index, address) in addresses.iter().enumerate() {
        let Ok(left) = remaining(endpoint, deadline) else {
            failures.push(timed_out(endpoint));
            break;
        };
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match connect(address, share) {
            Ok(socket) => match open(socket) {
                Ok(opened) => return Ok(opened),
                Err(failure) if failure.is_the_nodes_fault() => failures.push(failure),
                Err(refusal) => return Err(refusal),
            },
            Err(error) if is_about_this_machine(&error) => {
                not_tried = Some(Error::unreachable(endpoint, &error));
            }
            Err(error) => failures.push(Error::unreachable(endpoint, &error)),
        }
    }
    match (failures.is_empty(), not_tried) {
        (false, _) => Err(Error::of_all(failures)),
        (true, Some(error)) => Err(error),
        (true, None) => Err(Error::Unreachable {
            address: endpoint.to_string(),
            reason: "the name has no address".to_owned(),
        }),
    }
}

/// A connected socket that sends small packets at once.
fn connect(address: &SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(address, limit.max(Duration::from_millis(1)))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Whether an address could not even be tried, as IPv6 ones cannot where there is no IPv6. Any other's failure says more.
fn is_about_this_machine(failure: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(failure),
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT | Errno::NETUNREACH)
    )
}

/// The error for an endpoint that did not answer in time.
pub(in crate::broker) fn timed_out(endpoint: &Endpoint) -> Error {
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
        .map_err(|error| Error::unreachable(endpoint, &error))?;
    match answers.recv_timeout(remaining(endpoint, deadline)?) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(Error::unreachable(endpoint, &error)),
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

    use super::*;
    use crate::broker::Scope;
    use crate::broker::connect::endpoint::tests::endpoint;

    /// Nothing listens there: it is below what anyone may open.
    const CLOSED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
    const CLOSED_OR_NOT_THERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 1);

    fn open_at<T>(addresses: &[SocketAddr], open: impl Fn(SocketAddr) -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + Duration::from_secs(60);
        open_at_one_of(addresses, &endpoint("rabbit"), deadline, |socket| {
            open(socket.peer_addr().unwrap())
        })
    }

    fn listeners() -> (TcpListener, TcpListener, [SocketAddr; 2]) {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (first, second) = (listen(), listen());
        let addresses = [first.local_addr().unwrap(), second.local_addr().unwrap()];
        (first, second, addresses)
    }

    fn no_broker() -> Error {
        Error::Unsuitable {
            address: "rabbit:5672".to_owned(),
            reason: "no AMQP".to_owned(),
        }
    }

    #[test]
    fn the_first_address_with_a_broker_is_taken() {
        let (_first, _second, [web, broker]) = listeners();
        let opened = open_at(&[CLOSED, web, broker, web], |address| {
            if address == web {
                return Err(no_broker());
            }
            Ok(address)
        });
        assert_eq!(opened.unwrap(), broker);
    }

    #[test]
    fn a_refusal_is_not_taken_to_the_next_address() {
        let (_first, _second, addresses) = listeners();
        let asked = RefCell::new(Vec::new());
        let error = open_at(&addresses, |address| {
            asked.borrow_mut().push(address);
            Err::<(), _>(Error::Refused {
                context: "logging in to AMQP server",
                scope: Scope::Connection,
                code: 403,
                text: "no".to_owned(),
            })
        })
        .unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert_eq!(*asked.borrow(), addresses[..1]);
    }

    #[test]
    fn an_address_that_cannot_be_tried_hides_no_failure() {
        for addresses in [[CLOSED, CLOSED_OR_NOT_THERE], [CLOSED_OR_NOT_THERE, CLOSED]] {
            let error = open_at(&addresses, |_| Ok(())).unwrap_err();
            assert_eq!(
                error.to_string(),
                "opening socket to rabbit:5672: Connection refused"
            );
        }
    }

    #[test]
    fn failures_that_differ_are_all_told_and_one_that_may_pass_is_worth_a_retry() {
        let (_first, _second, [web, other_web]) = listeners();
        let error = open_at(&[web, CLOSED, other_web], |_| Err::<(), _>(no_broker())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "opening socket to rabbit:5672: no AMQP; opening socket to rabbit:5672: Connection refused"
        );
        assert!(error.is_transient());
    }

    #[test]
    fn a_name_without_addresses_and_a_deadline_that_has_passed_are_told() {
        let error = open_at(&[], |_| Ok(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "opening socket to rabbit:5672: the name has no address"
        );
        let passed = Instant::now();
        let error = open_at_one_of(&[CLOSED], &endpoint("rabbit"), passed, |_| Ok(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "opening socket to rabbit:5672: no answer within 10s"
        );
    }
}

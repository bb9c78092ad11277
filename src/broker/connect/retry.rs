//! Which nodes are tried when: all in turn, and again with growing pauses while the broker is unreachable.

use std::thread;
use std::time::{Duration, Instant};

use super::endpoint::{ConnectOptions, Endpoint};
use crate::broker::error::{Error, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What `open` makes of the first node that it succeeds with. Refusals end it at once; while nodes are merely not
/// there, it goes on for as long as the options say.
pub(in crate::broker) fn connect<T>(
    options: &ConnectOptions,
    open: impl Fn(&Endpoint) -> Result<T>,
) -> Result<T> {
    match try_each(options, &open) {
        Ok((opened, _)) => Ok(opened),
        Err(failure) if failure.is_transient() && !options.retry.is_zero() => {
            (options.announce)(&format!("{failure}; retrying for {:?}", options.retry));
            keep_trying(options, open)
        }
        Err(failure) => Err(failure),
    }
}

fn keep_trying<T>(options: &ConnectOptions, open: impl Fn(&Endpoint) -> Result<T>) -> Result<T> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let left = options.retry.saturating_sub(began.elapsed());
        thread::sleep(shortened(pause).min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
        match try_each(options, &open) {
            Ok((opened, endpoint)) => {
                let elapsed = began.elapsed().as_secs();
                (options.announce)(&format!("connected to {endpoint} after {elapsed}s"));
                return Ok(opened);
            }
            Err(failure) if !failure.is_transient() => return Err(failure),
            Err(failure) if began.elapsed() >= options.retry => {
                return Err(Error::GaveUp {
                    last: Box::new(failure),
                    after: options.retry,
                });
            }
            Err(_) => {}
        }
    }
}

/// One round through the nodes.
fn try_each<T>(
    options: &ConnectOptions,
    open: impl Fn(&Endpoint) -> Result<T>,
) -> Result<(T, &Endpoint)> {
    let mut failures = Vec::new();
    for (tried, endpoint) in options.endpoints().enumerate() {
        match open(endpoint) {
            Ok(opened) => {
                options.begin_behind(tried);
                return Ok((opened, endpoint));
            }
            Err(failure) if failure.is_the_nodes_fault() => failures.push(failure),
            Err(refusal) => return Err(refusal),
        }
    }
    Err(Error::of_all(failures))
}

/// A pause cut by up to a half at random, so that many clients of a broker that comes back do not all come at once.
fn shortened(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::broker::Scope;
    use crate::broker::connect::endpoint::tests::endpoint;

    fn unreachable(endpoint: &Endpoint) -> Error {
        Error::Unreachable {
            address: endpoint.to_string(),
            reason: "closed".to_owned(),
        }
    }

    fn refused() -> Error {
        Error::Refused {
            context: "logging in to AMQP server",
            scope: Scope::Connection,
            code: 403,
            text: "no".to_owned(),
        }
    }

    #[test]
    fn pauses_are_cut_by_a_half_at_most() {
        for _ in 0..1000 {
            let pause = shortened(LONGEST_PAUSE);
            assert!(
                (LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pause),
                "{pause:?}"
            );
        }
    }

    #[test]
    fn each_node_gets_its_turn_and_all_failures_are_told() {
        let options = ConnectOptions::new(endpoint("a"), vec![endpoint("b")]);
        let error = connect(&options, |endpoint| Err::<(), _>(unreachable(endpoint))).unwrap_err();
        assert!(error.is_transient());
        assert_eq!(
            error.to_string(),
            "opening socket to a:5672: closed; opening socket to b:5672: closed"
        );
    }

    #[test]
    fn a_refusal_ends_it_at_once() {
        let mut options = ConnectOptions::new(endpoint("a"), vec![endpoint("b")]);
        options.retry = Duration::from_secs(3600);
        let asked = RefCell::new(Vec::new());
        let error = connect(&options, |endpoint| {
            asked.borrow_mut().push(endpoint.host.clone());
            Err::<(), _>(refused())
        })
        .unwrap_err();
        assert!(!error.is_transient());
        assert_eq!(*asked.borrow(), ["a"]);
    }

    #[test]
    fn an_unsuitable_node_is_passed_over_and_not_waited_for() {
        let mut options = ConnectOptions::new(endpoint("web"), Vec::new());
        options.retry = Duration::from_secs(3600);
        let unsuitable = |endpoint: &Endpoint| Error::Unsuitable {
            address: endpoint.to_string(),
            reason: "no AMQP".to_owned(),
        };
        assert!(connect(&options, |endpoint| Err::<(), _>(unsuitable(endpoint))).is_err());

        let options = ConnectOptions::new(endpoint("web"), vec![endpoint("rabbit")]);
        let opened = connect(&options, |endpoint| match endpoint.host.as_str() {
            "web" => Err(unsuitable(endpoint)),
            host => Ok(host.to_owned()),
        });
        assert_eq!(opened.unwrap(), "rabbit");
    }

    #[test]
    fn it_tries_until_it_works_or_the_time_is_over() {
        let mut options = ConnectOptions::new(endpoint("a"), Vec::new());
        options.retry = Duration::from_secs(3600);
        let failures = RefCell::new(2);
        let opened = connect(&options, |endpoint| {
            let mut left = failures.borrow_mut();
            if *left == 0 {
                return Ok(());
            }
            *left -= 1;
            Err(unreachable(endpoint))
        });
        assert!(opened.is_ok());

        options.retry = Duration::from_millis(1);
        let error = connect(&options, |endpoint| Err::<(), _>(unreachable(endpoint))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "opening socket to a:5672: closed (gave up after 1ms)"
        );
    }
}

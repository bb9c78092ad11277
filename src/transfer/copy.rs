//! What a copy is like: the message unchanged, but for what is the broker's or would send it elsewhere.

use super::options::Destination;
use crate::broker::{Authentication, ConnectOptions};
use crate::consume::republish::{
    ATTEMPTS, OF_PARKING, ORIGINAL_EXCHANGE, ORIGINAL_EXPIRATION, ORIGINAL_ROUTING_KEY, SPENT,
    obstacle,
};
use crate::message::{Fidelity, HeaderValue, Headers, Message};

/// Makes copies.
pub(super) struct Copier {
    destination: Destination,
    /// The user that logs in, if it is known.
    own_user: Option<String>,
    /// What was taken off the first message that something was taken off, until that has been told.
    taken_off: Option<Vec<&'static str>>,
    has_told: bool,
    /// How large a frame the broker takes.
    pub(super) frame_max: usize,
}

impl Copier {
    pub(super) fn new(destination: &Destination, connect: &ConnectOptions) -> Copier {
        Copier {
            destination: destination.clone(),
            own_user: own_user(connect),
            taken_off: None,
            has_told: false,
            frame_max: usize::MAX,
        }
    }

    /// Makes the message the copy that is published, or says why there can be none.
    pub(super) fn make_copy(
        &mut self,
        message: &mut Message,
        fidelity: Fidelity,
    ) -> Result<(), String> {
        if obstacle(message, fidelity, self.frame_max).is_some() {
            return Err(
                "a message in the queue cannot be copied as it is: it has text that is not UTF-8, two headers of one name, or headers that are nested too deeply or too large"
                    .to_owned(),
            );
        }
        match &self.destination {
            Destination::Exchange { name, routing_key } => {
                message.exchange.clone_from(name);
                if let Some(key) = routing_key {
                    message.routing_key.clone_from(key);
                }
            }
            Destination::Back => put_back(message)?,
        }
        let taken_off = take_off(message, self.own_user.as_deref());
        if !taken_off.is_empty() && !self.has_told {
            self.has_told = true;
            self.taken_off = Some(taken_off);
        }
        Ok(())
    }

    /// What is to be told about it, once.
    pub(super) fn word(&mut self) -> Option<String> {
        let names = self.taken_off.take()?.join(", ");
        Some(format!(
            "{names} taken off the copy: the broker sets it, refuses it, or would send the copy elsewhere; the same is done to \
             the other messages"
        ))
    }
}

fn own_user(connect: &ConnectOptions) -> Option<String> {
    let endpoint = connect.endpoints().next()?;
    match &endpoint.authentication {
        Authentication::Plain(credentials) => Some(credentials.username.clone()),
        // The broker takes it from the certificate.
        Authentication::External | Authentication::ExternalIfOffered(_) => None,
    }
}

/// Takes off what must not be published again, and says what that was.
fn take_off(message: &mut Message, own_user: Option<&str>) -> Vec<&'static str> {
    let mut taken_off = Vec::new();
    if let Some(headers) = &mut message.properties.headers {
        for name in SPENT {
            if headers.remove(name).is_some() {
                taken_off.push(name);
            }
        }
    }
    let user = &mut message.properties.user_id;
    if user.is_some() && user.as_deref() != own_user {
        *user = None;
        taken_off.push("user_id");
    }
    taken_off
}

/// Undoes parking: the address and the expiration that the message first had, and no header that tells of its failure.
fn put_back(message: &mut Message) -> Result<(), String> {
    let headers = message.properties.headers.as_mut();
    let Some((headers, exchange, routing_key)) = headers.and_then(|headers| {
        let exchange = text(headers, ORIGINAL_EXCHANGE)?;
        let routing_key = text(headers, ORIGINAL_ROUTING_KEY)?;
        Some((headers, exchange, routing_key))
    }) else {
        return Err(format!(
            "a message in the queue does not tell in {ORIGINAL_EXCHANGE} and {ORIGINAL_ROUTING_KEY} where it came from"
        ));
    };
    let expiration = text(headers, ORIGINAL_EXPIRATION);
    for name in [
        ATTEMPTS,
        ORIGINAL_EXCHANGE,
        ORIGINAL_ROUTING_KEY,
        ORIGINAL_EXPIRATION,
    ]
    .iter()
    .chain(&OF_PARKING)
    {
        headers.remove(*name);
    }
    if headers.is_empty() {
        message.properties.headers = None;
    }
    message.exchange = exchange;
    message.routing_key = routing_key;
    if expiration.is_some() {
        message.properties.expiration = expiration;
    }
    Ok(())
}

fn text(headers: &Headers, name: &str) -> Option<String> {
    match headers.get(name) {
        Some(HeaderValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copier(destination: Destination) -> Copier {
        Copier {
            destination,
            own_user: Some("me".to_owned()),
            taken_off: None,
            has_told: false,
            frame_max: usize::MAX,
        }
    }

    fn to_queue() -> Destination {
        Destination::Exchange {
            name: String::new(),
            routing_key: Some("to".to_owned()),
        }
    }

    fn string(text: &str) -> HeaderValue {
        HeaderValue::String(text.to_owned())
    }

    fn message(headers: &[(&str, HeaderValue)]) -> Message {
        let mut message = Message {
            exchange: "exchange".to_owned(),
            routing_key: "key".to_owned(),
            body: b"body".to_vec(),
            ..Message::default()
        };
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        message.properties.headers = Some(headers.collect());
        message.properties.expiration = Some("1000".to_owned());
        message
    }

    #[test]
    fn a_copy_is_the_message_at_another_address() {
        let mut copier = copier(to_queue());
        let original = message(&[("mine", string("a"))]);
        let mut copy = original.clone();
        copy.properties.user_id = Some("me".to_owned());
        copier.make_copy(&mut copy, Fidelity::Exact).unwrap();
        assert_eq!((&*copy.exchange, &*copy.routing_key), ("", "to"));
        assert_eq!(copy.properties.headers, original.properties.headers);
        assert_eq!(copy.properties.expiration, Some("1000".to_owned()));
        assert_eq!(copy.properties.user_id, Some("me".to_owned()));
        assert_eq!(copier.word(), None);
    }

    #[test]
    fn an_exchange_alone_keeps_the_routing_key() {
        let mut copier = copier(Destination::Exchange {
            name: "other".to_owned(),
            routing_key: None,
        });
        let mut copy = message(&[]);
        copier.make_copy(&mut copy, Fidelity::Exact).unwrap();
        assert_eq!((&*copy.exchange, &*copy.routing_key), ("other", "key"));
    }

    #[test]
    fn what_is_the_brokers_is_taken_off_and_told_once() {
        let mut copier = copier(to_queue());
        for is_first in [true, false] {
            let mut copy = message(&[("CC", string("a")), ("x-delivery-count", string("3"))]);
            copy.properties.user_id = Some("other".to_owned());
            copier.make_copy(&mut copy, Fidelity::Exact).unwrap();
            assert_eq!(copy.properties.headers, Some(Headers::new()));
            assert_eq!(copy.properties.user_id, None);
            let word = copier.word();
            assert_eq!(word.is_some(), is_first);
            if let Some(word) = word {
                assert!(
                    word.starts_with("CC, x-delivery-count, user_id taken off"),
                    "{word}"
                );
            }
        }
    }

    #[test]
    fn parking_is_undone() {
        let mut copier = copier(Destination::Back);
        let mut copy = message(&[
            (ORIGINAL_EXCHANGE, string("first")),
            (ORIGINAL_ROUTING_KEY, string("where")),
            (ORIGINAL_EXPIRATION, string("5000")),
            (ATTEMPTS, HeaderValue::Int32(3)),
            ("x-exit-status", HeaderValue::Int32(1)),
            ("x-failed-at", HeaderValue::Timestamp(1)),
            ("x-failed-on", string("host")),
            ("x-error", string("it broke")),
            ("mine", string("a")),
        ]);
        copy.properties.expiration = None;
        copier.make_copy(&mut copy, Fidelity::Exact).unwrap();
        assert_eq!((&*copy.exchange, &*copy.routing_key), ("first", "where"));
        assert_eq!(copy.properties.expiration, Some("5000".to_owned()));
        let left = copy.properties.headers.unwrap();
        assert_eq!(left.into_keys().collect::<Vec<_>>(), ["mine"]);
    }

    #[test]
    fn what_has_no_origin_cannot_be_put_back() {
        let mut copier = copier(Destination::Back);
        for headers in [
            vec![],
            vec![(ORIGINAL_EXCHANGE, string(""))],
            vec![
                (ORIGINAL_EXCHANGE, HeaderValue::Int32(1)),
                (ORIGINAL_ROUTING_KEY, string("q")),
            ],
        ] {
            assert!(
                copier
                    .make_copy(&mut message(&headers), Fidelity::Exact)
                    .is_err()
            );
        }
    }
}

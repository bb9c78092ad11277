//! A server's bytes, encoded by amq-protocol and cut as the network cuts them.
//!
//! * `any`: whatever a server sends.
//! * `intact`: what passes as it is.
//! * `mended`: what is changed so that amiquip can read it.
//! * `told`: what is told of it: events, and what ends the connection.
//! * `held_back`: what waits until it may come.

mod any;
mod held_back;
mod intact;
mod mended;
mod told;

use std::io::Read;

use amq_protocol::frame::generation::{
    gen_content_body_frame, gen_content_header_frame, gen_heartbeat_frame,
};
use amq_protocol::frame::parse_frame;
use amq_protocol::protocol::basic::{self, AMQPProperties};
use amq_protocol::protocol::{AMQPClass, connection};
use amq_protocol::types::{AMQPValue, FieldTable};

use super::*;
use crate::broker::transport::frame;

/// A server's bytes, as the network cuts them.
struct Pieces<'a> {
    bytes: &'a [u8],
    /// The lengths of the reads, over and over.
    lengths: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl<'a> Pieces<'a> {
    fn of(bytes: &'a [u8], lengths: &'a [usize]) -> Pieces<'a> {
        Pieces {
            bytes,
            lengths: lengths.iter().cycle(),
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = *self.lengths.next().unwrap();
        let piece = self.bytes.len().min(length);
        let length = (&self.bytes[..piece]).read(out)?;
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

/// What comes through, and the violation that ended it, if one did.
fn through(
    bytes: &[u8],
    lengths: &[usize],
    out_length: usize,
) -> (Vec<u8>, Option<String>, Incoming) {
    let mut incoming = Incoming::default();
    let mut source = Pieces::of(bytes, lengths);
    let mut out = vec![0; out_length];
    let mut all = Vec::new();
    loop {
        match incoming.read(&mut source, &mut out) {
            Ok(0) => return (all, None, incoming),
            Ok(length) => all.extend_from_slice(&out[..length]),
            Err(violation) => return (all, Some(violation.to_string()), incoming),
        }
    }
}

fn whole(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let (out, violation, _) = through(bytes, &[usize::MAX], 4096);
    (out, violation)
}

fn encoded<E: std::fmt::Debug>(
    write: impl for<'a> FnOnce((&'a mut [u8], usize)) -> Result<(&'a mut [u8], usize), E>,
) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 20];
    let length = write((&mut buffer, 0)).unwrap().1;
    buffer.truncate(length);
    buffer
}

fn method(channel: u16, class: &AMQPClass) -> Vec<u8> {
    frame::encode_class(channel, class, 1 << 20).unwrap()
}

fn header(body_size: u64, properties: &AMQPProperties) -> Vec<u8> {
    encoded(|buffer| gen_content_header_frame(buffer, 1, 60, body_size, properties))
}

fn body(bytes: &[u8]) -> Vec<u8> {
    encoded(|buffer| gen_content_body_frame(buffer, 1, bytes))
}

fn heartbeat() -> Vec<u8> {
    encoded(gen_heartbeat_frame)
}

fn start() -> Vec<u8> {
    let mut server_properties = FieldTable::new();
    let product = AMQPValue::LongString("RabbitMQ".to_owned());
    server_properties.insert("product".to_owned(), product);
    method(
        0,
        &AMQPClass::Connection(connection::AMQPMethod::Start(connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties,
            mechanisms: "PLAIN EXTERNAL".to_owned(),
            locales: "en_US".to_owned(),
        })),
    )
}

fn deliver(routing_key: &str) -> Vec<u8> {
    method(
        1,
        &AMQPClass::Basic(basic::AMQPMethod::Deliver(basic::Deliver {
            consumer_tag: "ctag".to_owned(),
            delivery_tag: 1,
            redelivered: false,
            exchange: String::new(),
            routing_key: routing_key.to_owned(),
        })),
    )
}

/// Every whole frame in what came through is one that amiquip's parser takes.
fn assert_parses(mut bytes: &[u8]) {
    while let Some(frame) = frame::first(bytes) {
        let (rest, _) = parse_frame(frame).unwrap();
        assert!(rest.is_empty());
        bytes = &bytes[frame.len()..];
    }
}

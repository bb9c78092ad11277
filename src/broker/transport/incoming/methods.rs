//! The methods that a server may send to a client (AMQP 0-9-1 with `RabbitMQ`'s extensions), and their arguments.

use super::ServerEvent;
use super::fields::Field::{self, Long, LongLong, LongString, Octet, Short, ShortString};
use super::fields::{Fields, Malformed};
use crate::broker::transport::frame::{
    BASIC, CHANNEL, CONFIRM, CONNECTION, EXCHANGE, MethodId, QUEUE,
};

type Method = (u16, u16, &'static str, &'static [Field]);

/// Class, number, name, arguments. Those that are events or mended have none here: each has a function of its own.
#[rustfmt::skip]
const METHODS: [Method; 33] = [
    (CONNECTION, 10, "connection.start", &[]),
    (CONNECTION, 20, "connection.secure", &[LongString]),
    (CONNECTION, 30, "connection.tune", &[]),
    (CONNECTION, 41, "connection.open-ok", &[ShortString]),
    (CONNECTION, 50, "connection.close", &[]),
    (CONNECTION, 51, "connection.close-ok", &[]),
    (CONNECTION, 60, "connection.blocked", &[ShortString]),
    (CONNECTION, 61, "connection.unblocked", &[]),
    (CHANNEL, 11, "channel.open-ok", &[LongString]),
    (CHANNEL, 20, "channel.flow", &[]),
    (CHANNEL, 40, "channel.close", &[Short, ShortString, Short, Short]),
    (CHANNEL, 41, "channel.close-ok", &[]),
    (EXCHANGE, 11, "exchange.declare-ok", &[]),
    (EXCHANGE, 21, "exchange.delete-ok", &[]),
    (EXCHANGE, 31, "exchange.bind-ok", &[]),
    (EXCHANGE, 51, "exchange.unbind-ok", &[]),
    (QUEUE, 11, "queue.declare-ok", &[ShortString, Long, Long]),
    (QUEUE, 21, "queue.bind-ok", &[]),
    (QUEUE, 31, "queue.purge-ok", &[Long]),
    (QUEUE, 41, "queue.delete-ok", &[Long]),
    (QUEUE, 51, "queue.unbind-ok", &[]),
    (BASIC, 11, "basic.qos-ok", &[]),
    (BASIC, 21, "basic.consume-ok", &[ShortString]),
    (BASIC, 30, "basic.cancel", &[ShortString, Octet]),
    (BASIC, 31, "basic.cancel-ok", &[ShortString]),
    (BASIC, 50, "basic.return", &[Short, ShortString, ShortString, ShortString]),
    (BASIC, 60, "basic.deliver", &[]),
    (BASIC, 71, "basic.get-ok", &[]),
    (BASIC, 72, "basic.get-empty", &[ShortString]),
    (BASIC, 80, "basic.ack", &[LongLong, Octet]),
    (BASIC, 111, "basic.recover-ok", &[]),
    (BASIC, 120, "basic.nack", &[LongLong, Octet]),
    (CONFIRM, 11, "confirm.select-ok", &[]),
];

/// Checks and mends a method's payload, and says which event it is, if it is one. The name is for errors.
pub(super) fn check(
    payload: &mut [u8],
    channel: u16,
) -> (&'static str, Result<Option<ServerEvent>, Malformed>) {
    let Some(id) = MethodId::of_payload(payload) else {
        return ("a method without a number", Err(Malformed));
    };
    let known = METHODS
        .iter()
        .find(|(class, number, ..)| id == MethodId(*class, *number));
    let Some((class, _, name, arguments)) = known else {
        return ("a method that is not for clients", Err(Malformed));
    };
    if (*class == CONNECTION) != (channel == 0) {
        return (name, Err(Malformed));
    }
    let mut fields = Fields::of(&mut payload[4..]);
    let event = match id {
        MethodId::CONNECTION_START => start(&mut fields).map(Some),
        MethodId::CONNECTION_TUNE => tune(&mut fields).map(Some),
        MethodId::CONNECTION_CLOSE => close(&mut fields).map(Some),
        MethodId::BASIC_DELIVER => fields
            .short_string()
            .and_then(|_| delivered(&mut fields, channel))
            .map(Some),
        MethodId::BASIC_GET_OK => {
            delivered(&mut fields, channel).and_then(|event| fields.long().map(|_| Some(event)))
        }
        MethodId::CHANNEL_FLOW => flow(&mut fields).map(Some),
        _ => arguments
            .iter()
            .try_for_each(|argument| fields.pass(*argument))
            .map(|()| None),
    };
    (name, event)
}

fn start(fields: &mut Fields<'_>) -> Result<ServerEvent, Malformed> {
    fields.skip(2)?; // the protocol's version
    fields.table()?;
    let mechanisms = fields.long_string()?.to_owned();
    fields.long_string()?;
    Ok(ServerEvent::Mechanisms(mechanisms))
}

/// A broker that proposes no heartbeats leaves them to the client. amiquip uses the lower of the two numbers, so
/// it gets the highest there is.
fn tune(fields: &mut Fields<'_>) -> Result<ServerEvent, Malformed> {
    fields.skip(2)?; // the highest channel number
    let frame_max = fields.long()?;
    let field = fields.take(2)?;
    let heartbeat = u16::from_be_bytes([field[0], field[1]]);
    if heartbeat == 0 {
        field.fill(u8::MAX);
    }
    Ok(ServerEvent::Tune {
        frame_max,
        heartbeat,
    })
}

/// What basic.deliver and basic.get-ok have in common.
fn delivered(fields: &mut Fields<'_>, channel: u16) -> Result<ServerEvent, Malformed> {
    let tag = fields.long_long()?;
    fields.pass(Octet)?; // redelivered
    fields.short_string()?;
    fields.short_string()?;
    Ok(ServerEvent::Delivered {
        channel,
        tag,
        fidelity: fields.fidelity(),
    })
}

fn flow(fields: &mut Fields<'_>) -> Result<ServerEvent, Malformed> {
    let flags = fields.take(1)?;
    Ok(ServerEvent::Flow {
        is_active: flags[0] & 1 == 1,
    })
}

fn close(fields: &mut Fields<'_>) -> Result<ServerEvent, Malformed> {
    let code = fields.short()?;
    let text = fields.short_string()?.to_owned();
    let class = fields.short()?;
    fields.skip(2)?; // the method in that class
    Ok(ServerEvent::Close { code, text, class })
}

//! The methods that a server may send to a client (AMQP 0-9-1 with `RabbitMQ`'s extensions), and their arguments.

use super::News;
use super::fields::{Fields, Malformed};

/// The kinds of arguments. Flags are packed into octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    Octet,
    Short,
    Long,
    LongLong,
    ShortString,
    LongString,
}

use Argument::{Long, LongLong, LongString, Octet, Short, ShortString};

type Method = (u16, u16, &'static str, &'static [Argument]);

const CONNECTION: u16 = 10;
const START: u16 = 10;
const TUNE: u16 = 30;
const CLOSE: u16 = 50;

const CHANNEL: u16 = 20;
const FLOW: u16 = 20;

/// Class, method, name, arguments (of those that are news or mended, none: they are walked through one by one).
#[rustfmt::skip]
const METHODS: [Method; 32] = [
    (CONNECTION, START, "connection.start", &[]),
    (CONNECTION, 20, "connection.secure", &[LongString]),
    (CONNECTION, TUNE, "connection.tune", &[]),
    (CONNECTION, 41, "connection.open-ok", &[ShortString]),
    (CONNECTION, CLOSE, "connection.close", &[]),
    (CONNECTION, 51, "connection.close-ok", &[]),
    (CONNECTION, 60, "connection.blocked", &[ShortString]),
    (CONNECTION, 61, "connection.unblocked", &[]),
    (CHANNEL, 11, "channel.open-ok", &[LongString]),
    (CHANNEL, FLOW, "channel.flow", &[]),
    (CHANNEL, 40, "channel.close", &[Short, ShortString, Short, Short]),
    (CHANNEL, 41, "channel.close-ok", &[]),
    (40, 11, "exchange.declare-ok", &[]),
    (40, 21, "exchange.delete-ok", &[]),
    (40, 31, "exchange.bind-ok", &[]),
    (50, 11, "queue.declare-ok", &[ShortString, Long, Long]),
    (50, 21, "queue.bind-ok", &[]),
    (50, 31, "queue.purge-ok", &[Long]),
    (50, 41, "queue.delete-ok", &[Long]),
    (50, 51, "queue.unbind-ok", &[]),
    (60, 11, "basic.qos-ok", &[]),
    (60, 21, "basic.consume-ok", &[ShortString]),
    (60, 30, "basic.cancel", &[ShortString, Octet]),
    (60, 31, "basic.cancel-ok", &[ShortString]),
    (60, 50, "basic.return", &[Short, ShortString, ShortString, ShortString]),
    (60, 60, "basic.deliver", &[ShortString, LongLong, Octet, ShortString, ShortString]),
    (60, 71, "basic.get-ok", &[LongLong, Octet, ShortString, ShortString, Long]),
    (60, 72, "basic.get-empty", &[ShortString]),
    (60, 80, "basic.ack", &[LongLong, Octet]),
    (60, 111, "basic.recover-ok", &[]),
    (60, 120, "basic.nack", &[LongLong, Octet]),
    (85, 11, "confirm.select-ok", &[]),
];

/// Checks and mends a method's frame, and takes down what it says that is news. The name is for errors.
pub(super) fn check(
    payload: &mut [u8],
    channel: u16,
    news: &mut Vec<News>,
) -> (&'static str, Result<(), Malformed>) {
    let mut fields = Fields::of(payload);
    let (Ok(class), Ok(number)) = (fields.short(), fields.short()) else {
        return ("a method without a number", Err(Malformed));
    };
    let known = METHODS
        .iter()
        .find(|(its_class, its_number, ..)| (class, number) == (*its_class, *its_number));
    let Some((.., name, arguments)) = known else {
        return ("a method that is not for clients", Err(Malformed));
    };
    if (class == CONNECTION) != (channel == 0) {
        return (name, Err(Malformed));
    }
    let checked = match (class, number) {
        (CONNECTION, START) => start(&mut fields).map(|start| news.push(start)),
        (CONNECTION, TUNE) => tune(&mut fields).map(|tune| news.push(tune)),
        (CONNECTION, CLOSE) => close(&mut fields).map(|close| news.push(close)),
        (CHANNEL, FLOW) => flow(&mut fields).map(|flow| news.push(flow)),
        _ => arguments
            .iter()
            .try_for_each(|argument| walk(&mut fields, *argument)),
    };
    (name, checked)
}

fn walk(fields: &mut Fields<'_>, argument: Argument) -> Result<(), Malformed> {
    match argument {
        Octet => fields.skip(1),
        Short => fields.skip(2),
        Long => fields.skip(4),
        LongLong => fields.skip(8),
        ShortString => fields.short_string().map(|_| ()),
        LongString => fields.long_string().map(|_| ()),
    }
}

fn start(fields: &mut Fields<'_>) -> Result<News, Malformed> {
    fields.skip(2)?; // the protocol's version
    fields.table()?;
    let mechanisms = fields.long_string()?.to_owned();
    fields.long_string()?;
    Ok(News::Mechanisms(mechanisms))
}

/// A broker that proposes no heartbeats leaves them to the client. amiquip, which takes the lower of the two numbers, is
/// told the highest there is.
fn tune(fields: &mut Fields<'_>) -> Result<News, Malformed> {
    fields.skip(2)?; // the highest channel number
    let frame_max = fields.long()?;
    let heartbeat = fields.take(2)?;
    if heartbeat == [0, 0] {
        heartbeat.fill(u8::MAX);
    }
    Ok(News::FrameMax(frame_max))
}

fn flow(fields: &mut Fields<'_>) -> Result<News, Malformed> {
    let flags = fields.take(1)?;
    Ok(News::Flow {
        is_active: flags[0] & 1 == 1,
    })
}

fn close(fields: &mut Fields<'_>) -> Result<News, Malformed> {
    let code = fields.short()?;
    let text = fields.short_string()?.to_owned();
    let class = fields.short()?;
    fields.skip(2)?; // the method in that class
    Ok(News::Close { code, text, class })
}

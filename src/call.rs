//! amqp-call: a request, and the one reply to it.
//!
//! The reply comes by RabbitMQ's direct reply-to: over the connection that the request was sent on, without a queue. What is
//! not over when the time is up comes to nothing: the request expires in its queue, and a later reply finds nobody.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::Select;

use crate::broker::{
    Answer, Answers, Arrival, Confirmation, ConnectOptions, Deliveries, Delivery, Error, Publisher,
    REPLY_TO, Session, Unroutable,
};
use crate::consume::republish::EXIT_STATUS;
use crate::envelope;
use crate::message::{Fidelity, HeaderValue, Message};
use crate::publish::driver::channel::reason;
use crate::status::Status;
use crate::system::closed;
use crate::system::signals::end_at_signals;
use crate::system::stdout::Format;

/// What amqp-call was asked for.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// The request. Its reply-to is set here, and its correlation id and expiration unless they are given.
    pub request: Message,
    /// How long the reply may take.
    pub timeout: Duration,
    /// What is written of the reply.
    pub format: Format,
    /// Whether a reply is also written where an envelope cannot hold all of it.
    pub lossy: bool,
}

/// The longest expiration that RabbitMQ takes: 49 days (<https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers>).
const LONGEST_TIMEOUT: Duration = Duration::from_millis(u32::MAX as u64);

const REJECTED: &str = "basic.publish: the broker rejected the request: the queue is full, or the broker is in trouble";

/// How a call ended.
enum Ended {
    Replied(Box<Delivery>),
    TimedOut,
    Failed(Error),
    Refused(String),
}

/// Sends the request, writes the reply, and gives the status that the reply tells; nothing where no reply came in time.
pub fn call(connect: &ConnectOptions, options: CallOptions) -> anyhow::Result<Option<Status>> {
    closed::ensure_stdout_open().context("standard output")?;
    end_at_signals().context("taking note of signals")?;
    let timeout = options.timeout.min(LONGEST_TIMEOUT);
    let request = prepare(options.request, timeout);
    let session = Session::open(connect)?;
    let deadline = Instant::now() + timeout;
    // A broker that answers nothing must not be waited for longer than the reply.
    session.cutter().cut_at(deadline);
    let ended = ask(&session, &request, deadline).unwrap_or_else(Ended::Failed);
    match ended {
        Ended::Replied(reply) => {
            if options.format == Format::Json && !options.lossy {
                ensure_whole(&reply)?;
            }
            write(&reply, options.format).context("writing the reply to standard output")?;
            // It has come; what the broker says of the end of the connection changes nothing.
            drop(session);
            status(&reply.message).map(Some)
        }
        Ended::Refused(reason) => bail!(reason),
        Ended::TimedOut => Ok(None),
        Ended::Failed(_) if Instant::now() >= deadline => Ok(None),
        Ended::Failed(Error::Lost { context, .. }) => Err(session.explain_end(context).into()),
        Ended::Failed(error) => Err(error.into()),
    }
}

/// The request as it is sent.
fn prepare(mut request: Message, timeout: Duration) -> Message {
    let properties = &mut request.properties;
    properties.reply_to = Some(REPLY_TO.to_owned());
    properties.correlation_id.get_or_insert_with(random_id);
    properties
        .expiration
        .get_or_insert_with(|| timeout.as_millis().to_string());
    request
}

/// A name that no other request has.
fn random_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// What can come.
struct Inbox {
    answers: Answers,
    replies: Deliveries,
}

fn ask(session: &Session, request: &Message, deadline: Instant) -> Result<Ended, Error> {
    let subscription = session.subscribe_to_replies()?;
    let mut publisher = session.publisher()?;
    let mut inbox = Inbox {
        answers: publisher.answers(),
        replies: subscription.deliveries(),
    };
    publisher.publish(request, Unroutable::Return)?;
    loop {
        if let Some(ended) = inbox.look(request, &publisher) {
            return Ok(ended);
        }
        let mut select = Select::new();
        inbox.answers.add_to(&mut select);
        inbox.replies.add_to(&mut select);
        if select.ready_deadline(deadline).is_err() {
            return Ok(Ended::TimedOut);
        }
    }
}

impl Inbox {
    /// How the call has ended, by what has come so far.
    fn look(&mut self, request: &Message, publisher: &Publisher<'_>) -> Option<Ended> {
        while let Some(arrival) = self.replies.next_arrival() {
            match arrival {
                Arrival::Delivery(reply) if is_reply_to(request, &reply.message) => {
                    return Some(Ended::Replied(reply));
                }
                Arrival::Delivery(_) => {}
                // The subscription was accepted before.
                Arrival::Closed(error) => {
                    return Some(Ended::Failed(error.in_context("basic.publish")));
                }
                Arrival::Ended | Arrival::Cancelled | Arrival::Broken => {
                    return Some(Ended::Failed(publisher.failure()));
                }
            }
        }
        loop {
            match self.answers.try_next() {
                Ok(Some(Answer::Returned(returned))) => {
                    return Some(Ended::Refused(reason(&returned.message)));
                }
                Ok(Some(Answer::Confirmed(Confirmation::Nacked(_)))) => {
                    return Some(Ended::Refused(REJECTED.to_owned()));
                }
                Ok(Some(Answer::Confirmed(Confirmation::Acked(_)))) => {}
                Ok(None) => return None,
                Err(_) => return Some(Ended::Failed(publisher.failure())),
            }
        }
    }
}

fn is_reply_to(request: &Message, reply: &Message) -> bool {
    reply.properties.correlation_id == request.properties.correlation_id
}

/// The request is done even so. The error tells the status that the reply tells, since nothing else will.
fn ensure_whole(reply: &Delivery) -> anyhow::Result<()> {
    if reply.fidelity == Fidelity::Lossy {
        let code = status(&reply.message)?.code();
        bail!(
            "the reply, with exit status {code}: {}",
            envelope::NOT_WHOLE
        );
    }
    Ok(())
}

fn write(reply: &Delivery, format: Format) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match format {
        Format::Text => stdout.write_all(&reply.message.body)?,
        Format::Json => {
            let line = envelope::to_json_line(&reply.message, Some(reply.redelivered));
            writeln!(stdout, "{line}")?;
        }
    }
    stdout.flush()
}

/// The exit status that a reply tells; 0 where it tells none.
fn status(reply: &Message) -> anyhow::Result<Status> {
    let headers = reply.properties.headers.as_ref();
    let Some(told) = headers.and_then(|headers| headers.get(EXIT_STATUS)) else {
        return Ok(Status::SUCCESS);
    };
    let code = number(told).and_then(|number| u8::try_from(number).ok());
    match code {
        Some(code) => Ok(Status::exited(code)),
        None => bail!("the reply's {EXIT_STATUS} is no exit status from 0 to 255"),
    }
}

fn number(value: &HeaderValue) -> Option<i64> {
    Some(match value {
        HeaderValue::Int8(number) => (*number).into(),
        HeaderValue::UInt8(number) => (*number).into(),
        HeaderValue::Int16(number) => (*number).into(),
        HeaderValue::UInt16(number) => (*number).into(),
        HeaderValue::Int32(number) => (*number).into(),
        HeaderValue::UInt32(number) => (*number).into(),
        HeaderValue::Int64(number) => *number,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: Option<HeaderValue>) -> Message {
        let mut message = Message::default();
        message.properties.headers = status.map(|status| [(EXIT_STATUS.to_owned(), status)].into());
        message
    }

    #[test]
    fn the_reply_tells_the_status() {
        for (told, code) in [
            (None, 0),
            (Some(HeaderValue::Int32(0)), 0),
            (Some(HeaderValue::Int64(255)), 255),
            (Some(HeaderValue::UInt8(7)), 7),
        ] {
            assert_eq!(status(&reply(told)).unwrap().code(), code);
        }
    }

    #[test]
    fn what_is_no_status_is_an_error() {
        for told in [
            HeaderValue::Int32(256),
            HeaderValue::Int32(-1),
            HeaderValue::String("0".to_owned()),
        ] {
            assert!(status(&reply(Some(told))).is_err());
        }
    }

    #[test]
    fn a_request_expires_when_nobody_waits_any_more() {
        let request = prepare(Message::default(), Duration::from_millis(1500));
        assert_eq!(request.properties.expiration, Some("1500".to_owned()));
        let id = request.properties.correlation_id.unwrap();
        let other = prepare(Message::default(), Duration::ZERO);
        assert_ne!(other.properties.correlation_id.unwrap(), id);
    }

    #[test]
    fn given_properties_are_kept() {
        let mut request = Message::default();
        request.properties.expiration = Some("7".to_owned());
        request.properties.correlation_id = Some("mine".to_owned());
        let request = prepare(request, Duration::from_secs(1));
        assert_eq!(request.properties.expiration, Some("7".to_owned()));
        assert_eq!(request.properties.correlation_id, Some("mine".to_owned()));
    }
}

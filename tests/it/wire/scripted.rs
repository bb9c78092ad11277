//! A broker that plays a script: what no real one does when a test wants it, to the byte and the segment.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::protocol::{AMQPClass, basic, channel, connection, queue};
use amq_protocol::types::AMQPValue;
use amqp_tools::broker::frame;
use rustix::net::sockopt::{set_socket_linger, set_tcp_cork};

use super::{PROTOCOL_HEADER, body, header, method, read_frame, start};

/// How the network cuts what the broker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// All that is said at once, in one segment.
    Together,
    /// A segment a frame.
    FrameByFrame,
    /// A segment a byte.
    ByteByByte,
}

impl Manner {
    pub(crate) const ALL: [Self; 3] = [Self::Together, Self::FrameByFrame, Self::ByteByByte];
}

/// How a broker hangs up behind its last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HangUp {
    /// In the same segment.
    InOneGo,
    /// At once, in a segment of its own.
    AtOnce,
    /// As if it had not read all that was sent.
    ByReset,
    /// When the client has done so, as `RabbitMQ` does.
    Later,
}

/// A client's connection, from the broker's side.
pub(crate) struct Scripted<'c> {
    client: &'c mut TcpStream,
    manner: Manner,
    /// The heartbeat interval that the client chose (connection.tune-ok).
    pub(crate) heartbeat: u16,
    /// The largest frame and the number of channels that it chose.
    pub(crate) frame_max: u32,
    pub(crate) channel_max: u16,
    /// What the client calls the connection (connection.start-ok).
    pub(crate) connection_name: Option<String>,
}

impl<'c> Scripted<'c> {
    /// Lets a client log in, with this heartbeat interval proposed, and open its channel.
    pub(crate) fn open(
        client: &'c mut TcpStream,
        manner: Manner,
        proposed: u16,
    ) -> io::Result<Self> {
        Self::open_saying(client, manner, proposed, &[])
    }

    /// The same, with more said in one breath with channel.open-ok.
    pub(crate) fn open_saying(
        client: &'c mut TcpStream,
        manner: Manner,
        proposed: u16,
        more: &[Vec<u8>],
    ) -> io::Result<Self> {
        client.set_nodelay(true)?;
        client.read_exact(&mut [0; PROTOCOL_HEADER.len()])?;
        let mut broker = Self {
            client,
            manner,
            heartbeat: 0,
            frame_max: 0,
            channel_max: 0,
            connection_name: None,
        };
        broker.say(&[start()])?;
        if let AMQPFrame::Method(
            _,
            AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok)),
        ) = broker.hear()?
            && let Some(AMQPValue::LongString(name)) =
                start_ok.client_properties.get("connection_name")
        {
            broker.connection_name = Some(name.clone());
        }
        broker.say(&[tune(proposed)])?;
        if let AMQPFrame::Method(
            _,
            AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok)),
        ) = broker.hear()?
        {
            broker.heartbeat = tune_ok.heartbeat;
            broker.frame_max = tune_ok.frame_max;
            broker.channel_max = tune_ok.channel_max;
        }
        broker.hear()?; // connection.open
        broker.say(&[connection_open_ok()])?;
        broker.hear()?; // channel.open
        broker.say(&[vec![channel_open_ok()], more.to_vec()].concat())?;
        Ok(broker)
    }

    /// The next frame.
    pub(crate) fn hear(&mut self) -> io::Result<AMQPFrame> {
        read_frame(self.client)
    }

    /// The next frame that is no heartbeat.
    pub(crate) fn hear_word(&mut self) -> io::Result<AMQPFrame> {
        loop {
            match self.hear()? {
                AMQPFrame::Heartbeat(_) => {}
                frame => return Ok(frame),
            }
        }
    }

    /// Gives the usual answers until a frame comes that is `wanted`, which is returned.
    pub(crate) fn answer_until(
        &mut self,
        wanted: impl Fn(&AMQPFrame) -> bool,
    ) -> io::Result<AMQPFrame> {
        loop {
            let frame = self.hear()?;
            if wanted(&frame) {
                return Ok(frame);
            }
            if let Some(answer) = usual_answer(&frame) {
                self.say(&[answer])?;
            }
        }
    }

    /// Gives the usual answer to this frame, and says more in one breath with it.
    pub(crate) fn answer(&mut self, frame: &AMQPFrame, more: &[Vec<u8>]) -> io::Result<()> {
        let answer = usual_answer(frame).into_iter().collect::<Vec<_>>();
        self.say(&[answer, more.to_vec()].concat())
    }

    /// Gives the usual answers to the end, connection.close-ok included.
    pub(crate) fn answer_to_the_end(&mut self) -> io::Result<()> {
        self.answer_until(is_close)?;
        self.hang_up(HangUp::Later)
    }

    /// Says these frames at once, cut as the manner has it.
    pub(crate) fn say(&mut self, frames: &[Vec<u8>]) -> io::Result<()> {
        match self.manner {
            Manner::Together => self.client.write_all(&frames.concat()),
            Manner::FrameByFrame => frames
                .iter()
                .try_for_each(|frame| self.client.write_all(frame)),
            Manner::ByteByByte => frames
                .concat()
                .chunks(1)
                .try_for_each(|byte| self.client.write_all(byte)),
        }
    }

    /// Answers connection.close, and is gone.
    pub(crate) fn hang_up(&mut self, how: HangUp) -> io::Result<()> {
        if how == HangUp::InOneGo {
            self.client.set_nodelay(false)?;
            set_tcp_cork(&*self.client, true)?;
        }
        self.say(&[close_ok()])?;
        match how {
            HangUp::Later => io::copy(self.client, &mut io::sink()).map(drop),
            HangUp::ByReset => Ok(set_socket_linger(&*self.client, Some(Duration::ZERO))?),
            HangUp::InOneGo | HangUp::AtOnce => self.client.shutdown(Shutdown::Both),
        }
    }
}

/// What a broker answers that has one empty queue and delivers nothing.
pub(crate) fn usual_answer(frame: &AMQPFrame) -> Option<Vec<u8>> {
    let AMQPFrame::Method(number, class) = frame else {
        return None;
    };
    let answer = match class {
        AMQPClass::Queue(queue::AMQPMethod::Declare(declare)) => {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(queue::DeclareOk {
                queue: declare.queue.clone(),
                message_count: 0,
                consumer_count: 0,
            }))
        }
        AMQPClass::Queue(queue::AMQPMethod::Delete(_)) => {
            AMQPClass::Queue(queue::AMQPMethod::DeleteOk(queue::DeleteOk {
                message_count: 0,
            }))
        }
        AMQPClass::Basic(basic::AMQPMethod::Qos(_)) => {
            return Some(qos_ok());
        }
        AMQPClass::Basic(basic::AMQPMethod::Consume(_)) => {
            AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(basic::ConsumeOk {
                consumer_tag: CONSUMER.to_owned(),
            }))
        }
        AMQPClass::Basic(basic::AMQPMethod::Cancel(_)) => {
            AMQPClass::Basic(basic::AMQPMethod::CancelOk(basic::CancelOk {
                consumer_tag: CONSUMER.to_owned(),
            }))
        }
        AMQPClass::Basic(basic::AMQPMethod::Get(_)) => {
            AMQPClass::Basic(basic::AMQPMethod::GetEmpty(basic::GetEmpty {
                cluster_id: String::new(),
            }))
        }
        AMQPClass::Channel(channel::AMQPMethod::Close(_)) => {
            AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))
        }
        _ => return None,
    };
    Some(method(*number, &answer))
}

const CONSUMER: &str = "consumer";

/// connection.tune.
pub(crate) fn tune(heartbeat: u16) -> Vec<u8> {
    let tune = connection::Tune {
        channel_max: 2047,
        frame_max: 131_072,
        heartbeat,
    };
    method(
        0,
        &AMQPClass::Connection(connection::AMQPMethod::Tune(tune)),
    )
}

/// connection.open-ok.
pub(crate) fn connection_open_ok() -> Vec<u8> {
    let open_ok = connection::OpenOk {
        known_hosts: String::new(),
    };
    method(
        0,
        &AMQPClass::Connection(connection::AMQPMethod::OpenOk(open_ok)),
    )
}

/// channel.open-ok.
pub(crate) fn channel_open_ok() -> Vec<u8> {
    let open_ok = channel::OpenOk {
        channel_id: String::new(),
    };
    method(1, &AMQPClass::Channel(channel::AMQPMethod::OpenOk(open_ok)))
}

/// connection.close-ok.
pub(crate) fn close_ok() -> Vec<u8> {
    let close_ok = connection::AMQPMethod::CloseOk(connection::CloseOk {});
    method(0, &AMQPClass::Connection(close_ok))
}

/// A heartbeat.
pub(crate) fn heartbeat() -> Vec<u8> {
    frame::encode(frame::HEARTBEAT, 0, &[])
}

/// channel.flow.
pub(crate) fn flow(active: bool) -> Vec<u8> {
    let flow = channel::AMQPMethod::Flow(channel::Flow { active });
    method(1, &AMQPClass::Channel(flow))
}

/// The answer to basic.qos.
pub(crate) fn qos_ok() -> Vec<u8> {
    let qos_ok = basic::AMQPMethod::QosOk(basic::QosOk {});
    method(1, &AMQPClass::Basic(qos_ok))
}

/// A message that is delivered to the consumer.
pub(crate) fn delivery(delivery_tag: u64, text: &str) -> Vec<u8> {
    [
        deliver(delivery_tag),
        header(text.len() as u64, &AMQPProperties::default()),
        body(text.as_bytes()),
    ]
    .concat()
}

/// basic.deliver, behind which the content comes.
pub(crate) fn deliver(delivery_tag: u64) -> Vec<u8> {
    let deliver = basic::AMQPMethod::Deliver(basic::Deliver {
        consumer_tag: CONSUMER.to_owned(),
        delivery_tag,
        redelivered: false,
        exchange: String::new(),
        routing_key: "queue".to_owned(),
    });
    method(1, &AMQPClass::Basic(deliver))
}

/// A confirm.
pub(crate) fn confirm(delivery_tag: u64) -> Vec<u8> {
    let ack = basic::AMQPMethod::Ack(basic::Ack {
        delivery_tag,
        multiple: false,
    });
    method(1, &AMQPClass::Basic(ack))
}

/// A message that the broker rejects.
pub(crate) fn rejection(delivery_tag: u64) -> Vec<u8> {
    let nack = basic::AMQPMethod::Nack(basic::Nack {
        delivery_tag,
        multiple: false,
        requeue: false,
    });
    method(1, &AMQPClass::Basic(nack))
}

/// A message that was published to the default exchange and comes back.
pub(crate) fn returned(queue: &str, text: &str) -> Vec<u8> {
    let returned = basic::AMQPMethod::Return(basic::Return {
        reply_code: 312,
        reply_text: "NO_ROUTE".to_owned(),
        exchange: String::new(),
        routing_key: queue.to_owned(),
    });
    [
        method(1, &AMQPClass::Basic(returned)),
        header(text.len() as u64, &AMQPProperties::default()),
        body(text.as_bytes()),
    ]
    .concat()
}

/// connection.close.
pub(crate) fn is_close(frame: &AMQPFrame) -> bool {
    matches!(
        frame,
        AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::Close(_)))
    )
}

/// basic.consume.
pub(crate) fn is_consume(frame: &AMQPFrame) -> bool {
    matches!(
        frame,
        AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Consume(_)))
    )
}

/// basic.publish.
pub(crate) fn is_publish(frame: &AMQPFrame) -> bool {
    matches!(
        frame,
        AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Publish(_)))
    )
}

/// basic.qos, a question whose answer changes nothing.
pub(crate) fn is_qos(frame: &AMQPFrame) -> bool {
    matches!(
        frame,
        AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Qos(_)))
    )
}

/// confirm.select.
pub(crate) fn is_select(frame: &AMQPFrame) -> bool {
    matches!(frame, AMQPFrame::Method(_, AMQPClass::Confirm(_)))
}

/// basic.get.
pub(crate) fn is_get(frame: &AMQPFrame) -> bool {
    matches!(
        frame,
        AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Get(_)))
    )
}

/// basic.ack.
pub(crate) fn is_ack(frame: &AMQPFrame) -> bool {
    matches!(
        frame,
        AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Ack(_)))
    )
}

/// channel.flow-ok with that value.
pub(crate) fn is_flow_ok(frame: &AMQPFrame, active: bool) -> bool {
    matches!(
        frame,
        AMQPFrame::Method(_, AMQPClass::Channel(channel::AMQPMethod::FlowOk(ok))) if ok.active == active
    )
}

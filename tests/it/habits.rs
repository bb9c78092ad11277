//! What brokers do, and proxies, that RabbitMQ happens not to do: AMQP 0-9-1 lets them.

use std::io::{self, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic};

use crate::support::Test;
use crate::wire::Server;
use crate::wire::scripted::{
    HangUp, Manner, Scripted, confirm, delivery, flow, heartbeat, is_ack, is_close, is_consume,
    is_flow_ok, is_get, is_publish, is_qos, is_select, qos_ok, rejection, returned,
};

/// A longer silence is taken for a proxy's reason to close the connection.
const TELLING_SILENCE: Duration = Duration::from_millis(3200);

fn url(server: &Server) -> String {
    format!("amqp://{}", server.address())
}

/// Not what the test expects to hear. The client then finds its connection closed, and fails.
fn unexpected(frame: &AMQPFrame) -> io::Error {
    eprintln!("the scripted broker heard {frame:?}");
    io::ErrorKind::InvalidData.into()
}

#[track_caller]
fn must(holds: bool, frame: &AMQPFrame) -> io::Result<()> {
    holds.then_some(()).ok_or_else(|| unexpected(frame))
}

#[test]
fn a_broker_may_hang_up_with_its_last_word() {
    for how in [
        HangUp::InOneGo,
        HangUp::AtOnce,
        HangUp::ByReset,
        HangUp::Later,
    ] {
        for manner in Manner::ALL {
            let server = Server::start(move |client| {
                let mut broker = Scripted::open(client, manner, 60)?;
                broker.answer_until(is_close)?;
                broker.hang_up(how)
            });
            let test = Test::on(&url(&server));
            test.run("amqp-declare-queue -q a").stdout("a\n").succeeds();
            test.run("amqp-delete-queue -q a").stdout("0\n").succeeds();
            test.run("amqp-get -q a").exits(2);
        }
    }
}

#[test]
fn a_commands_status_counts_also_where_the_broker_hangs_up_with_its_last_word() {
    for how in [HangUp::InOneGo, HangUp::AtOnce, HangUp::ByReset] {
        let server = Server::start(move |client| {
            let mut broker = Scripted::open(client, Manner::Together, 60)?;
            let consume = broker.answer_until(is_consume)?;
            broker.answer(&consume, &[delivery(1, "text")])?;
            broker.answer_until(is_close)?;
            broker.hang_up(how)
        });
        let test = Test::on(&url(&server));
        test.run("amqp-consume -q a -c 1 cat")
            .stdout("text")
            .succeeds();
        test.run("amqp-consume -q a -c 1 sh -c 'exit 7'")
            .any_stderr()
            .exits(7);
    }
}

/// Hears that nothing but heartbeats comes, and then lets messages come again.
fn let_go_on(broker: &mut Scripted<'_>) -> io::Result<()> {
    for _ in 0..2 {
        let frame = broker.hear()?;
        must(matches!(frame, AMQPFrame::Heartbeat(_)), &frame)?;
        broker.say(&[heartbeat()])?;
    }
    broker.say(&[flow(true)])?;
    let frame = broker.hear_word()?;
    must(is_flow_ok(&frame, true), &frame)
}

/// Hears one message whole, and nothing else.
fn hear_message(broker: &mut Scripted<'_>) -> io::Result<Vec<u8>> {
    let publish = broker.hear_word()?;
    must(is_publish(&publish), &publish)?;
    hear_content(broker)
}

/// Hears what follows basic.publish.
fn hear_content(broker: &mut Scripted<'_>) -> io::Result<Vec<u8>> {
    let frame = broker.hear_word()?;
    let AMQPFrame::Header(_, _, header) = &frame else {
        return Err(unexpected(&frame));
    };
    let mut content = Vec::new();
    while (content.len() as u64) < header.body_size {
        match broker.hear_word()? {
            AMQPFrame::Body(_, bytes) => {
                content.extend(bytes);
                broker.say(&[heartbeat()])?; // a slow machine needs longer than a broker may be silent
            }
            other => return Err(unexpected(&other)),
        }
    }
    Ok(content)
}

#[test]
fn publishing_pauses_while_the_broker_takes_nothing() {
    for manner in Manner::ALL {
        let server = Server::start(move |client| {
            let mut broker = Scripted::open_saying(client, manner, 1, &[flow(false)])?;
            broker.answer_until(is_select)?; // which is no message
            let_go_on(&mut broker)?;
            for number in 1..=2 {
                broker.answer_until(is_publish)?;
                hear_content(&mut broker)?;
                broker.say(&[confirm(number)])?;
            }
            broker.answer_to_the_end()
        });
        let test = Test::on(&url(&server));
        test.run("amqp-publish -r a -l")
            .stdin("one\ntwo\n")
            .succeeds();
    }
}

#[test]
fn what_is_not_confirmed_waits_too_and_is_not_lost_at_the_end() {
    let (heard, texts) = mpsc::channel();
    let server = Server::start(move |client| {
        let mut broker = Scripted::open_saying(client, Manner::Together, 1, &[flow(false)])?;
        broker.answer_until(|frame| is_flow_ok(frame, false))?;
        let_go_on(&mut broker)?;
        let text = hear_message(&mut broker)?;
        let _ = heard.send(text);
        broker.answer_to_the_end()
    });
    Test::on(&url(&server))
        .run("amqp-publish -r a --no-confirm -b text")
        .succeeds();
    assert_eq!(texts.recv().unwrap(), b"text");
}

#[test]
fn a_message_that_has_begun_is_sent_to_its_end() {
    /// More than the system keeps for a broker that does not read.
    const LARGE: usize = 32 << 20;
    let server = Server::start(|client| {
        let mut broker = Scripted::open(client, Manner::Together, 2)?;
        broker.answer_until(is_publish)?;
        broker.say(&[flow(false), flow(true), flow(false)])?;
        let content = hear_content(&mut broker)?;
        if content != vec![b'x'; LARGE] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        for active in [false, true, false] {
            let frame = broker.hear_word()?;
            must(is_flow_ok(&frame, active), &frame)?;
        }
        let_go_on(&mut broker)?;
        broker.say(&[confirm(1)])?;
        broker.answer_to_the_end()
    });
    Test::on(&url(&server))
        .run("amqp-publish -r a")
        .stdin(vec![b'x'; LARGE])
        .succeeds();
}

#[test]
fn consuming_goes_on_while_the_broker_takes_nothing() {
    for manner in Manner::ALL {
        let server = Server::start(move |client| {
            let mut broker = Scripted::open(client, manner, 60)?;
            let consume = broker.answer_until(is_consume)?;
            broker.answer(
                &consume,
                &[flow(false), delivery(1, "one"), delivery(2, "two")],
            )?;
            let frame = broker.hear_word()?;
            must(is_flow_ok(&frame, false), &frame)?;
            broker.answer_until(is_ack)?;
            broker.answer_to_the_end()
        });
        Test::on(&url(&server))
            .run("amqp-consume -q a -c 2 cat")
            .stdout("onetwo")
            .succeeds();
    }
}

#[test]
fn acknowledgements_go_past_a_message_that_waits_to_be_parked() {
    let published_and_acknowledged = Barrier::new(2);
    let (acknowledged, tags) = mpsc::sync_channel(2);
    let server = Server::start(move |client| {
        let mut broker = Scripted::open(client, Manner::Together, 60)?;
        let first = broker
            .answer_until(|frame| is_consume(frame) || is_publish(frame) || is_close(frame))?;
        if is_close(&first) {
            // It was asked what the queue is.
            return broker.hang_up(HangUp::AtOnce);
        }
        if is_publish(&first) {
            hear_content(&mut broker)?;
            published_and_acknowledged.wait();
            broker.say(&[confirm(1)])?;
        } else {
            broker.answer(&first, &[delivery(1, "bad"), delivery(2, "good")])?;
            for tag in [2, 1] {
                let ack = broker.answer_until(is_ack)?;
                must(acknowledged_tag(&ack) == Some(tag), &ack)?;
                let _ = acknowledged.send(tag);
                if tag == 2 {
                    published_and_acknowledged.wait();
                }
            }
        }
        broker.answer_to_the_end()
    });
    Test::on(&url(&server))
        .run("amqp-consume -q a -c 2 --max-attempts 1 --park bin grep -q good")
        .any_stderr()
        .exits(1);
    assert_eq!(tags.try_iter().collect::<Vec<_>>(), [2, 1]);
}

fn acknowledged_tag(frame: &AMQPFrame) -> Option<u64> {
    match frame {
        AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Ack(ack))) => {
            Some(ack.delivery_tag)
        }
        _ => None,
    }
}

#[test]
fn getting_goes_on_while_the_broker_takes_nothing() {
    for manner in Manner::ALL {
        let server = Server::start(move |client| {
            let mut broker = Scripted::open(client, manner, 60)?;
            let get = broker.answer_until(is_get)?;
            broker.answer(&get, &[flow(false)])?;
            broker.answer_to_the_end()
        });
        Test::on(&url(&server)).run("amqp-get -q a").exits(2);
    }
}

/// AMQP's own text has it so: what is given to a second subscription counts for the first one, too.
#[test]
fn a_failed_message_keeps_nobody_waiting_where_the_prefetch_counts_for_the_channel() {
    for manner in Manner::ALL {
        let server = Server::start(move |client| {
            let mut broker = Scripted::open(client, manner, 60)?;
            let consume = broker.answer_until(is_consume)?;
            broker.answer(&consume, &[delivery(1, "bad")])?;
            broker.answer_until(is_qos)?;
            broker.say(&[qos_ok(), delivery(2, "good")])?;
            broker.answer_until(is_ack)?;
            broker.answer_to_the_end()
        });
        Test::on(&url(&server))
            .run("amqp-consume -q a -c 2 grep good")
            .stdout("good\n")
            .any_stderr()
            .exits(1);
    }
}

/// Takes five messages and rejects the second.
fn reject_the_second(broker: &mut Scripted<'_>, more: &[Vec<u8>]) -> io::Result<()> {
    for _ in 1..=5 {
        broker.answer_until(is_publish)?;
        hear_content(broker)?;
    }
    broker.say(&[&[confirm(1), rejection(2)], more].concat())?;
    broker.say(&[confirm(3), confirm(4), confirm(5)])
}

/// What becomes of five messages, told by such a broker.
fn publish_five_of_which_the_second_is_rejected(server: &Server, said: &str) {
    Test::on(&url(server))
        .run("amqp-publish -r a -l --chomp --json")
        .stdin("1\n2\n3\n4\n5\n")
        .stdout_contains(said)
        .stdout_contains("\"confirmed\":4,")
        .stdout_contains("\"first_unconfirmed\":\"-:2\"}\n")
        .stderr_contains("\n4 messages confirmed; the first unconfirmed is -:2\n")
        .stderr_contains(if said.contains("\"returned\":1") {
            "basic.publish: no queue 'a'\n"
        } else {
            "basic.publish: the broker rejected a message"
        })
        .exits(1);
}

#[test]
fn a_message_may_be_rejected_before_it_comes_back() {
    for manner in Manner::ALL {
        let at_once = Server::start(move |client| {
            let mut broker = Scripted::open(client, manner, 60)?;
            reject_the_second(&mut broker, &[returned("a", "2")])?;
            broker.answer_to_the_end()
        });
        let when_asked = Server::start(move |client| {
            let mut broker = Scripted::open(client, manner, 60)?;
            reject_the_second(&mut broker, &[])?;
            broker.answer_until(is_qos)?;
            broker.say(&[returned("a", "2"), qos_ok()])?;
            broker.answer_to_the_end()
        });
        for server in [at_once, when_asked] {
            let said = "\"returned\":1,\"rejected\":0,";
            publish_five_of_which_the_second_is_rejected(&server, said);
        }
    }
}

#[test]
fn a_message_that_is_rejected_need_not_come_back() {
    let answers = Server::start(|client| {
        let mut broker = Scripted::open(client, Manner::Together, 60)?;
        reject_the_second(&mut broker, &[])?;
        broker.answer_to_the_end()
    });
    let says_nothing_more = Server::start(|client| {
        let mut broker = Scripted::open(client, Manner::Together, 60)?;
        reject_the_second(&mut broker, &[])?;
        broker.answer_until(is_qos)?;
        io::copy(client, &mut io::sink()).map(drop)
    });
    for server in [answers, says_nothing_more] {
        let said = "\"returned\":0,\"rejected\":1,";
        publish_five_of_which_the_second_is_rejected(&server, said);
    }
}

#[test]
fn of_a_copy_that_comes_back_when_asked_for_the_queue_is_called_missing() {
    let server = Server::start(|client| {
        let mut broker = Scripted::open(client, Manner::Together, 60)?;
        let first = broker.answer_until(|frame| is_consume(frame) || is_publish(frame))?;
        if is_consume(&first) {
            broker.answer(&first, &[delivery(1, "bad")])?;
            return broker.answer_to_the_end();
        }
        hear_content(&mut broker)?;
        broker.say(&[rejection(1)])?;
        broker.answer_until(is_qos)?;
        broker.say(&[returned("bin", "bad"), qos_ok()])?;
        broker.answer_to_the_end()
    });
    Test::on(&url(&server))
        .run("amqp-consume -q a -c 1 --max-attempts 1 --park bin false")
        .stderr_contains("no queue 'bin'")
        .exits(1);
}

/// Which heartbeat interval a tool settles on, however the proposal comes.
#[track_caller]
fn settles_on(heartbeat: u16, proposed: u16, flags: &str) {
    for manner in Manner::ALL {
        let (settled, heartbeats) = mpsc::channel();
        let server = Server::start(move |client| {
            let mut broker = Scripted::open(client, manner, proposed)?;
            let _ = settled.send(broker.heartbeat);
            broker.answer_to_the_end()
        });
        Test::on(&url(&server))
            .run(&format!("amqp-declare-queue -q a {flags}"))
            .stdout("a\n")
            .succeeds();
        assert_eq!(heartbeats.recv().unwrap(), heartbeat, "{proposed} {flags}");
    }
}

#[test]
fn a_broker_that_proposes_no_heartbeats_leaves_them_to_the_tool() {
    settles_on(60, 0, "");
    settles_on(7, 0, "--heartbeat 7");
    settles_on(0, 0, "--heartbeat 0");
}

#[test]
fn the_shorter_heartbeat_wins() {
    settles_on(5, 5, "");
    settles_on(5, 5, "--heartbeat 7");
    settles_on(7, 60, "--heartbeat 7");
    settles_on(0, 60, "--heartbeat 0");
}

#[test]
fn a_silent_broker_is_given_up_though_it_proposes_no_heartbeats() {
    let server = Server::start(|client| {
        let mut broker = Scripted::open(client, Manner::Together, 0)?;
        broker.answer_until(is_consume)?;
        client.read_to_end(&mut Vec::new()).map(drop)
    });
    Test::on(&url(&server))
        .run("amqp-consume -q a --heartbeat 1 cat")
        .stderr_line("basic.consume: connection lost: no sign of life from the broker for 2s")
        .exits(1);
}

/// Closes a connection on which nothing passes, as a proxy does.
fn close_after_silence(broker: &mut Scripted<'_>) -> io::Result<()> {
    broker.answer_until(is_consume)?;
    thread::sleep(TELLING_SILENCE); // this is what it is about
    Ok(())
}

#[test]
fn after_a_close_that_followed_a_silence_shorter_heartbeats_are_asked_for() {
    let connections = AtomicUsize::new(0);
    let (settled, heartbeats) = mpsc::channel();
    let server = Server::start(move |client| {
        let mut broker = Scripted::open(client, Manner::Together, 60)?;
        let _ = settled.send(broker.heartbeat);
        if connections.fetch_add(1, Ordering::SeqCst) == 0 {
            return close_after_silence(&mut broker);
        }
        let consume = broker.answer_until(is_consume)?;
        broker.answer(&consume, &[delivery(1, "text")])?;
        broker.answer_to_the_end()
    });
    Test::on(&url(&server))
        .run("amqp-consume -q a -c 1 --retry 30s cat")
        .stdout("text")
        .stderr_contains("closed the connection after 3s in which nothing was sent")
        .stderr_contains("--heartbeat 2")
        .succeeds();
    assert_eq!(heartbeats.try_iter().collect::<Vec<_>>(), [60, 2]);
}

#[test]
fn without_retry_the_error_names_the_heartbeat() {
    let server = Server::start(|client| {
        close_after_silence(&mut Scripted::open(client, Manner::Together, 60)?)
    });
    Test::on(&url(&server))
        .run("amqp-consume -q a cat")
        .stderr_line("nothing was sent; if a proxy did so, --heartbeat 2 prevents it")
        .exits(1);
}

#[test]
fn no_heartbeats_stay_none() {
    let connections = AtomicUsize::new(0);
    let (settled, heartbeats) = mpsc::channel();
    let server = Server::start(move |client| {
        let mut broker = Scripted::open(client, Manner::Together, 60)?;
        let _ = settled.send(broker.heartbeat);
        if connections.fetch_add(1, Ordering::SeqCst) == 0 {
            return close_after_silence(&mut broker);
        }
        let consume = broker.answer_until(is_consume)?;
        broker.answer(&consume, &[delivery(1, "text")])?;
        broker.answer_to_the_end()
    });
    Test::on(&url(&server))
        .run("amqp-consume -q a -c 1 --retry 30s --heartbeat 0 cat")
        .stdout("text")
        .any_stderr()
        .succeeds();
    assert_eq!(heartbeats.try_iter().collect::<Vec<_>>(), [0, 0]);
}

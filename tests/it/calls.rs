//! amqp-call: a request, its reply, and the exit status.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use amiquip::{
    AmqpProperties, AmqpValue, Channel, Connection, ConsumerMessage, ConsumerOptions, Delivery,
    ExchangeType, FieldTable, Publish,
};
use crossbeam_channel::{Sender, bounded};

use crate::support::{Proxy, Test};

/// A worker behind a queue, until it is dropped.
struct Worker {
    stop: Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    /// Does `work` for each request, which it has acknowledged.
    fn start(
        test: &Test,
        queue: &str,
        work: impl Fn(&Channel, &Delivery) + Send + 'static,
    ) -> Worker {
        let (url, queue) = (test.url().to_owned(), test.name(queue));
        let (stop, stopped) = bounded(0);
        let (ready, is_ready) = bounded(1);
        let thread = thread::spawn(move || {
            let mut connection = Connection::insecure_open(&url).unwrap();
            let channel = connection.open_channel(None).unwrap();
            let consumer = channel
                .basic_consume(&queue, ConsumerOptions::default())
                .unwrap();
            ready.send(()).unwrap();
            loop {
                crossbeam_channel::select! {
                    recv(stopped) -> _ => return,
                    recv(consumer.receiver()) -> message => match message {
                        Ok(ConsumerMessage::Delivery(request)) => {
                            work(&channel, &request);
                            request.ack(&channel).unwrap();
                        }
                        _ => return,
                    },
                }
            }
        });
        is_ready.recv().unwrap();
        Worker {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(std::mem::replace(&mut self.stop, bounded(0).0));
        let _ = self.thread.take().unwrap().join();
    }
}

/// Sends a reply, with this correlation id instead of the request's where there is one.
fn reply(
    channel: &Channel,
    request: &Delivery,
    body: &[u8],
    status: Option<i32>,
    correlation_id: Option<&str>,
) {
    let correlation_id = correlation_id.map(str::to_owned);
    let asked = request.properties.correlation_id().clone();
    let mut properties =
        AmqpProperties::default().with_correlation_id(correlation_id.or(asked).unwrap());
    if let Some(status) = status {
        let status = ("x-exit-status".to_owned(), AmqpValue::LongInt(status));
        properties = properties.with_headers([status].into_iter().collect());
    }
    let reply_to = request.properties.reply_to().clone().unwrap();
    channel
        .basic_publish("", Publish::with_properties(body, reply_to, properties))
        .unwrap();
}

#[test]
fn the_reply_is_written_and_its_status_is_the_exit_status() {
    let test = Test::new();
    test.queue("queue").declare();
    let _worker = Worker::start(&test, "queue", |channel, request| {
        let body = request.body.to_ascii_uppercase();
        let status = match &*request.body {
            b"none" => None,
            number => Some(str::from_utf8(number).unwrap().parse().unwrap_or(0)),
        };
        reply(channel, request, &body, status, None);
    });
    test.run("amqp-call -r {queue} -b hello")
        .stdout("HELLO")
        .succeeds();
    test.run("amqp-call -r {queue} -b none")
        .stdout("NONE")
        .succeeds();
    test.run("amqp-call -r {queue} -b 7").stdout("7").exits(7);
    test.run("amqp-call -r {queue} -b none --timeout 9223372036854775807")
        .stdout("NONE")
        .succeeds();
    test.run("amqp-call -r {queue} -b 256")
        .stdout("256")
        .stderr("the reply's x-exit-status is no exit status from 0 to 255\n")
        .exits(1);
    test.run("amqp-call -r {queue}")
        .stdin("from\0stdin\n")
        .stdout("FROM\0STDIN\n")
        .succeeds();
    test.run("amqp-call -r {queue} -")
        .stdin("a")
        .stdout("A")
        .succeeds();
    test.file("request", "of a file");
    test.run("amqp-call -r {queue} request")
        .stdout("OF A FILE")
        .succeeds();
    test.run("amqp-call -r {queue} nothing")
        .stderr("reading nothing: No such file or directory\n")
        .exits(1);
    test.run("amqp-call -r {queue} -b hello")
        .stdout_to("/dev/full")
        .stderr_line("writing the reply to standard output")
        .exits(1);
    test.run("amqp-call -r {queue} -b 9 --json --correlation-id mine")
        .stdout_contains("{\"body\":\"9\",\"exchange\":\"\",\"routing_key\":\"")
        .stdout_contains("\"headers\":{\"x-exit-status\":9}")
        .stdout_contains("\"correlation_id\":\"mine\"")
        .exits(9);
}

#[test]
fn json_prints_no_reply_that_it_cannot_hold_unless_it_may_be_lossy() {
    let test = Test::new();
    test.queue("queue").declare();
    let _worker = Worker::start(&test, "queue", |channel, request| {
        let deep = (0..40).fold(AmqpValue::LongInt(1), |inner, _| {
            AmqpValue::FieldTable([("a".to_owned(), inner)].into_iter().collect())
        });
        let status = AmqpValue::LongInt(9);
        let headers = [
            ("x-exit-status".to_owned(), status),
            ("deep".to_owned(), deep),
        ];
        let properties = AmqpProperties::default()
            .with_correlation_id(request.properties.correlation_id().clone().unwrap())
            .with_headers(headers.into_iter().collect());
        let reply_to = request.properties.reply_to().clone().unwrap();
        let reply = Publish::with_properties(b"done", reply_to, properties);
        channel.basic_publish("", reply).unwrap();
    });
    test.run("amqp-call -r {queue} -b a --json")
        .stderr_line("the reply, with exit status 9: it cannot be written as it is")
        .exits(1);
    test.run("amqp-call -r {queue} -b a --json --lossy")
        .stdout_contains(r#"{"body":"done","#)
        .exits(9);
    test.run("amqp-call -r {queue} -b a")
        .stdout("done")
        .exits(9);
    test.run("amqp-call -r {queue} -b a --lossy")
        .stderr_contains("--json")
        .exits(1);
}

#[test]
fn a_request_tells_what_was_asked_for_and_expires_with_the_timeout() {
    let test = Test::new();
    test.queue("queue").declare();
    let _worker = Worker::start(&test, "queue", |channel, request| {
        let properties = &request.properties;
        let told = format!(
            "{:?} {:?} {:?} {:?}\n",
            properties.expiration().as_deref(),
            properties.correlation_id().as_ref().map(String::len),
            properties.content_type().as_deref(),
            properties.delivery_mode(),
        );
        reply(channel, request, told.as_bytes(), None, None);
    });
    test.run("amqp-call -r {queue} -b a --timeout 20s -C text/plain")
        .stdout("Some(\"20000\") Some(32) Some(\"text/plain\") Some(1)\n")
        .succeeds();
    test.run("amqp-call -r {queue} -b a --expiration 5000 -p")
        .stdout("Some(\"5000\") Some(32) None Some(2)\n")
        .succeeds();
}

#[test]
fn only_the_first_reply_to_the_request_counts() {
    let test = Test::new();
    test.queue("queue").declare();
    let _worker = Worker::start(&test, "queue", |channel, request| {
        reply(channel, request, b"of another", Some(9), Some("another"));
        reply(channel, request, b"first", Some(3), None);
        reply(channel, request, b"second", Some(4), None);
    });
    for _ in 0..20 {
        test.run("amqp-call -r {queue} -b a")
            .stdout("first")
            .exits(3);
    }
}

#[test]
fn each_call_has_its_own_answer() {
    let test = Test::new();
    test.queue("queue").declare();
    let _worker = Worker::start(&test, "queue", |channel, request| {
        let number: i32 = str::from_utf8(&request.body).unwrap().parse().unwrap();
        let body = format!("answer {number}");
        reply(channel, request, body.as_bytes(), Some(number % 256), None);
    });
    for number in 0..300 {
        test.run(&format!("amqp-call -r {{queue}} -b {number}"))
            .stdout(&format!("answer {number}"))
            .exits(number % 256);
    }
}

#[test]
fn a_reply_that_does_not_come_in_time_is_124_and_the_request_is_gone() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let began = Instant::now();
    test.run("amqp-call -r {queue} -b a --timeout 500ms")
        .stderr("no reply within 500ms\n")
        .exits(124);
    assert!(began.elapsed() >= Duration::from_millis(500));
    queue.holds(0);
    test.run("amqp-call -r {queue} -b a --timeout 0s")
        .stderr("no reply within 0s\n")
        .exits(124);
    queue.holds(0);
    let (call, end_of_call) = mpsc::channel::<()>();
    let _slow = Worker::start(&test, "queue", move |channel, request| {
        let _ = end_of_call.recv();
        reply(channel, request, b"late", None, None);
    });
    test.run("amqp-call -r {queue} -b a --timeout 300ms")
        .stderr("no reply within 300ms\n")
        .exits(124);
    drop(call);
}

/// Its connection ends with the request unacknowledged, again and again.
#[test]
fn a_worker_that_dies_of_the_request_gives_no_reply() {
    let test = Test::new();
    test.queue("queue").declare();
    let worker = test
        .shell("until amqp-consume -q {queue} -c 1 sh -c 'kill -9 $PPID'; [ $? = 0 ]; do :; done")
        .any_stderr()
        .spawn();
    test.queue("queue").has_consumers(1);
    test.run("amqp-call -r {queue} -b a --timeout 2s")
        .stderr("no reply within 2s\n")
        .exits(124);
    drop(worker);
}

#[test]
fn a_command_answers_by_what_it_is_told_in_its_environment() {
    let test = Test::new();
    test.queue("queue").declare();
    let worker = test
        .shell(
            r#"amqp-consume -q {queue} sh -c '
                tr a-z A-Z | amqp-publish -r "$AMQP_REPLY_TO" --no-mandatory --correlation-id "$AMQP_CORRELATION_ID"'"#,
        )
        .any_stderr()
        .spawn();
    test.run("amqp-call -r {queue} -b hello")
        .stdout("HELLO")
        .succeeds();
    drop(worker);
}

#[test]
fn a_request_that_reaches_no_queue_is_told() {
    let test = Test::new();
    test.run("amqp-call -r {missing} -b a")
        .stderr("basic.publish: no queue '{missing}'\n")
        .exits(1);
    let queue = test.queue("queue").declare();
    queue.bind_to(&ExchangeType::Direct, &test.name("exchange"), "key");
    test.run("amqp-call -e {exchange} -r other -b a")
        .stderr("basic.publish: exchange '{exchange}' routes 'other' to no queue\n")
        .exits(1);
    test.run("amqp-call -e {missing} -b a")
        .stderr_line("basic.publish: server channel error 404")
        .exits(1);
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-length".to_owned(), AmqpValue::LongInt(0));
    let overflow = AmqpValue::LongString("reject-publish".to_owned());
    arguments.insert("x-overflow".to_owned(), overflow);
    test.queue("full").declare_with(arguments);
    test.run("amqp-call -r {full} -b a")
        .stderr_line("basic.publish: the broker rejected the request")
        .exits(1);
}

#[test]
fn a_closed_standard_input_is_no_empty_request() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    for operand in ["", "-"] {
        test.shell(&format!("amqp-call -r {{queue}} {operand} <&-"))
            .stderr("reading -: standard input is closed\n")
            .exits(1);
    }
    queue.holds(0);
}

#[test]
fn a_connection_that_breaks_is_told() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let proxy = Proxy::before(&test);
    let call = test
        .run("amqp-call -r {queue} -b a")
        .env("AMQP_URL", &proxy.url())
        .stderr_line("connection lost")
        .spawn();
    queue.holds(1);
    proxy.cut();
    call.exits(1);
}

#[test]
fn a_call_waits_for_the_broker_twice_more_than_a_publish() {
    let test = Test::new();
    test.queue("queue").declare();
    test.queue("other").declare();
    let _worker = Worker::start(&test, "queue", |channel, request| {
        reply(channel, request, b"", None, None);
    });
    let round_trips = |line: &str| {
        let proxy = Proxy::before(&test);
        test.run(line).env("AMQP_URL", &proxy.url()).succeeds();
        proxy.round_trips()
    };
    let publish = round_trips("amqp-publish -r {other} -b a");
    let call = round_trips("amqp-call -r {queue} -b a");
    assert!(call <= publish + 2, "{call}, a publish has {publish}");
}

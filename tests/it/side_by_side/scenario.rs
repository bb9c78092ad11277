//! A script that is run with the reference tools and with ours, and the verdict on the two.

use std::time::Duration;

use amiquip::AmqpProperties;

use super::facts::{Facts, Look, server_named_queue};
use crate::support::{Running, Test, Tools, eventually};

/// A row of the table: what is on the broker before, and a script for the shell.
#[derive(Debug)]
#[must_use = "a scenario is run by its verdict"]
pub(crate) struct Scenario {
    script: String,
    stdin: Option<Vec<u8>>,
    given: Vec<Given>,
    meanwhile: Option<Meanwhile>,
    look: Look,
}

/// A message that is published once a queue is there that it can be routed to.
#[derive(Debug)]
struct Meanwhile {
    exchange: &'static str,
    routing_key: &'static str,
    body: &'static str,
}

#[derive(Debug)]
enum Given {
    Queue(&'static str),
    Messages(Vec<String>),
    Fanout,
    Consumer,
    File(&'static str, String),
}

/// How long the reference may take where it is known to hang.
const HANGS_AFTER: Duration = Duration::from_secs(3);

/// A scenario on a broker that has nothing of it yet.
pub(crate) fn script(script: &str) -> Scenario {
    Scenario {
        script: script.to_owned(),
        stdin: None,
        given: Vec::new(),
        meanwhile: None,
        look: Look::default(),
    }
}

/// A scenario with `{queue}` on the broker, durable and empty.
pub(crate) fn with_queue(text: &str) -> Scenario {
    script(text).given(Given::Queue("queue"))
}

/// A scenario with `{queue}` on the broker, durable, and messages in it.
pub(crate) fn with_messages<const N: usize>(bodies: [&str; N], text: &str) -> Scenario {
    with_queue(text).given(Given::Messages(bodies.map(str::to_owned).into()))
}

/// A scenario with `{queue}` on the broker, empty, and somebody subscribed to it.
pub(crate) fn with_consumer(text: &str) -> Scenario {
    with_queue(text).given(Given::Consumer)
}

/// A scenario with `{queue}` bound to the fanout exchange `{exchange}`.
pub(crate) fn with_fanout(text: &str) -> Scenario {
    with_queue(text).given(Given::Fanout)
}

impl Scenario {
    fn given(mut self, given: Given) -> Self {
        self.given.push(given);
        self
    }

    /// These bytes on the script's standard input. Without this it is empty.
    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = Some(bytes.as_ref().to_vec());
        self
    }

    /// That file in the folder where the script runs.
    pub(crate) fn file(self, name: &'static str, contents: &str) -> Self {
        self.given(Given::File(name, contents.to_owned()))
    }

    /// While the script runs and as soon as `{queue}` is there, this message comes into it. How the queue was
    /// declared counts too.
    pub(crate) fn then_arrives(self, body: &'static str) -> Self {
        self.then_is_published("", "{queue}", body)
    }

    /// While the script runs and as soon as it can be routed, this message is published to the exchange.
    pub(crate) fn then_is_published(
        mut self,
        exchange: &'static str,
        routing_key: &'static str,
        body: &'static str,
    ) -> Self {
        self.meanwhile = Some(Meanwhile {
            exchange,
            routing_key,
            body,
        });
        self
    }

    /// The first line on standard error counts too. Otherwise only whether there is one.
    pub(crate) fn stderr_too(mut self) -> Self {
        self.look.at_first_line_of_stderr = true;
        self
    }

    /// Standard output does not count, only whether there is some: help texts differ.
    pub(crate) fn any_stdout(mut self) -> Self {
        self.look.at_stdout = false;
        self
    }

    /// Both do the same.
    #[track_caller]
    pub(crate) fn same(self) {
        let reference = self.run(Tools::Reference, None);
        let ours = self.run(Tools::Ours, None);
        assert!(
            reference == ours,
            "{}\nreference: {reference}\nours:      {ours}",
            self.script
        );
    }

    /// The reference does this (or that, where it depends on who is faster), ours does that.
    #[track_caller]
    pub(crate) fn differs(self, reference: &str, ours: &str) {
        assert_ne!(reference, ours, "a difference that is none");
        let limit = reference.contains("hangs").then_some(HANGS_AFTER);
        self.does(Tools::Reference, limit, reference);
        self.does(Tools::Ours, None, ours);
    }

    /// The reference's releases from 0.18 on do this, older ones may do that instead, ours does the third.
    #[track_caller]
    pub(crate) fn depends_on_release(self, newer: &str, older: &str, ours: &str) {
        let reference = if Tools::reference_is_newest() {
            newer.to_owned()
        } else {
            format!("{newer} or {older}")
        };
        self.does(Tools::Reference, None, &reference);
        self.does(Tools::Ours, None, ours);
    }

    #[track_caller]
    fn does(&self, tools: Tools, limit: Option<Duration>, facts: &str) {
        let done = self.run(tools, limit).to_string();
        assert!(
            facts.split(" or ").any(|facts| done == facts),
            "{}\n{tools:?}\n  should be: {facts}\n  but is:    {done}",
            self.script
        );
    }

    fn run(&self, tools: Tools, limit: Option<Duration>) -> Facts {
        let test = Test::of(tools);
        for given in &self.given {
            given.prepare(&test);
        }
        let mut command = test
            .shell(&self.script)
            .without_env("AMQP_URL")
            .any_stdout()
            .any_stderr();
        if let Some(bytes) = &self.stdin {
            command = command.stdin(bytes);
        }
        if let Some(limit) = limit {
            command = command.within(limit);
        }
        let mut running = command.spawn();
        let during = self
            .meanwhile
            .as_ref()
            .map(|meanwhile| meanwhile.happens(&test, &mut running))
            .unwrap_or_default();
        match running.wait() {
            None if limit.is_none() => running.fail_as_unfinished(),
            finished => Facts::establish(&test, finished, &during, self.look),
        }
    }
}

impl Meanwhile {
    /// Tells how the queue was declared that the message goes to.
    fn happens(&self, test: &Test, running: &mut Running) -> String {
        let [exchange, routing_key] = [self.exchange, self.routing_key].map(|text| test.fill(text));
        let publish = || {
            let nothing = AmqpProperties::default();
            test.inspector()
                .publish((&exchange, &routing_key), [self.body], &nothing)
        };
        let mut kind = None;
        eventually("a queue to route the message to", || {
            if running.has_ended() {
                kind = None;
                return true;
            }
            let named = server_named_queue(&running.stderr_so_far());
            let queue = named.map_or_else(|| test.queue("queue"), |name| test.adopt(&name));
            kind = kind.or_else(|| queue.kind());
            kind.is_some() && publish().is_ok_and(|unroutable| unroutable == 0)
        });
        kind.map(|kind| format!(", meanwhile {kind}"))
            .unwrap_or_default()
    }
}

impl Given {
    fn prepare(&self, test: &Test) {
        match self {
            Self::Queue(placeholder) => drop(test.queue(placeholder).declare()),
            Self::Messages(bodies) => test.queue("queue").publish(bodies),
            Self::Consumer => test.queue("queue").consume_without_reading(),
            Self::Fanout => test.queue("queue").bind_to_fanout(&test.name("exchange")),
            Self::File(name, contents) => drop(test.file(name, test.fill(contents))),
        }
    }
}

/// The table: a name for each scenario, which is then a test of its own.
macro_rules! table {
    ($($(#[doc = $why:literal])* $name:ident: $scenario:expr;)*) => {
        $($(#[doc = $why])* #[test] fn $name() { $scenario })*
    };
}
pub(crate) use table;

//! What a scenario did, in words that are the same for every run of it.

use std::fmt;

use crate::support::{Ended, Finished, Kind, Message, Test};

/// How much of a scenario counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) at_stdout: bool,
    pub(crate) at_first_line_of_stderr: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            at_stdout: true,
            at_first_line_of_stderr: false,
        }
    }
}

/// For example `exit 0, prints "Hello"; {queue} durable: "b" "c"`. Long bodies are compared, but only their lengths told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    end: String,
    stdout: String,
    stderr: String,
    during: String,
    queues: String,
    bodies: Vec<Vec<u8>>,
}

impl Facts {
    /// Looks at a script's end, if there is one, and takes all messages out of its queues.
    pub(crate) fn establish(
        test: &Test,
        finished: Option<Finished>,
        during: &str,
        look: Look,
    ) -> Self {
        let Some(Finished {
            stdout,
            stderr,
            ended,
        }) = finished
        else {
            return Self::of_one_that_hangs();
        };
        let [stdout, stderr] = [stdout, stderr].map(|bytes| {
            adopt_server_named_queues(test, &neutral(test, &String::from_utf8_lossy(&bytes)))
        });
        let queues: Vec<Contents> = test
            .placeholders()
            .iter()
            .filter_map(|name| Contents::of(test, name))
            .collect();
        Self {
            end: end_in_words(ended),
            stdout: match stdout.as_str() {
                printed if look.at_stdout => quote(", prints", printed.as_bytes()),
                "" => String::new(),
                _ => ", prints".to_owned(),
            },
            stderr: match stderr.lines().next() {
                Some(line) if look.at_first_line_of_stderr => quote(", says", line.as_bytes()),
                Some(_) => ", complains".to_owned(),
                None => String::new(),
            },
            during: during.to_owned(),
            queues: queues
                .iter()
                .map(|contents| contents.in_words(test))
                .collect(),
            bodies: queues
                .into_iter()
                .flat_map(|contents| contents.messages)
                .map(|message| message.body)
                .collect(),
        }
    }

    /// What there is then may change at any moment.
    fn of_one_that_hangs() -> Self {
        let nothing = String::new;
        let end = "hangs".to_owned();
        Self {
            end,
            stdout: nothing(),
            stderr: nothing(),
            during: nothing(),
            queues: nothing(),
            bodies: Vec::new(),
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            end,
            stdout,
            stderr,
            during,
            queues,
            ..
        } = self;
        write!(f, "{end}{stdout}{stderr}{during}{queues}")
    }
}

fn end_in_words(ended: Ended) -> String {
    match ended {
        Ended::Exit(status) => format!("exit {status}"),
        Ended::Signal(signal) => format!("killed by {signal}"),
    }
}

fn quote(label: &str, bytes: &[u8]) -> String {
    const MANY: usize = 300;
    match (bytes.len(), std::str::from_utf8(bytes)) {
        (0, _) => String::new(),
        (1..=MANY, Ok(text)) => format!("{label} {text:?}"),
        (1..=MANY, Err(_)) => format!("{label} \"{}\"", bytes.escape_ascii()),
        (many, _) => format!("{label} {many} bytes"),
    }
}

/// What was printed, with this run's own names taken out of it.
fn neutral(test: &Test, printed: &str) -> String {
    let names = test
        .placeholders()
        .into_iter()
        .filter(|placeholder| !is_server_named(placeholder));
    names.fold(printed.to_owned(), |printed, placeholder| {
        printed.replace(&test.name(&placeholder), &format!("{{{placeholder}}}"))
    })
}

/// The name in the reference's words on standard error about it.
pub(crate) fn server_named_queue(stderr: &str) -> Option<String> {
    stderr.lines().find_map(|line| {
        Some(
            line.strip_prefix("Server provided queue name: ")?
                .to_owned(),
        )
    })
}

/// Names that the broker made up are deleted in the end, and are all called `amq.gen-*` until then.
fn adopt_server_named_queues(test: &Test, printed: &str) -> String {
    let words = printed.split_inclusive(char::is_whitespace);
    words
        .map(|word| match word.trim_end() {
            name if is_server_named(name) => {
                test.adopt(name);
                word.replace(name, "amq.gen-*")
            }
            _ => word.to_owned(),
        })
        .collect()
}

fn is_server_named(name: &str) -> bool {
    name.starts_with("amq.gen-")
}

/// A queue that there is in the end, and what was in it.
struct Contents {
    placeholder: String,
    name: String,
    kind: Kind,
    messages: Vec<Message>,
}

impl Contents {
    fn of(test: &Test, placeholder: &str) -> Option<Self> {
        let queue = test.queue(placeholder);
        let kind = queue.kind()?;
        let name = queue.name().to_owned();
        Some(Self {
            placeholder: placeholder.to_owned(),
            name,
            kind,
            messages: queue.take_all(),
        })
    }

    fn in_words(&self, test: &Test) -> String {
        let Self {
            placeholder, kind, ..
        } = self;
        let placeholder = if is_server_named(placeholder) {
            "amq.gen-*"
        } else {
            placeholder
        };
        let messages = self
            .messages
            .iter()
            .map(|message| neutral(test, &self.message_in_words(message)));
        match messages.collect::<Vec<_>>().join(" ") {
            none if none.is_empty() => format!("; {{{placeholder}}} {kind}"),
            messages => format!("; {{{placeholder}}} {kind}: {messages}"),
        }
    }

    fn message_in_words(&self, message: &Message) -> String {
        let body = match message.body.as_slice() {
            b"" => "\"\"".to_owned(),
            body => quote("", body).trim_start().to_owned(),
        };
        let exchange = match message.exchange.as_str() {
            "" => String::new(),
            exchange => format!(" by {exchange}"),
        };
        let routing_key = match message.routing_key.as_str() {
            key if key == self.name => String::new(),
            key => format!(" to {key:?}"),
        };
        body + &exchange + &routing_key + &properties_in_words(message)
    }
}

fn properties_in_words(message: &Message) -> String {
    let properties = &message.properties;
    let texts = [
        ("content type", properties.content_type()),
        ("content encoding", properties.content_encoding()),
        ("reply to", properties.reply_to()),
        ("correlation id", properties.correlation_id()),
    ];
    let mut words: Vec<String> = texts
        .iter()
        .filter_map(|(name, text)| Some(format!("{name} {}", text.as_ref()?)))
        .collect();
    words.extend(
        properties
            .delivery_mode()
            .map(|mode| format!("mode {mode}")),
    );
    words.extend(
        properties
            .headers()
            .iter()
            .flatten()
            .map(|(name, value)| format!("{name}={value:?}")),
    );
    if words.is_empty() {
        String::new()
    } else {
        format!(" [{}]", words.join(", "))
    }
}

//! What a scenario did, in words that are the same for every run of it.

use std::fmt;

use crate::support::{Ended, Finished, Message, Queue, Test};

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

/// For example `exit 0, prints "Hello"; {queue} durable: "b" "c"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    end: String,
    stdout: String,
    stderr: String,
    during: String,
    queues: String,
}

impl Facts {
    /// Looks at a script's end, or at what there is where it did not end, and takes all messages out of its queues.
    pub(crate) fn establish(
        test: &Test,
        finished: Option<Finished>,
        during: &str,
        look: Look,
    ) -> Self {
        let (end, stdout, stderr) = match finished {
            Some(Finished {
                stdout,
                stderr,
                ended,
            }) => (end_in_words(ended), stdout, stderr),
            None => ("hangs".to_owned(), Vec::new(), Vec::new()),
        };
        let stdout =
            adopt_server_named_queues(test, &neutral(test, &String::from_utf8_lossy(&stdout)));
        let stderr =
            adopt_server_named_queues(test, &neutral(test, &String::from_utf8_lossy(&stderr)));
        Self {
            end,
            stdout: if look.at_stdout {
                quote(", prints", &stdout)
            } else {
                String::new()
            },
            stderr: match stderr.lines().next() {
                Some(line) if look.at_first_line_of_stderr => quote(", says", line),
                Some(_) => ", complains".to_owned(),
                None => String::new(),
            },
            during: during.to_owned(),
            queues: test
                .placeholders()
                .iter()
                .map(|name| queue_in_words(test, name))
                .collect(),
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

fn quote(label: &str, text: &str) -> String {
    const MANY: usize = 300;
    match text.len() {
        0 => String::new(),
        1..=MANY => format!("{label} {text:?}"),
        many => format!("{label} {many} bytes"),
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

fn queue_in_words(test: &Test, placeholder: &str) -> String {
    let queue = test.queue(placeholder);
    let Some(kind) = queue.kind() else {
        return String::new();
    };
    let name = if is_server_named(placeholder) {
        "amq.gen-*"
    } else {
        placeholder
    };
    let messages: Vec<String> = queue
        .take_all()
        .iter()
        .map(|message| neutral(test, &message_in_words(&queue, message)))
        .collect();
    match messages.len() {
        0 => format!("; {{{name}}} {kind}"),
        _ => format!("; {{{name}}} {kind}: {}", messages.join(" ")),
    }
}

fn message_in_words(queue: &Queue, message: &Message) -> String {
    let body = match message.text() {
        empty if empty.is_empty() => "\"\"".to_owned(),
        text => quote("", &text).trim_start().to_owned(),
    };
    let exchange = match message.exchange.as_str() {
        "" => String::new(),
        exchange => format!(" by {exchange}"),
    };
    let routing_key = match message.routing_key.as_str() {
        key if key == queue.name() => String::new(),
        key => format!(" to {key:?}"),
    };
    body + &exchange + &routing_key + &properties_in_words(message)
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

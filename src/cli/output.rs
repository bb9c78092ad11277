//! amqp-consume's flags for what commands write.

use clap::Args;

use super::UsageError;
use crate::consume::{OutputTarget, Publishing};

const HEADING: &str = "Output";

/// How many bytes of output a command may write unless it is said.
const LIMIT: usize = 16 * 1024 * 1024;

/// The flags as given.
#[derive(Args, Clone, Debug)]
pub(super) struct OutputArgs {
    /// Publish what a command that succeeded wrote to standard output to this queue, and acknowledge its message when that is confirmed
    #[arg(long, value_name = "QUEUE", conflicts_with_all = ["output_exchange", "output_key"], help_heading = HEADING)]
    output_queue: Option<String>,

    /// The same to an exchange, with --output-key
    #[arg(long, value_name = "EXCHANGE", help_heading = HEADING)]
    output_exchange: Option<String>,

    /// The routing key of the output [default: empty]; without --output-exchange, the queue that it goes to
    #[arg(long, value_name = "KEY", help_heading = HEADING)]
    output_key: Option<String>,

    /// The content type of the output and of replies
    #[arg(long, value_name = "TYPE", help_heading = HEADING)]
    output_content_type: Option<String>,

    /// A command that writes more bytes to standard output has failed [default: 16777216]
    #[arg(long, value_name = "BYTES", help_heading = HEADING)]
    output_limit: Option<usize>,

    /// Send what the command wrote, and its exit status as x-exit-status, to the message's reply-to, before the message is acknowledged
    #[arg(long, help_heading = HEADING)]
    reply: bool,

    /// Put the message id, or the command's number, and a tab before each line of output, and write lines whole
    #[arg(long, help_heading = HEADING)]
    tag: bool,
}

impl OutputArgs {
    /// How the output is published, if it is.
    pub(super) fn publishing(&self) -> Result<Option<Publishing>, UsageError> {
        let target = self.target()?;
        if target.is_none() && !self.reply {
            return match self.first_given() {
                None => Ok(None),
                Some(flag) => Err(UsageError(format!(
                    "{flag} needs --output-queue, --output-exchange, --output-key or --reply"
                ))),
            };
        }
        Ok(Some(Publishing {
            target,
            replies: self.reply,
            content_type: self.output_content_type.clone(),
            limit: self.output_limit.unwrap_or(LIMIT),
        }))
    }

    /// Whether lines are tagged.
    pub(super) fn tags(&self) -> bool {
        self.tag
    }

    fn target(&self) -> Result<Option<OutputTarget>, UsageError> {
        let exchange = self.output_exchange.as_deref().unwrap_or_default();
        let (flag, key) = match &self.output_queue {
            Some(queue) => ("--output-queue", Some(queue)),
            None => ("--output-key", self.output_key.as_ref()),
        };
        if key.is_none() && self.output_exchange.is_none() {
            return Ok(None);
        }
        let routing_key = key.cloned().unwrap_or_default();
        if exchange.is_empty() && routing_key.is_empty() {
            return Err(UsageError(format!("{flag} needs the name of a queue")));
        }
        Ok(Some(OutputTarget {
            exchange: exchange.to_owned(),
            routing_key,
        }))
    }

    /// One of the flags that say what is published, if any is given.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        [
            ("--output-queue", self.output_queue.is_some()),
            ("--output-exchange", self.output_exchange.is_some()),
            ("--output-key", self.output_key.is_some()),
            ("--reply", self.reply),
            ("--output-content-type", self.output_content_type.is_some()),
            ("--output-limit", self.output_limit.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        output: OutputArgs,
    }

    fn publishing(line: &str) -> Result<Option<Publishing>, UsageError> {
        let words = std::iter::once("tool").chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().output.publishing()
    }

    fn target(line: &str) -> (String, String) {
        let target = publishing(line).unwrap().unwrap().target.unwrap();
        (target.exchange, target.routing_key)
    }

    #[test]
    fn a_queue_is_a_key_to_the_default_exchange() {
        let to = |exchange: &str, key: &str| (exchange.to_owned(), key.to_owned());
        assert_eq!(target("--output-queue q"), to("", "q"));
        assert_eq!(target("--output-key q"), to("", "q"));
        assert_eq!(target("--output-exchange e"), to("e", ""));
        assert_eq!(target("--output-exchange e --output-key k"), to("e", "k"));
    }

    #[test]
    fn nothing_is_published_unless_it_is_asked_for() {
        assert_eq!(publishing(""), Ok(None));
        assert_eq!(publishing("--tag"), Ok(None));
        let reply = publishing("--reply").unwrap().unwrap();
        assert_eq!(
            (reply.target, reply.replies, reply.limit),
            (None, true, LIMIT)
        );
    }

    #[test]
    fn what_lacks_its_target_is_refused() {
        for line in [
            "--output-limit 5",
            "--output-content-type text/plain",
            "--output-queue=",
            "--output-key=",
            "--output-exchange=",
        ] {
            assert!(publishing(line).is_err(), "{line}");
        }
    }
}

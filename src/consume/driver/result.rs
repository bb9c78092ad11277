//! What a command wrote, from its end until all of it is published.

use super::republisher::Refusal;
use crate::consume::output::Collected;
use crate::consume::publication::{Publication, Publishing, Recipient};
use crate::consume::run::Copy;
use crate::message::Message;

/// Of the last command that ran for a delivery.
#[derive(Debug, Default)]
pub(super) struct CommandResult {
    output: Vec<u8>,
    /// It ran for several messages. Its output is not of any one of them.
    is_of_several: bool,
    /// The end of what it wrote to standard error.
    pub(super) error: Option<String>,
    /// What was refused of the output, and is to be published again.
    refused: Vec<Publication>,
    /// How many messages are published and not answered.
    unanswered: usize,
    reason: Option<String>,
}

impl CommandResult {
    pub(super) fn of(collected: Collected, is_of_several: bool) -> CommandResult {
        CommandResult {
            output: collected.output,
            is_of_several,
            error: collected.error,
            ..CommandResult::default()
        }
    }

    /// What a child that goes on running says in its answer.
    pub(super) fn answered_with(output: Vec<u8>) -> CommandResult {
        CommandResult {
            output,
            ..CommandResult::default()
        }
    }

    /// How many bytes are kept.
    pub(super) fn size(&self) -> usize {
        self.output.len()
    }

    /// What is to be published of the output, or what was refused of that.
    pub(super) fn publications(
        &mut self,
        copy: Copy,
        publishing: &Publishing,
        input: &Message,
    ) -> Vec<Publication> {
        if !self.refused.is_empty() {
            return std::mem::take(&mut self.refused);
        }
        let output = std::mem::take(&mut self.output);
        let of_none = Message::default();
        let input = if self.is_of_several { &of_none } else { input };
        match copy {
            Copy::Output => publishing.of_success(input, output),
            Copy::Reply(status, _) => publishing.of_failure(input, &output, status),
            Copy::Attempt(_) | Copy::Delay(..) | Copy::Renew(_) | Copy::Park(..) => Vec::new(),
        }
    }

    /// So many messages are published.
    pub(super) fn expect(&mut self, count: usize) {
        self.unanswered = count;
    }

    /// One of them is confirmed, or refused. What has become of all of them, once that is known.
    pub(super) fn answered(&mut self, answer: Result<(), Refusal>) -> Option<Result<(), String>> {
        if let Err(refusal) = answer {
            self.reason = Some(refusal.reason);
            // A copy of the message is made anew.
            let is_result = refusal.publication.recipient != Recipient::Copied;
            self.refused
                .extend(is_result.then_some(refusal.publication));
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        (self.unanswered == 0).then(|| self.reason.take().map_or(Ok(()), Err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consume::publication::OutputTarget;
    use crate::message::Properties;

    fn publishing() -> Publishing {
        Publishing {
            target: Some(OutputTarget {
                exchange: String::new(),
                routing_key: "next".to_owned(),
            }),
            replies: true,
            content_type: None,
            limit: 1000,
        }
    }

    #[test]
    fn only_what_was_refused_is_published_again() {
        let input = Message {
            properties: Properties {
                reply_to: Some("caller".to_owned()),
                ..Properties::default()
            },
            ..Message::default()
        };
        let mut result = CommandResult::of(
            Collected {
                output: b"out".to_vec(),
                ..Collected::default()
            },
            false,
        );
        assert_eq!(result.size(), 3);
        let mut all = result.publications(Copy::Output, &publishing(), &input);
        assert_eq!(all.len(), 2);
        result.expect(2);
        let refusal = Refusal {
            reason: "full".to_owned(),
            publication: all.remove(0),
        };
        assert_eq!(result.answered(Err(refusal)), None);
        assert_eq!(result.answered(Ok(())), Some(Err("full".to_owned())));
        let again = result.publications(Copy::Output, &publishing(), &input);
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].recipient, Recipient::Queue);
        assert_eq!(again[0].message.body, b"out");
        result.expect(1);
        assert_eq!(result.answered(Ok(())), Some(Ok(())));
    }
}

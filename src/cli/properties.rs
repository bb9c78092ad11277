//! The options for a message's properties.

use clap::{ArgAction, Args};

use super::typed::parse_typed;
use crate::message::{HeaderValue, Headers, PERSISTENT, Properties};

pub(super) const HEADING: &str = "Properties";

/// The property options as given.
#[derive(Args, Clone, Debug)]
pub(super) struct PropertyArgs {
    /// Make messages persistent: in durable queues they survive a restart of the broker
    #[arg(short, long, help_heading = HEADING)]
    persistent: bool,

    /// MIME type of the body
    #[arg(short = 'C', long, value_name = "TYPE", help_heading = HEADING)]
    content_type: Option<String>,

    /// MIME content encoding of the body
    #[arg(short = 'E', long, value_name = "ENCODING", help_heading = HEADING)]
    content_encoding: Option<String>,

    /// Queue for replies
    #[arg(short = 't', long, value_name = "QUEUE", help_heading = HEADING)]
    reply_to: Option<String>,

    /// Header; repeatable
    #[arg(short = 'H', long, value_name = "KEY: VALUE", value_parser = parse_header, action = ArgAction::Append, help_heading = HEADING)]
    header: Vec<(String, String)>,

    /// A header whose value is an integer, true or false where it reads as such, as in x-delay=5000; may be given several
    /// times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_typed, action = ArgAction::Append, help_heading = HEADING)]
    typed_header: Vec<(String, HeaderValue)>,

    /// The priority, 0 to 255, for queues made with x-max-priority
    #[arg(long, value_name = "N", help_heading = HEADING)]
    priority: Option<u8>,

    /// Time to live in a queue, in milliseconds
    #[arg(long, value_name = "MS", help_heading = HEADING)]
    expiration: Option<u64>,

    /// Correlation id of a request and its reply
    #[arg(long, value_name = "ID", help_heading = HEADING)]
    correlation_id: Option<String>,

    /// Message id
    #[arg(long, value_name = "ID", help_heading = HEADING)]
    message_id: Option<String>,

    /// Message type, by the application's own name for it
    #[arg(long, value_name = "TYPE", help_heading = HEADING)]
    r#type: Option<String>,

    /// Name of the publishing application
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    app_id: Option<String>,

    /// User name; the broker refuses any but the connection's
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    user_id: Option<String>,

    /// Timestamp, in seconds since 1970
    #[arg(long, value_name = "SECONDS", help_heading = HEADING)]
    timestamp: Option<u64>,
}

impl PropertyArgs {
    pub(super) fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// The properties that the flags set, and no others.
    pub(super) fn properties(self) -> Properties {
        let headers: Headers = self
            .header
            .into_iter()
            .map(|(key, value)| (key, HeaderValue::String(value)))
            .chain(self.typed_header)
            .collect();
        Properties {
            content_type: self.content_type,
            content_encoding: self.content_encoding,
            headers: (!headers.is_empty()).then_some(headers),
            delivery_mode: self.persistent.then_some(PERSISTENT),
            priority: self.priority,
            correlation_id: self.correlation_id,
            reply_to: self.reply_to,
            expiration: self.expiration.map(|milliseconds| milliseconds.to_string()),
            message_id: self.message_id,
            timestamp: self.timestamp,
            kind: self.r#type,
            user_id: self.user_id,
            app_id: self.app_id,
        }
    }
}

/// `key: value`; as in amqp-tools the value is a string, and spaces before it are not part of it.
fn parse_header(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once(':')
        .ok_or("expected 'key: value', with a colon".to_owned())?;
    let value = value.trim_start_matches(' ');
    Ok((key.to_owned(), value.to_owned()))
}

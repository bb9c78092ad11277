//! The flags for bindings, of queues and of exchanges.

use clap::{ArgAction, Args};

use super::UsageError;
use super::typed::parse_typed;
use crate::bindings::Bindings;
use crate::broker::Binding;
use crate::message::{HeaderValue, Headers};

/// The binding flags as given.
#[derive(Args, Clone, Debug)]
pub(super) struct BindingArgs {
    /// Bind to an exchange, with a routing key
    #[arg(long, value_name = "EXCHANGE[:KEY]", action = ArgAction::Append)]
    bind: Vec<String>,

    /// End such a binding; one that there is not is no error
    #[arg(long, value_name = "EXCHANGE[:KEY]", action = ArgAction::Append)]
    unbind: Vec<String>,

    /// An argument of each --bind and --unbind, for headers exchanges: x-match=any, or a header and its value; typed as
    /// by --argument
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_typed, action = ArgAction::Append)]
    bind_argument: Vec<(String, HeaderValue)>,
}

impl BindingArgs {
    pub(super) fn bindings(self) -> Result<Bindings, UsageError> {
        if self.bind.is_empty() && self.unbind.is_empty() && !self.bind_argument.is_empty() {
            return Err(UsageError(
                "--bind-argument needs --bind or --unbind".to_owned(),
            ));
        }
        let arguments: Headers = self.bind_argument.into_iter().collect();
        let all = |texts: Vec<String>| {
            let binding = |text: String| binding(&text, &arguments);
            texts.into_iter().map(binding).collect()
        };
        Ok(Bindings {
            bind: all(self.bind),
            unbind: all(self.unbind),
        })
    }
}

fn binding(text: &str, arguments: &Headers) -> Binding {
    let (source, routing_key) = text.split_once(':').unwrap_or((text, ""));
    Binding {
        source: source.to_owned(),
        routing_key: routing_key.to_owned(),
        arguments: arguments.clone(),
    }
}

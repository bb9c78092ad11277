//! Lenient parsing of command lines, as popt does it for amqp-tools, and the messages for usage errors.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

/// The longest line of usage and help texts. clap wraps help before its own limit.
const WIDTH: usize = 79;

/// Adds what all tools share: `-?` and `--usage`, values that begin with a dash, and that the last of several values wins.
pub(super) fn lenient(command: Command) -> Command {
    command
        .max_term_width(WIDTH + 1)
        .args_override_self(true)
        .disable_help_flag(true)
        .arg(
            Arg::new("help")
                .short('?')
                .short_alias('h')
                .long("help")
                .action(ArgAction::Help)
                .help("Show this help and exit"),
        )
        .arg(
            Arg::new("usage")
                .long("usage")
                .action(ArgAction::SetTrue)
                .help("Show a brief list of all options and exit"),
        )
        .mut_args(|arg| {
            let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
            if takes_value && !arg.is_positional() {
                arg.allow_hyphen_values(true)
            } else {
                arg
            }
        })
}

/// One line that says what is wrong with a command line. If it quotes a URL, it leaves out the credentials.
pub(super) fn describe(error: &clap::Error) -> String {
    without_credentials(&complaint(error))
}

fn complaint(error: &clap::Error) -> String {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        Some(ContextValue::Strings(arguments)) => arguments.first().map_or("", String::as_str),
        _ => "",
    };
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("{argument}: unknown option{}", suggestion(error))
        }
        ErrorKind::UnknownArgument => format!("unexpected operand: {argument}"),
        _ => first_paragraph(error),
    }
}

fn without_credentials(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://***{}", &text[..scheme], &text[at..])
        }
        _ => text.to_owned(),
    }
}

/// The short usage that follows a usage error.
pub(super) fn hint(mut command: Command) -> String {
    let name = command.get_name().to_owned();
    let usage = command.render_usage().to_string();
    format!("{}\nTry '{name} --help' for more.", usage.trim_end())
}

/// Every option in brackets, as popt's `--usage` lists them.
pub(super) fn brief(mut command: Command) -> String {
    command.build();
    let mut lines = vec![format!("Usage: {}", command.get_name())];
    for part in command.get_arguments().map(brief_argument) {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + part.len() <= WIDTH => {
                line.push(' ');
                line.push_str(&part);
            }
            _ => lines.push(format!("        {part}")),
        }
    }
    lines.join("\n") + "\n"
}

fn brief_argument(arg: &Arg) -> String {
    if arg.is_positional() {
        return format!("[{}]...", value_name(arg));
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let spelling = [short, long]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("|");
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append => format!("[{spelling}={}]", value_name(arg)),
        _ => format!("[{spelling}]"),
    }
}

fn value_name(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some([name, ..]) => name.to_string(),
        _ => arg.get_id().as_str().to_uppercase(),
    }
}

fn suggestion(error: &clap::Error) -> String {
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(similar)) => format!(" (did you mean '{similar}'?)"),
        _ => String::new(),
    }
}

/// clap's own message in one line, without `error: ` and without what follows a blank line.
fn first_paragraph(error: &clap::Error) -> String {
    let text = StyledStr::from(error.to_string()).to_string();
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let list = lines.map(str::trim).collect::<Vec<_>>().join(", ");
    format!("{first} {list}").trim_end().to_owned()
}

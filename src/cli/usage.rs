//! Lenient parsing of command lines, as popt does it for amqp-tools, and the messages for usage errors.

use std::error::Error as _;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::scan::{self, Item};
use super::way_out;

/// The longest line of a usage text; of help, which clap wraps before its limit, too.
const WIDTH: usize = 79;

/// The name of the option for the tool's own words.
const LOG_FORMAT: &str = "log-format";

/// Adds what all tools share: `-?`, `--usage` and `--log-format`, values that begin with a dash, and that the last of several values wins.
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
        .arg(
            Arg::new(LOG_FORMAT)
                .long(LOG_FORMAT)
                .value_name("FORMAT")
                .value_parser(["text", "json"])
                .hide_possible_values(true)
                .help("Format of the tool's own words on standard error: text, or json (a line each) [default: text]"),
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

/// Whether the command line asks for the tool's words as JSON, also where something else is wrong with it.
pub(super) fn asks_for_json_log(command: impl Fn() -> Command, arguments: &[OsString]) -> bool {
    let is_near = |argument: &OsString| argument.as_bytes().starts_with(b"--log-format");
    if !arguments.iter().any(is_near) {
        return false;
    }
    let mut command = command();
    command.build();
    let format = |item| match item {
        Item::Option(arg, value) if arg.get_id() == LOG_FORMAT => value,
        _ => None,
    };
    let items = scan::items(&command, arguments).into_iter();
    items
        .filter_map(format)
        .next_back()
        .is_some_and(|format| format == "json")
}

/// The option for a text (help, usage, version) that stands in a command line that is wrong.
pub(super) fn text_asked_for(mut command: Command, arguments: &[OsString]) -> Option<&'static str> {
    command.build();
    scan::items(&command, arguments)
        .into_iter()
        .find_map(|item| match item {
            Item::Option(arg, _) => match arg.get_id().as_str() {
                "help" => Some("--help"),
                "usage" => Some("--usage"),
                "version" => Some("--version"),
                _ => None,
            },
            Item::Operand(_) => None,
        })
}

/// One line that says what is wrong with a command line. It may quote a URL given in the wrong place, but not the
/// credentials in it.
pub(super) fn describe(
    error: &clap::Error,
    mut command: Command,
    arguments: &[OsString],
) -> String {
    command.build();
    let complaint = match error.kind() {
        ErrorKind::InvalidUtf8 => not_utf8(&command, arguments),
        _ => complaint(error, &command),
    };
    without_credentials(&complaint)
}

/// Which value is not UTF-8.
fn not_utf8(command: &Command, arguments: &[OsString]) -> String {
    let complaint = |item| match item {
        // A body may have any bytes.
        Item::Option(arg, Some(value)) if value.to_str().is_none() && arg.get_id() != "body" => {
            let option = spelling(arg);
            let hint = match option.as_str() {
                "--header" => " (--jsonl takes any bytes, as {\"!bytes\":\"BASE64\"})",
                _ => "",
            };
            Some(format!("{option}: the value is not UTF-8{hint}"))
        }
        Item::Operand(text) if text.to_str().is_none() => {
            Some(format!("operand '{}' is not UTF-8", text.display()))
        }
        Item::Option(..) | Item::Operand(_) => None,
    };
    scan::items(command, arguments)
        .into_iter()
        .find_map(complaint)
        .unwrap_or_else(|| "an argument is not UTF-8".to_owned())
}

fn spelling(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => value_name(arg),
    }
}

fn complaint(error: &clap::Error, command: &Command) -> String {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        Some(ContextValue::Strings(arguments)) => arguments.first().map_or("", String::as_str),
        _ => "",
    };
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let hint = way_out::for_unknown_option(argument, command);
            format!("{argument}: unknown option{hint}")
        }
        ErrorKind::UnknownArgument => format!("unexpected operand: {argument}"),
        ErrorKind::ValueValidation => {
            match (error.get(ContextKind::InvalidValue), error.source()) {
                (Some(ContextValue::String(value)), Some(reason)) => {
                    let reason = in_words(&reason.to_string());
                    format!("invalid value '{value}' for '{argument}': {reason}")
                }
                _ => first_paragraph(error),
            }
        }
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

/// The standard library's and clap's words about numbers in ours.
fn in_words(reason: &str) -> String {
    if let Some((_, range)) = reason.split_once(" is not in ")
        && let Some((least, most)) = range.split_once("..=")
    {
        return format!("expected a whole number from {least} to {most}");
    }
    match reason {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "expected a whole number".to_owned()
        }
        "number would be zero for non-zero type" => "expected a number greater than 0".to_owned(),
        "number too large to fit in target type" => "the number is too large".to_owned(),
        "number too small to fit in target type" => "the number is too small".to_owned(),
        _ => reason.to_owned(),
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

//! Another look at a command line that clap refuses: what stands in it, whatever else is wrong with it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::{Arg, ArgAction, Command};

/// A part of a command line.
pub(super) enum Item<'line> {
    /// An option of the tool, with its value if it takes one.
    Option(&'line Arg, Option<&'line OsStr>),
    /// Anything else before COMMAND.
    Operand(&'line OsStr),
}

/// The parts of a command line, behind the program's name. Unknown options are left out. `command` must be built.
pub(super) fn items<'line>(
    command: &'line Command,
    arguments: &'line [OsString],
) -> Vec<Item<'line>> {
    let mut items = Vec::new();
    let mut rest = arguments.iter().skip(1).map(OsString::as_os_str);
    while let Some(argument) = rest.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            items.extend(rest.map(Item::Operand));
            break;
        }
        match bytes {
            [b'-', b'-', long @ ..] => items.extend(long_option(command, long, &mut rest)),
            [b'-', shorts @ ..] if !shorts.is_empty() => {
                short_options(command, shorts, &mut rest, &mut items);
            }
            _ => {
                items.push(Item::Operand(argument));
                if begins_command(command) {
                    break;
                }
            }
        }
    }
    items
}

fn long_option<'line>(
    command: &'line Command,
    text: &'line [u8],
    rest: &mut impl Iterator<Item = &'line OsStr>,
) -> Option<Item<'line>> {
    let (name, attached) = match text.iter().position(|byte| *byte == b'=') {
        Some(at) => (&text[..at], Some(OsStr::from_bytes(&text[at + 1..]))),
        None => (text, None),
    };
    let is_meant = |arg: &&Arg| arg.get_long().is_some_and(|long| long.as_bytes() == name);
    let arg = command.get_arguments().find(is_meant)?;
    let value = takes_value(arg).then(|| attached.or_else(|| rest.next()));
    Some(Item::Option(arg, value.flatten()))
}

/// Options of one letter each; the first that takes a value takes what is behind it.
fn short_options<'line>(
    command: &'line Command,
    letters: &'line [u8],
    rest: &mut impl Iterator<Item = &'line OsStr>,
    items: &mut Vec<Item<'line>>,
) {
    for (index, letter) in letters.iter().enumerate() {
        let is_meant = |arg: &&Arg| {
            let aliases = arg.get_all_short_aliases().unwrap_or_default();
            let mut shorts = arg.get_short().into_iter().chain(aliases);
            shorts.any(|short| short == char::from(*letter))
        };
        let Some(arg) = command.get_arguments().find(is_meant) else {
            continue;
        };
        if !takes_value(arg) {
            items.push(Item::Option(arg, None));
            continue;
        }
        let attached = &letters[index + 1..];
        let value = match attached.strip_prefix(b"=").unwrap_or(attached) {
            [] if attached.is_empty() => rest.next(),
            value => Some(OsStr::from_bytes(value)),
        };
        items.push(Item::Option(arg, value));
        return;
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// Whether the first operand is COMMAND, and what follows its arguments.
fn begins_command(command: &Command) -> bool {
    command.get_positionals().any(Arg::is_trailing_var_arg_set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Consume, Get, Tool, command_line};

    /// Each item as a word.
    fn words<T: Tool>(line: &str) -> Vec<String> {
        let mut command = command_line::<T>();
        command.build();
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        items(&command, &arguments)
            .into_iter()
            .map(|item| match item {
                Item::Option(arg, Some(value)) => format!("{}={}", arg.get_id(), value.display()),
                Item::Option(arg, None) => arg.get_id().to_string(),
                Item::Operand(text) => text.display().to_string(),
            })
            .collect()
    }

    #[test]
    fn options_have_their_values_and_the_unknown_are_left_out() {
        assert_eq!(
            words::<Get>("amqp-get --bogus -qx --count=3 -q=y -q z --json -h a -- -b"),
            [
                "queue=x", "count=3", "queue=y", "queue=z", "json", "help", "a", "-b"
            ]
        );
        assert_eq!(words::<Get>("amqp-get --queue --help"), ["queue=--help"]);
        assert_eq!(words::<Get>("amqp-get -q"), ["queue"]);
    }

    #[test]
    fn what_is_behind_a_command_belongs_to_it() {
        assert_eq!(
            words::<Consume>("amqp-consume -Aq x cat --help"),
            ["no_ack", "queue=x", "cat"]
        );
    }
}

//! What a completion script needs to know of a tool's command line.

use clap::{Arg, ArgAction, Command};

/// A tool's options.
pub(super) struct Options {
    pub(super) tool: String,
    /// All of them, as they are written.
    pub(super) all: Vec<String>,
    /// Letters of the short options that take no value.
    pub(super) flags: String,
    /// Letters of the short options that take one.
    pub(super) letters_with_value: String,
    pub(super) with_value: Vec<OptionWithValue>,
    /// Whether the operands are COMMAND and its arguments.
    pub(super) has_command: bool,
    /// Whether the operands are files.
    pub(super) has_files: bool,
}

/// An option that takes a value.
pub(super) struct OptionWithValue {
    /// As it is written: `-q`, `--queue`.
    pub(super) spellings: Vec<String>,
    pub(super) value: Value,
}

/// What completes a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    File,
    OneOf(Vec<String>),
    /// Nothing does.
    Text,
}

impl Options {
    /// `command` must be built.
    pub(super) fn of(command: &Command) -> Self {
        let shown = || {
            command
                .get_opts()
                .chain(flags_of(command))
                .filter(|arg| !arg.is_hide_set())
        };
        let operand = command.get_positionals().next();
        Self {
            tool: command.get_name().to_owned(),
            all: shown().flat_map(spellings).collect(),
            flags: flags_of(command).flat_map(letters).collect(),
            letters_with_value: command.get_opts().flat_map(letters).collect(),
            with_value: command
                .get_opts()
                .map(|arg| OptionWithValue {
                    spellings: spellings(arg),
                    value: value(arg),
                })
                .collect(),
            has_command: operand.is_some_and(Arg::is_trailing_var_arg_set),
            has_files: operand.is_some_and(is_file),
        }
    }
}

fn flags_of(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_positional())
        .filter(|arg| !matches!(arg.get_action(), ArgAction::Set | ArgAction::Append))
}

fn spellings(arg: &Arg) -> Vec<String> {
    let short = arg.get_short().map(|letter| format!("-{letter}"));
    let long = arg.get_long().map(|name| format!("--{name}"));
    short.into_iter().chain(long).collect()
}

fn letters(arg: &Arg) -> impl Iterator<Item = char> {
    let aliases = arg.get_all_short_aliases().unwrap_or_default();
    arg.get_short().into_iter().chain(aliases)
}

fn value(arg: &Arg) -> Value {
    let names: Vec<_> = arg
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    match names.is_empty() {
        false => Value::OneOf(names),
        true if is_file(arg) => Value::File,
        true => Value::Text,
    }
}

fn is_file(arg: &Arg) -> bool {
    arg.get_value_names()
        .is_some_and(|names| names.iter().any(|name| name == "FILE"))
}

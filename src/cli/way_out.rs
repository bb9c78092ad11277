//! What people trip over, and the way out: the words that an error adds.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::{Arg, Command};

use crate::status::Status;

/// Options of other programs, and what they are here.
const OPTIONS_ELSEWHERE: [(&str, &str); 14] = [
    ("--host", "the host is named by --server"),
    ("--hostname", "the host is named by --server"),
    ("--broker", "the broker is named by --server, or by --url"),
    ("--uri", "the URL is given by --url"),
    ("--user", "the user is named by --username"),
    ("--login", "the user is named by --username"),
    (
        "--pass",
        "the password is given by --password, or by --authfile",
    ),
    ("--virtual-host", "the virtual host is named by --vhost"),
    (
        "--tls",
        "TLS is asked for by --ssl, or by a URL of amqps://",
    ),
    ("--verbose", "there is nothing more to be told"),
    ("-v", "the version is told by --version"),
    ("-q", "the queue is named by -r, the routing key"),
    ("--queue", "the queue is named by -r, the routing key"),
    ("--message", "the body is given by --body"),
];

/// Options that say which broker to connect to, and how.
const CONNECTION: [&str; 12] = [
    "-u",
    "--url",
    "-s",
    "--server",
    "--port",
    "--vhost",
    "--username",
    "--password",
    "--authfile",
    "--ssl",
    "--cacert",
    "--heartbeat",
];

/// For an option that there is not: what it may have been meant to be.
pub(super) fn for_unknown_option(option: &str, command: &Command) -> String {
    let option = option.split('=').next().unwrap_or(option);
    let elsewhere = OPTIONS_ELSEWHERE.iter().find(|(name, _)| *name == option);
    match (elsewhere, most_similar(option, command)) {
        (Some((_, hint)), _) => format!(" ({hint})"),
        (None, Some(similar)) => format!(" (did you mean '{similar}'?)"),
        (None, None) => String::new(),
    }
}

/// The long option that this one is the beginning of, or nearly is.
fn most_similar(option: &str, command: &Command) -> Option<String> {
    /// So many letters may be wrong.
    const FAR: usize = 2;
    let name = option.strip_prefix("--").filter(|name| name.len() > 2)?;
    command
        .get_arguments()
        .filter_map(Arg::get_long)
        .map(|long| {
            let is_begun = long.starts_with(name);
            (if is_begun { 0 } else { distance(name, long) }, long)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= FAR)
        .map(|(_, long)| format!("--{long}"))
}

/// How many letters must be put in, left out or changed to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, its_letter) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != its_letter);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// For a broker that could not be reached: an option that COMMAND was given, and that was meant for the tool.
pub(super) fn for_lost_option(error: &str, arguments: &[OsString]) -> Option<String> {
    let is_about_connecting =
        error.starts_with("opening socket to ") || error.starts_with("logging in ");
    let option = arguments
        .iter()
        .filter_map(|argument| argument.to_str()?.split('=').next())
        .find(|argument| CONNECTION.contains(argument))?;
    is_about_connecting.then(|| {
        format!("{option} stands behind COMMAND and is COMMAND's own; amqp-consume's options come before COMMAND")
    })
}

/// For a command that could not be started.
pub(super) fn for_failed_start(status: Status, program: &OsStr) -> Option<String> {
    let name = program.display();
    match status {
        Status::NOT_FOUND if has_blanks(program) && !Path::new(program).exists() => Some(format!(
            "'{name}' is one word; COMMAND's arguments are words of their own, and a line of shell needs sh -c '{name}'"
        )),
        Status::NOT_EXECUTABLE if is_file_without_permission(program) => Some(format!(
            "{name} is a file without the permission to execute it; chmod +x {name} gives it"
        )),
        Status::NOT_FOUND | Status::NOT_EXECUTABLE => {
            let first_line = first_line(program)?;
            match first_line.strip_suffix(b"\r") {
                Some(line) if line.starts_with(b"#!") => Some(format!(
                    "{name} has Windows' line ends, so that its interpreter is not found; sed -i 's/\\r$//' {name} mends that"
                )),
                _ if !first_line.starts_with(b"#!") && !first_line.starts_with(b"\x7fELF") => Some(
                    format!("{name} does not begin with a line such as #!/bin/sh"),
                ),
                _ => None,
            }
        }
        _ => None,
    }
}

fn has_blanks(program: &OsStr) -> bool {
    program.as_bytes().contains(&b' ')
}

fn is_file_without_permission(program: &OsStr) -> bool {
    fs::metadata(program).is_ok_and(|file| file.is_file() && file.mode() & 0o111 == 0)
}

/// Of a file that is named by its path. Opening a FIFO would wait for its writer.
fn first_line(program: &OsStr) -> Option<Vec<u8>> {
    const LONGEST: u64 = 256;
    if !program.as_bytes().contains(&b'/') || !Path::new(program).is_file() {
        return None;
    }
    let mut line = Vec::new();
    let file = File::open(program).ok()?;
    let mut start = BufReader::new(file.take(LONGEST));
    start.read_until(b'\n', &mut line).ok()?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{DeclareQueue, command_line};

    #[test]
    fn similar_options_are_found() {
        let command = command_line::<DeclareQueue>();
        for (option, hint) in [
            ("--durabel", " (did you mean '--durable'?)"),
            ("--que", " (did you mean '--queue'?)"),
            ("--hots", ""),
            ("--host=x", " (the host is named by --server)"),
            ("--bogus", ""),
            ("-Z", ""),
        ] {
            assert_eq!(for_unknown_option(option, &command), hint, "{option}");
        }
    }

    #[test]
    fn letters_are_counted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "ab"), 2);
        assert_eq!(distance("same", "same"), 0);
    }
}
